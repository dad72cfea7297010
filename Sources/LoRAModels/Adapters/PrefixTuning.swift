public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// Prefix tuning: keys and values that are trained, before those of the tokens in every layer.
///
/// ```swift
/// try model.inject(PrefixTuning(count: 20), named: "support")
/// ```
///
/// Trains `2 * count * keyHeads * headSize` numbers a layer. It can't be merged, and has no strength but
/// 1. A fresh adapter changes the output; one that starts at zero does too, as zeros have a share of every
/// attention.
///
/// Source: Li and Liang, *Prefix-tuning: optimizing continuous prompts for generation*, 2021; without the
/// paper's reparametrization, as PEFT by default.
public struct PrefixTuning: ModelAdapterMethod, Hashable, Codable {
  /// The number of virtual tokens.
  public var count = 20
  /// Whether keys and values start at zero, rather than normally distributed.
  public var startsAtZero = false

  /// Creates a recipe. Values are checked when it is used.
  public init(count: Int = 20, startsAtZero: Bool = false) {
    self.count = count
    self.startsAtZero = startsAtZero
  }

  /// Reads a recipe; what it does not name is as the initializer has it.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&count, .count)
    try values.read(&startsAtZero, .startsAtZero)
  }

  /// A fresh adapter.
  public func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> PrefixTuningAdapter {
    let width = 2 * model.layerCount * model.keyHeadCount * model.headSize
    try AdapterDemand.check(virtualTokens: count, ofWidth: width)
    let states = startsAtZero ? Tensor.zeros([count, width]) : random.normal([count, width])
    return PrefixTuningAdapter(
      states: Parameter(states), layerCount: model.layerCount, keyHeadCount: model.keyHeadCount)
  }
}

/// The keys and values of ``PrefixTuning``.
public final class PrefixTuningAdapter: LinearAdapter {
  /// `[count, layers * 2 * keyHeads * headSize]`: of each layer all keys, then all values.
  public let states: Parameter
  private let layerCount: Int
  private let keyHeadCount: Int

  /// Creates an adapter from its keys and values. Traps unless the layers and heads divide them.
  public init(states: Parameter, layerCount: Int, keyHeadCount: Int) {
    require(
      states.shape.count == 2 && states.shape[1] % (2 * layerCount * keyHeadCount) == 0,
      "keys and values \(states.shape) of \(layerCount) layers with \(keyHeadCount) heads")
    self.states = states
    self.layerCount = layerCount
    self.keyHeadCount = keyHeadCount
  }

  /// Keys and values, under the name that PEFT gives them.
  public var parameters: Named<Parameter> { ["prompt_embeddings": states] }

  /// Keys and values.
  public var change: (any LayerChange)? {
    PrefixChange(states: states.value, layerCount: layerCount, keyHeadCount: keyHeadCount)
  }

  /// Keys and values before those of the tokens.
  public var effect: AdapterEffect {
    let size = states.shape[1] / (2 * layerCount * keyHeadCount)
    return .virtualTokens(
      .keysAndValues(
        Variable(states).reshaped(to: [states.shape[0], layerCount, 2, keyHeadCount, size])))
  }
}

extension PrefixChange: AttachableChange {
  package func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    PrefixTuningAdapter(
      states: Parameter(states, isTrainable: place.isTrainable), layerCount: layerCount,
      keyHeadCount: keyHeadCount)
  }
}

extension PEFTAdapterConfiguration.PrefixTuning: TrainableModelMethod {
  package static let recipes = [
    TrainingRecipe.ofVirtualTokens(named: "prefix-tuning") { .prefixTuning(Self(count: $0)) }
  ]

  package func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> any LinearAdapter {
    try AdapterError.refuse(isProjected, "prefix_projection", "true")
    return try LoRAModels.PrefixTuning(count: count, startsAtZero: startsAtZero)
      .makeAdapter(for: model, using: &random)
  }
}
