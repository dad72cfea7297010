public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Prompt tuning: vectors that are trained, before those of the tokens.
///
/// ```swift
/// try model.inject(PromptTuning(count: 20), named: "support")
/// ```
///
/// Trains `count * hiddenSize` numbers. A pass takes as long as one of so many more tokens. It can't be
/// merged, and has no strength but 1. Unlike other methods a fresh adapter changes the output.
///
/// Source: Lester et al., *The power of scale for parameter-efficient prompt tuning*, 2021.
public struct PromptTuning: ModelAdapterMethod, Hashable, Codable {
  /// How the vectors start.
  public enum Initialization: String, Sendable, Hashable, Codable, CaseIterable {
    /// Normally distributed, as PEFT's `RANDOM`.
    case random
    /// Those of random tokens, as PEFT's `SAMPLE_VOCAB`.
    case vocabulary
  }

  /// The number of virtual tokens.
  public var count = 20
  /// How their vectors start.
  public var initialization = Initialization.random

  /// Creates a recipe. Values are checked when it is used.
  public init(count: Int = 20, initialization: Initialization = .random) {
    self.count = count
    self.initialization = initialization
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&count, .count)
    try values.read(&initialization, .initialization)
  }

  /// A fresh adapter.
  public func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> PromptTuningAdapter {
    try AdapterDemand.check(virtualTokens: count, ofWidth: model.hiddenSize)
    guard initialization == .vocabulary else {
      return PromptTuningAdapter(
        embeddings: Parameter(random.normal([count, model.hiddenSize])))
    }
    let vocabulary = model.inputEmbedding.weight.shape[0]
    let ids = (0..<count).map { _ in Int64(random.nextUniform() * Double(vocabulary)) }
    let vectors = withoutGradients {
      Variable(model.inputEmbedding.weight).gathered(Tensor(ids)).value
    }
    return PromptTuningAdapter(embeddings: Parameter(vectors.converted(to: .float32)))
  }
}

/// The vectors of ``PromptTuning``.
public final class PromptTuningAdapter: LinearAdapter {
  /// `[count, hiddenSize]`.
  public let embeddings: Parameter

  /// Creates an adapter from its vectors.
  public init(embeddings: Parameter) {
    require(embeddings.shape.count == 2, "virtual tokens of shape \(embeddings.shape)")
    self.embeddings = embeddings
  }

  /// The vectors, under the name that PEFT gives them.
  public var parameters: Named<Parameter> { ["prompt_embeddings": embeddings] }
  /// The vectors.
  public var change: (any LayerChange)? { PromptChange(embeddings: embeddings.value) }
  /// The vectors before those of the tokens.
  public var effect: AdapterEffect { .virtualTokens(.embeddings(Variable(embeddings))) }
}

extension PromptChange: AttachableChange {
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    PromptTuningAdapter(embeddings: Parameter(embeddings, isTrainable: place.isTrainable))
  }
}

extension PEFTAdapterConfiguration.PromptTuning: TrainableModelMethod {
  package static let recipes = [
    TrainingRecipe.ofVirtualTokens(named: "prompt-tuning") { .promptTuning(Self(count: $0)) }
  ]

  package func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> any LinearAdapter {
    guard let start = ["RANDOM": "random", "SAMPLE_VOCAB": "vocabulary"][initialization],
      let start = PromptTuning.Initialization(rawValue: start)
    else {
      throw .invalidValue(
        parameter: "prompt_tuning_init", value: initialization,
        expected: "\"RANDOM\" or \"SAMPLE_VOCAB\": a text needs a tokenizer, which a model has not")
    }
    return try LoRAModels.PromptTuning(count: count, initialization: start)
      .makeAdapter(for: model, using: &random)
  }
}
