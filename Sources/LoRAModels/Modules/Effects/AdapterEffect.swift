/// What one adapter does to the module that it is attached to, as values. Layers, embeddings,
/// merging, generation and the prediction of memory read it; none of them knows a method.
///
/// ```swift
/// public var effect: AdapterEffect {
///   .scaling(ScalingEffect(vector: Variable(scales).adding(1)))
/// }
/// ```
///
/// Of several adapters on one module those that replace something come first: what they leave is the
/// base of the others. Scalings multiply each other and act on the base; every other change is taken
/// on the base alone, and all are added. At strength k an adapter changes the output by k times what
/// it changes at strength 1.
///
/// Everything but ``computed(_:)``, ``block(_:)`` and ``virtualTokens(_:)`` can be attached to an ``Embedding`` too;
/// the first can if it says what it adds to vectors.
public enum AdapterEffect: Sendable {
  /// Products of low rank are added (LoRA). Computed in one operation with the base.
  case lowRank(LowRankEffect)
  /// Products of low rank are added to the weight, whose rows then get given lengths (DoRA).
  case normalized(NormalizedEffect)
  /// The inputs or the outputs of the base are multiplied by a vector (IA3).
  case scaling(ScalingEffect)
  /// Parameters of the module get new values.
  case parameters(ParameterReplacement)
  /// Some tokens of an embedding get new vectors.
  case tokenVectors(TokenVectorReplacement)
  /// A change that only the adapter can compute is added.
  case computed(ComputedEffect)
  /// Something is added to what the parts of an ``AdaptableBlock`` compute.
  case block(BlockEffect)
  /// Positions without tokens come before those of a ``VirtualTokenModel``.
  case virtualTokens(VirtualTokens)
}

extension AdapterEffect {
  /// The sizes of the layers that it fits; nil for what it does not depend on.
  var extents: (inputSize: Int?, outputSize: Int?) {
    switch self {
    case .lowRank(let effect): effect.extents
    case .normalized(let effect): effect.lowRank.extents
    case .scaling(let effect): effect.extents
    case .block(let effect): (nil, effect.hiddenSize)
    case .parameters, .tokenVectors, .computed, .virtualTokens: (nil, nil)
    }
  }

  /// What training an adapter of `count` numbers with this effect keeps.
  func memory(parameterCount count: Int) -> AdapterMemory {
    switch self {
    case .lowRank(let effect): effect.memory
    case .normalized(let effect): effect.memory
    case .scaling(let effect): effect.memory
    // A product with the new values instead of the old ones: its input is kept for their gradient.
    case .parameters, .tokenVectors, .virtualTokens: AdapterMemory(rank: 1)
    // Only the number of its parameters is known.
    case .computed, .block: AdapterMemory(rank: max(1, count / (1 << 12)))
    }
  }

  /// The probability that an element of the adapter's input is dropped while training; nil where
  /// nothing could be dropped.
  var dropoutRate: Float? {
    switch self {
    case .lowRank(let effect): effect.dropoutRate
    case .normalized(let effect): effect.lowRank.dropoutRate
    case .scaling, .parameters, .tokenVectors, .computed, .block, .virtualTokens: nil
    }
  }
}

/// What training one adapter on one layer needs of memory beside its parameters: as its operations
/// keep it, see `TrainingWorkload.memory`.
public struct AdapterMemory: Sendable, Hashable {
  /// The rank of low-rank factors with as many numbers. As many are kept of a token.
  public var rank: Int
  /// The numbers a token that are kept for the backward pass beside these.
  public var keptWidth: Int
  /// The numbers that are needed while the layer is computed.
  public var scratch: Int

  /// Creates a description from its parts.
  public init(rank: Int, keptWidth: Int = 0, scratch: Int = 0) {
    self.rank = rank
    self.keptWidth = keptWidth
    self.scratch = scratch
  }
}
