import LoRAFiles
import LoRAJSON
package import LoRATensor

extension PEFTAdapterConfiguration {
  /// What prompt tuning has, PEFT's `PROMPT_TUNING`.
  package struct PromptTuning: Sendable, Hashable {
    /// The number of virtual tokens.
    package var count: Int
    /// What PEFT has noted of the model.
    var model = PEFTPromptedModel()
    /// How the vectors started: "RANDOM", "SAMPLE_VOCAB" or "TEXT".
    package var initialization = "RANDOM"

    package init(count: Int = 20) { self.count = count }
  }
}

extension PEFTAdapterConfiguration.Method {
  package static func promptTuning(_ options: PEFTAdapterConfiguration.PromptTuning) -> Self {
    Self(options)
  }
}

/// Vectors before those of the tokens, [virtual tokens, hidden size].
package struct PromptChange: MeasuredChange {
  package var embeddings: Tensor

  package init(embeddings: Tensor) { self.embeddings = embeddings }

  package var site: ChangeSite { .model }
  package var methodName: String { "prompt tuning" }
  package var tensors: [(name: String, tensor: Tensor)] { [("the virtual tokens", embeddings)] }
  package var hasNoEffect: Bool { false }
  package var extents: String { "\(embeddings.shape[0]) virtual tokens" }
}

extension PEFTAdapterConfiguration.PromptTuning: PEFTPromptedMethod {
  init() { self.init(count: 20) }
  static let peftType = "PROMPT_TUNING"
  static let keys: [PEFTKey<Self>] =
    PEFTPromptedModel.keys(\.count, \.model) + [
      .text("prompt_tuning_init", \.initialization),
      .ignored("prompt_tuning_init_text", written: .null),
      .ignored("tokenizer_kwargs", written: .null),
      .ignored("tokenizer_name_or_path", written: .null),
    ]

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> PromptChange {
    let part = try layer.require("prompt_embeddings")
    let size = model.size.map { "\($0)" } ?? "hidden size"
    guard part.tensor.shape.count == 2, part.tensor.shape[0] == count,
      model.size == nil || part.tensor.shape[1] == model.size
    else {
      throw layer.mismatch(
        part, "expected [\(count), \(size)]", remedy: "check 'num_virtual_tokens' and 'token_dim'")
    }
    return PromptChange(embeddings: part.tensor)
  }

  func tensors(
    of change: PromptChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    let shape = change.embeddings.shape
    guard shape[0] == count, model.size == nil || shape[1] == model.size else {
      throw layer.mismatch("its vectors are \(shape), which the configuration does not say")
    }
    return [("prompt_embeddings", change.embeddings)]
  }

  static func describing(
    _ changes: [(path: String, change: PromptChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    var options = kept ?? Self()
    options.count = changes[0].change.embeddings.shape[0]
    options.model.size = changes[0].change.embeddings.shape[1]
    return options
  }
}
