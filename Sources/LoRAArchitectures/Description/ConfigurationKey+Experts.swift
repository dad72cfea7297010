import LoRAFiles
import LoRAJSON

// Mixtures of experts: how many there are, where they are, what their parts are called.

extension ConfigurationKey {
  /// How many experts there are and how many of them each token passes through, and the keys of the loss
  /// that balances them while transformers trains, which is not computed here.
  ///
  /// - Parameters:
  ///   - name: the key of their number.
  ///   - other: another key that files may have instead.
  ///   - count: what an absent key means.
  ///   - active: how many each token passes through where the file does not say.
  ///   - lossFactor: what is written as the factor of the balancing loss.
  static func experts(
    count name: String, or other: String, _ count: Int, active: Int, lossFactor: Double
  ) -> [ConfigurationKey] {
    [
      .count(name, or: other, gguf: "expert_count", default: count),
      .count("num_experts_per_tok", gguf: "expert_used_count", default: active),
      .refused(
        "output_router_logits", "training would add a loss that balances the experts",
        remedy: "set it to false, which changes nothing but training"),
      .constant("router_aux_loss_coef", lossFactor),
    ]
  }

  /// The size of experts as GGUF files have it beside that of networks, where `config.json` has one key.
  static var expertSizeInGGUF: ConfigurationKey {
    let name = "expert_feed_forward_length"
    var key = ConfigurationKey(
      name: "intermediate_size", read: { (_, _) throws(FormatError) in }, write: { _ in nil })
    key.gguf = name
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      if let size = try keys.optionalSize(name) { configuration.intermediateSize = size }
    }
    key.writeGGUF = { $1.set(name, $0.intermediateSize) }
    return key
  }

  /// One window for all layers that `use_sliding_window` switches on, as Qwen's mixtures have it.
  static var windowIfUsed: ConfigurationKey {
    var key = ConfigurationKey(
      name: "sliding_window",
      read: { (configuration, fields) throws(FormatError) in
        let isUsed = try fields.bool("use_sliding_window") ?? false
        let window =
          fields.object["sliding_window"] == nil ? 4096 : try fields.size("sliding_window")
        configuration.slidingWindows = Array(
          repeating: isUsed ? window : nil, count: configuration.layerCount)
      }, write: { json(tokenIDs: $0.slidingWindows.first.flatMap { $0 }.map { [$0] } ?? []) })
    key.field = \ModelConfiguration.slidingWindows
    return key
  }

  /// Which layers have one network in the place of experts: those that `mlp_only_layers` lists, and all
  /// but every `decoder_sparse_step`-th. Of a GGUF file none: llama.cpp has none.
  static var denseLayers: [ConfigurationKey] {
    let name = "mlp_only_layers"
    var dense = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        configuration[numbers: name] = []
        guard let values = fields[name]?.arrayValue else { return }
        let layers = values.compactMap(\.intValue)
        guard layers.count == values.count else {
          throw fields.error(.typeMismatch, name, "expected the numbers of layers")
        }
        configuration[numbers: name] = layers.map { Double($0) }
      },
      write: { .array($0[numbers: name].map { .integer(Int64($0)) }) })
    dense.setDefault = { $0[numbers: name] = [] }
    dense.readGGUF = { (configuration, _) throws(FormatError) in configuration[numbers: name] = [] }
    return [
      .count("decoder_sparse_step", default: 1),
      dense,
      ConfigurationKey(
        name: "use_sliding_window", read: { (_, _) throws(FormatError) in },
        write: { .bool($0.slidingWindows.contains { $0 != nil }) }),
    ]
  }
}

extension ModelConfiguration {
  /// Whether the layer has experts, not one network: see ``ConfigurationKey/denseLayers``.
  func isSparse(_ layer: Int) -> Bool {
    let step = Int(self[number: "decoder_sparse_step"] ?? 1)
    return (layer + 1) % max(step, 1) == 0
      && !self[numbers: "mlp_only_layers"].contains(Double(layer))
  }

  /// The paths of a module of the architecture: in each block that has it, of each expert.
  package func paths(of module: TensorName) -> [String] {
    guard module.path.contains("{}") else { return [module.path] }
    let isOfNetwork = ["ffn_gate", "ffn_up", "ffn_down"].contains(module.role)
    let isOfExperts = [.router, .expert, .expertPair].contains(module.kind)
    guard isOfExperts || isOfNetwork && architecture.hasExperts else {
      return (0..<layerCount).map { module.path(inBlock: $0) }
    }
    // A configuration without a structure makes no model.
    let blocks = (try? architecture.structure(self))?.blocks ?? []
    return blocks.enumerated().flatMap { index, block -> [String] in
      guard let experts = block.feedForward.experts else {
        return isOfExperts ? [] : [module.path(inBlock: index)]
      }
      if module.kind == .router { return [module.path(inBlock: index)] }
      return isOfExperts
        ? (0..<experts.count).map { module.path(inBlock: index, expert: $0) } : []
    }
  }

  /// The experts that the configuration describes. Throws for more that are active than there are, and
  /// for sizes that no model has.
  func experts(
    size: Int, countKey: String, weighting: TransformerStructure.FeedForward.Experts.Weighting,
    isStacked: Bool = false
  ) throws(FormatError) -> TransformerStructure.FeedForward.Experts {
    let count = Int(self[number: countKey] ?? 0)
    let active = Int(self[number: "num_experts_per_tok"] ?? 0)
    // Every expert of every layer is made into modules.
    guard (1...1 << 18).contains(count), count * layerCount <= 1 << 18,
      (1...1 << 26).contains(size)
    else {
      throw FormatError(
        .invalidValue, file: "config.json", key: countKey,
        "\(count) experts of size \(size) in \(layerCount) layers are not what models have")
    }
    guard (1...count).contains(active) else {
      throw FormatError(
        .invalidValue, file: "config.json", key: "num_experts_per_tok",
        "\(active) of \(count) experts ('\(countKey)') can't be active")
    }
    return .init(
      count: count, active: active, size: size, weighting: weighting, isStacked: isStacked)
  }
}

extension [TensorName] {
  /// A router and its experts.
  ///
  /// - Parameters:
  ///   - path: what holds them, within a block.
  ///   - gate: what checkpoints call an expert's layers.
  ///   - memory: what transformers calls that which holds them, where that is another path.
  static func experts(
    _ path: String, gate: String = "gate_proj", up: String = "up_proj",
    down: String = "down_proj", inMemory memory: String? = nil
  ) -> [TensorName] {
    let memory = memory ?? path
    func adapters(_ rest: String) -> String { "\(memory).\(rest)" }
    return [
      TensorName(
        "\(path).gate", "blk.{}.ffn_gate_inp", .router, adapterPath: adapters("gate.weight")),
      TensorName("\(path).experts.{}.\(gate)", "blk.{}.ffn_gate_exps", .expert),
      TensorName("\(path).experts.{}.\(up)", "blk.{}.ffn_up_exps", .expert),
      TensorName(
        "\(path).experts.{}.\(down)", "blk.{}.ffn_down_exps", .expert,
        adapterPath: adapters("experts.down_proj[{}]")),
      TensorName(
        "\(path).experts.gate_up_proj.{}", "blk.{}.ffn_gate_up_exps", .expertPair,
        adapterPath: adapters("experts.gate_up_proj[{}]")),
    ]
  }
}
