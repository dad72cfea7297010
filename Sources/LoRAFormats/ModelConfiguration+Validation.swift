// What every number of a configuration may be, whichever file it comes from: the one place that a
// model's layers, rotary tables and caches rely on.

extension ModelConfiguration {
  /// A number of a configuration, which every kind of file names in its own way.
  enum Quantity: Sendable, Hashable, CaseIterable {
    case hiddenSize, intermediateSize, layerCount, headCount, keyValueHeadCount, headSize
    case vocabularySize, maximumPositions, normEpsilon, rotaryBase, slidingWindow
  }

  /// What a file calls the numbers, for errors.
  struct Naming: Sendable {
    let file: String
    let key: @Sendable (Quantity) -> String

    func error(_ kind: FormatError.Kind, _ quantity: Quantity, _ problem: String) -> FormatError {
      FormatError(
        kind, file: file, key: key(quantity), problem,
        remedy: "the configuration is damaged, or of a model that does not exist")
    }
  }

  /// Throws ``FormatError`` unless a model of this shape can be built and run: sizes that are positive
  /// and that real models have, heads that divide as they must, a norm's epsilon and rotary
  /// frequencies that float32 holds. `file` is for the error.
  public func validate(file: String = "config.json") throws(FormatError) {
    try validate(.configurationFile(file, architecture))
  }

  func validate(_ naming: Naming) throws(FormatError) {
    try checkSizes(naming)
    try checkHeads(naming)
    // A norm of zeros is divided by the root of this.
    guard normEpsilon.isFinite, Float(normEpsilon) > 0, normEpsilon <= 1 else {
      throw naming.error(
        .invalidValue, .normEpsilon, "\(normEpsilon) is not a float32 number above 0 and up to 1")
    }
    guard slidingWindows.count == layerCount,
      slidingWindows.allSatisfy({ $0.map { $0 > 0 && $0 <= 1 << 31 } ?? true })
    else {
      throw naming.error(
        .invalidValue, .slidingWindow, "the windows of \(layerCount) layers are \(slidingWindows)")
    }
    if architecture != .gpt2 { try checkRotary(naming) }
  }

  /// Every product of two of these fits an `Int`, and every array of one of them memory.
  private func checkSizes(_ naming: Naming) throws(FormatError) {
    let limits: [(Quantity, Int, Int)] = [
      (.hiddenSize, hiddenSize, 1 << 24), (.intermediateSize, intermediateSize, 1 << 26),
      (.layerCount, layerCount, 4096), (.headCount, headCount, 1 << 20),
      (.keyValueHeadCount, keyValueHeadCount, 1 << 20), (.headSize, headSize, 1 << 20),
      (.vocabularySize, vocabularySize, 1 << 28), (.maximumPositions, maximumPositions, 1 << 31),
    ]
    for (quantity, value, limit) in limits where !(1...limit).contains(value) {
      throw naming.error(
        .invalidValue, quantity, "\(value) is not one of 1 to \(limit), which models have")
    }
    guard headCount * headSize <= 1 << 26 else {
      throw naming.error(
        .invalidValue, .headSize, "\(headCount) heads of \(headSize) are too large")
    }
  }

  private func checkHeads(_ naming: Naming) throws(FormatError) {
    guard headCount % keyValueHeadCount == 0 else {
      throw naming.error(
        .invalidValue, .keyValueHeadCount,
        "\(keyValueHeadCount) does not divide the \(headCount) query heads")
    }
    if architecture == .gpt2 {
      guard headCount * headSize == hiddenSize, keyValueHeadCount == headCount else {
        throw naming.error(
          .invalidValue, .headCount,
          "\(headCount) heads of \(headSize), \(keyValueHeadCount) for keys, do not make up the "
            + "hidden size, \(hiddenSize)")
      }
    } else if headSize % 2 != 0 {
      throw naming.error(
        .invalidValue, .headSize,
        "rotary embedding needs an even extent, the heads have \(headSize)")
    }
  }

  private func checkRotary(_ naming: Naming) throws(FormatError) {
    let frequencies = rotary.frequencies(headSize: headSize)
    guard let wrong = frequencies.first(where: { !($0 > 0 && $0 <= 1e20) }) else { return }
    throw naming.error(
      .invalidValue, .rotaryBase,
      "the base \(rotary.base)\(rotary.scaling == .none ? "" : " and the scaling") of the rotary "
        + "embedding make a frequency of \(wrong)")
  }
}

extension ModelConfiguration.Naming {
  /// `config.json`'s keys.
  static func configurationFile(
    _ file: String, _ architecture: ModelConfiguration.Architecture
  ) -> ModelConfiguration.Naming {
    let isGPT2 = architecture == .gpt2
    return ModelConfiguration.Naming(file: file) { quantity in
      switch quantity {
      case .hiddenSize: isGPT2 ? "n_embd" : "hidden_size"
      case .intermediateSize: isGPT2 ? "n_inner" : "intermediate_size"
      case .layerCount: isGPT2 ? "n_layer" : "num_hidden_layers"
      case .headCount: isGPT2 ? "n_head" : "num_attention_heads"
      case .keyValueHeadCount: isGPT2 ? "n_head" : "num_key_value_heads"
      case .headSize: isGPT2 ? "n_head" : "head_dim"
      case .vocabularySize: "vocab_size"
      case .maximumPositions: isGPT2 ? "n_positions" : "max_position_embeddings"
      case .normEpsilon: isGPT2 ? "layer_norm_epsilon" : "rms_norm_eps"
      case .rotaryBase: "rope_theta"
      case .slidingWindow: "sliding_window"
      }
    }
  }

  /// The keys of a GGUF file, behind the architecture's name.
  static func gguf(
    _ file: String, _ architecture: ModelConfiguration.Architecture
  ) -> ModelConfiguration.Naming {
    let prefix = architecture.rawValue + "."
    let norm = architecture == .gpt2 ? "layer_norm_epsilon" : "layer_norm_rms_epsilon"
    return ModelConfiguration.Naming(file: file) { quantity in
      switch quantity {
      case .hiddenSize: prefix + "embedding_length"
      case .intermediateSize: prefix + "feed_forward_length"
      case .layerCount: prefix + "block_count"
      case .headCount: prefix + "attention.head_count"
      case .keyValueHeadCount: prefix + "attention.head_count_kv"
      case .headSize: prefix + "attention.key_length"
      case .vocabularySize: prefix + "vocab_size"
      case .maximumPositions: prefix + "context_length"
      case .normEpsilon: prefix + "attention.\(norm)"
      case .rotaryBase: prefix + "rope.freq_base"
      case .slidingWindow: prefix + "attention.sliding_window"
      }
    }
  }
}
