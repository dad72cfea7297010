// What every number of a configuration may be, whichever file it comes from: the one place that a
// model's layers, rotary tables and caches rely on.

package import LoRAFiles

extension ModelConfiguration {
  /// What a file calls the properties, for errors.
  struct Naming: Sendable {
    let file: String
    let key: @Sendable (ConfigurationKey.AnyField) -> String

    /// `config.json`'s keys.
    static func configurationFile(_ file: String, _ architecture: Architecture) -> Naming {
      Naming(file: file) { architecture.key(of: $0) }
    }

    /// The keys of a GGUF file, behind the architecture's name.
    static func gguf(_ file: String, _ architecture: Architecture) -> Naming {
      Naming(file: file) { architecture.ggufKey(of: $0) }
    }

    func error(
      _ kind: FormatError.Kind, _ field: ConfigurationKey.AnyField, _ problem: String
    ) -> FormatError {
      FormatError(
        kind, file: file, key: key(field), problem,
        remedy: "the configuration is damaged, or of a model that does not exist")
    }
  }

  /// Throws `FormatError` unless a model of this shape can be built and run: sizes that are positive
  /// and that real models have, heads that divide as they must, a norm's epsilon and rotary
  /// frequencies that float32 holds. `file` is for the error.
  package func validate(file: String = "config.json") throws(FormatError) {
    try validate(.configurationFile(file, architecture))
  }

  func validate(_ naming: Naming) throws(FormatError) {
    try checkSizes(naming)
    try checkHeads(naming)
    // A norm of zeros is divided by the root of this.
    guard normEpsilon.isFinite, Float(normEpsilon) > 0, normEpsilon <= 1 else {
      throw naming.error(
        .invalidValue, \.normEpsilon, "\(normEpsilon) is not a float32 number above 0 and up to 1")
    }
    guard slidingWindows.count == layerCount,
      slidingWindows.allSatisfy({ $0.map { $0 > 0 && $0 <= 1 << 31 } ?? true })
    else {
      throw naming.error(
        .invalidValue, \.slidingWindows, "the windows of \(layerCount) layers are \(slidingWindows)"
      )
    }
    if architecture.hasKey(of: \.rotary) { try checkRotary(naming) }
  }

  /// Every product of two of these fits an `Int`, and every array of one of them memory.
  private func checkSizes(_ naming: Naming) throws(FormatError) {
    let limits: [(ConfigurationKey.AnyField, Int, Int)] = [
      (\.hiddenSize, hiddenSize, 1 << 24), (\.intermediateSize, intermediateSize, 1 << 26),
      (\.layerCount, layerCount, 4096), (\.headCount, headCount, 1 << 20),
      (\.keyValueHeadCount, keyValueHeadCount, 1 << 20), (\.headSize, headSize, 1 << 20),
      (\.vocabularySize, vocabularySize, 1 << 28), (\.maximumPositions, maximumPositions, 1 << 31),
    ]
    for (field, value, limit) in limits where !(1...limit).contains(value) {
      throw naming.error(
        .invalidValue, field, "\(value) is not one of 1 to \(limit), which models have")
    }
    guard headCount * headSize <= 1 << 26 else {
      throw naming.error(
        .invalidValue, \.headSize, "\(headCount) heads of \(headSize) are too large")
    }
  }

  private func checkHeads(_ naming: Naming) throws(FormatError) {
    guard headCount % keyValueHeadCount == 0 else {
      throw naming.error(
        .invalidValue, \.keyValueHeadCount,
        "\(keyValueHeadCount) does not divide the \(headCount) query heads")
    }
    if !architecture.hasKey(of: \.headSize) {
      guard headCount * headSize == hiddenSize,
        keyValueHeadCount == headCount || architecture.hasKey(of: \.keyValueHeadCount)
      else {
        throw naming.error(
          .invalidValue, \.headCount,
          "\(headCount) heads of \(headSize), \(keyValueHeadCount) for keys, do not make up the "
            + "hidden size, \(hiddenSize)")
      }
    } else if architecture.hasKey(of: \.rotary), headSize % 2 != 0 {
      throw naming.error(
        .invalidValue, \.headSize,
        "rotary embedding needs an even extent, the heads have \(headSize)")
    }
  }

  private func checkRotary(_ naming: Naming) throws(FormatError) {
    for rotary in [rotary, windowRotary ?? rotary] {
      let rotated = rotary.rotatedSize(ofHead: headSize)
      guard rotated > 0 else {
        throw naming.error(
          .invalidValue, \.rotary, "\(rotary.fraction) of a head's \(headSize) elements are no pair"
        )
      }
      if case .longRoPE(let long) = rotary.scaling {
        for count in [long.shortFactors.count, long.longFactors.count] where count != rotated / 2 {
          throw naming.error(
            .invalidValue, \.rotary, "\(count) factors for \(rotated / 2) frequencies")
        }
      }
      let frequencies = rotary.frequencies(headSize: rotated)
      let least: Float =
        if case .proportional = rotary.scaling { 0 } else { .leastNonzeroMagnitude }
      guard let wrong = frequencies.first(where: { !($0 >= least && $0 <= 1e20) }) else { continue }
      throw naming.error(
        .invalidValue, \.rotary,
        "the base \(rotary.base)\(rotary.scaling == .none ? "" : " and the scaling") of the rotary "
          + "embedding make a frequency of \(wrong)")
    }
  }
}
