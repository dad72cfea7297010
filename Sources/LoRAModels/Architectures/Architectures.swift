import LoRAAutograd
public import LoRAFormats
import LoRATensor

/// A language model that a Hugging Face directory describes: what ``PretrainedModel`` opens.
///
/// A new architecture is a class that conforms, its case in `ModelConfiguration.Architecture`, and a
/// line in the table of this file.
public protocol PretrainedLanguageModel: LanguageModel {
  /// The shape and the options that the model was made with.
  var configuration: ModelConfiguration { get }
}

extension ModelConfiguration {
  /// A model of this shape with random weights: matrices normal with `standardDeviation`, norms one,
  /// biases zero, as transformers initializes them. Every parameter is trainable.
  public func randomModel(
    standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws -> any PretrainedLanguageModel {
    try makeModel(.random(standardDeviation: standardDeviation, seed: seed))
  }

  /// Builds the model of this configuration, asking `source` for each parameter.
  func makeModel(_ source: ParameterSource) throws -> any PretrainedLanguageModel {
    try validate()
    return switch architecture {
    case .llama, .qwen2, .mistral: try LlamaModel(self, source: source)
    case .gpt2: try GPT2Model(self, source: source)
    }
  }
}

extension ModelConfiguration.Architecture {
  /// How checkpoints of this architecture name what is not simply a parameter.
  package var layout: CheckpointLayout {
    switch self {
    case .llama, .qwen2, .mistral: .llama
    case .gpt2: .gpt2
    }
  }
}

/// What has to be known of an architecture's checkpoints beside the names of parameters.
package struct CheckpointLayout: Sendable {
  /// The name of the embedding's table, which a tied head shares.
  package var embedding: String
  /// What precedes the names of all parameters but the head's, and is missing in checkpoints of the
  /// body alone.
  var prefix: String
  /// The embedding's name in a checkpoint of the body alone.
  var embeddingOfBody: String { String(embedding.dropFirst(prefix.count)) }
  /// Whether a tensor that is no parameter follows from the configuration, as old versions of
  /// transformers stored some.
  var isDerived: @Sendable (_ name: String) -> Bool

  static let llama = CheckpointLayout(embedding: "model.embed_tokens.weight", prefix: "model.") {
    $0.hasSuffix(".rotary_emb.inv_freq")
  }

  static let gpt2 = CheckpointLayout(embedding: "transformer.wte.weight", prefix: "transformer.") {
    // The causal mask, [1, 1, positions, positions], and the number that it put in place of scores.
    $0.hasSuffix(".attn.bias") || $0.hasSuffix(".attn.masked_bias")
  }
}

/// Where a model that is being built gets its parameters: a file, or a random generator.
struct ParameterSource {
  /// The parameter that belongs under `name`, which must be of `shape`.
  let parameter: (_ name: String, _ shape: Shape) throws -> Parameter
  /// The same, of `[out, in]`, for a matrix that checkpoints have as its transpose; nil where the
  /// source has it so too.
  var untransposed: ((_ name: String, _ shape: Shape) throws -> Parameter)?

  init(
    untransposed: ((_ name: String, _ shape: Shape) throws -> Parameter)? = nil,
    parameter: @escaping (_ name: String, _ shape: Shape) throws -> Parameter
  ) {
    self.parameter = parameter
    self.untransposed = untransposed
  }

  /// Random values as ``LoRAFormats/ModelConfiguration/randomModel(standardDeviation:seed:)`` has
  /// them.
  static func random(standardDeviation: Float, seed: UInt64) -> ParameterSource {
    ParameterSource { name, shape in
      var random = SeededRandom(seed: seed, path: name)
      if shape.count == 2 {
        return Parameter(random.normal(shape, standardDeviation: standardDeviation))
      }
      let value: Float = name.hasSuffix(".bias") ? 0 : 1
      return Parameter(Tensor(Array(repeating: value, count: shape.elementCount)))
    }
  }
}
