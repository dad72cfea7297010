import LoRAFiles
import LoRAJSON
package import LoRATensor

extension PEFTAdapterConfiguration {
  /// What prefix tuning has, PEFT's `PREFIX_TUNING`.
  package struct PrefixTuning: Sendable, Hashable {
    /// The number of virtual tokens.
    package var count: Int
    /// What PEFT has noted of the model; heads and size are those of keys.
    var model = PEFTPromptedModel()
    /// Whether keys and values start at zero.
    package var startsAtZero = false
    /// Whether a network makes them while training. The file holds what it made.
    package var isProjected = false

    package init(count: Int = 20) { self.count = count }
  }
}

extension PEFTAdapterConfiguration.Method {
  package static func prefixTuning(_ options: PEFTAdapterConfiguration.PrefixTuning) -> Self {
    Self(options)
  }
}

/// Keys and values before those of the tokens, [virtual tokens, layers x 2 x heads x head size].
package struct PrefixChange: MeasuredChange {
  package var states: Tensor
  package var layerCount: Int
  package var keyHeadCount: Int

  package init(states: Tensor, layerCount: Int, keyHeadCount: Int) {
    (self.states, self.layerCount, self.keyHeadCount) = (states, layerCount, keyHeadCount)
  }

  package var site: ChangeSite { .model }
  package var methodName: String { "prefix tuning" }
  package var tensors: [(name: String, tensor: Tensor)] { [("keys and values", states)] }
  package var hasNoEffect: Bool { false }
  package var extents: String { "\(states.shape[0]) virtual tokens" }
}

extension PEFTAdapterConfiguration.PrefixTuning: PEFTPromptedMethod {
  init() { self.init(count: 20) }
  static let peftType = "PREFIX_TUNING"
  static let keys: [PEFTKey<Self>] =
    PEFTPromptedModel.keys(\.count, \.model) + [
      PEFTKey("init_weights") { fields, options throws(FormatError) in
        guard let name = try fields.string("init_weights") else { return }
        guard name == "zero" else {
          throw fields.error(.invalidValue, "init_weights", "expected \"zero\", found '\(name)'")
        }
        options.startsAtZero = true
      } written: {
        $0.startsAtZero ? "zero" : .null
      },
      .flag("prefix_projection", \.isProjected), .ignored("encoder_hidden_size", written: .null),
    ]

  func check(_ fields: JSONFields) throws(FormatError) {
    for (key, value) in [
      ("num_layers", model.layers), ("num_attention_heads", model.heads), ("token_dim", model.size),
    ] where value == nil {
      throw fields.error(
        .missingKey, key, "it is absent: the file does not say what the keys and values are of",
        "save the adapter again with PEFT")
    }
    if let heads = model.heads, let size = model.size, size % heads != 0 {
      throw fields.error(.invalidValue, "token_dim", "\(size) is no multiple of \(heads) heads")
    }
  }

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> PrefixChange {
    let part = try layer.require("prompt_embeddings")
    let (layers, heads, size) = (model.layers ?? 0, model.heads ?? 0, model.size ?? 0)
    guard Array(part.tensor.shape) == [count, 2 * layers * size] else {
      throw layer.mismatch(
        part, "expected [\(count), \(2 * layers * size)]",
        remedy: "check 'num_virtual_tokens', 'num_layers' and 'token_dim'")
    }
    return PrefixChange(states: part.tensor, layerCount: layers, keyHeadCount: heads)
  }

  func tensors(
    of change: PrefixChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    let expected = [count, 2 * (model.layers ?? 0) * (model.size ?? 0)]
    guard Array(change.states.shape) == expected, model.heads == change.keyHeadCount else {
      throw layer.mismatch(
        "its keys and values are \(change.states.shape), which the configuration does not say")
    }
    return [("prompt_embeddings", change.states)]
  }

  static func describing(
    _ changes: [(path: String, change: PrefixChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    var options = kept ?? Self()
    let change = changes[0].change
    options.count = change.states.shape[0]
    options.model.layers = change.layerCount
    options.model.heads = change.keyHeadCount
    options.model.size = change.states.shape[1] / (2 * change.layerCount)
    return options
  }
}
