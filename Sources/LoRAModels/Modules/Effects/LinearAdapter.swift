public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// The trainable state of one adapter on one layer.
///
/// ```swift
/// final class RowScalingAdapter: LinearAdapter {
///   let scales: Parameter
///   var parameters: Named<Parameter> { ["scales": scales] }
///   var effect: AdapterEffect {
///     .scaling(ScalingEffect(vector: Variable(scales).adding(1)))
///   }
/// }
/// ```
///
/// The effect is all that one has to say. A method of two factors conforms to ``LowRankAdapter`` and
/// says less.
public protocol LinearAdapter: Module {
  /// What this adapter does to its module. Read once a pass, and by merging, saving and the prediction
  /// of memory: makes it from the parameters as they are.
  var effect: AdapterEffect { get }
  /// This adapter as data, which any format can be written from. Nil, the default, for what no
  /// format has: it can't be saved.
  var change: (any LayerChange)? { get }
  /// The sizes of the layers that it fits; nil for what it does not depend on. Those of the effect by
  /// default.
  var extents: (inputSize: Int?, outputSize: Int?) { get }
  /// What training needs beside the parameters. Follows from the effect by default; of a
  /// ``AdapterEffect/computed(_:)`` one only the number of its parameters is known.
  var memory: AdapterMemory { get }
}

extension LinearAdapter {
  /// Not to be saved.
  public var change: (any LayerChange)? { nil }
  /// Those of the effect.
  public var extents: (inputSize: Int?, outputSize: Int?) {
    withoutGradients { effect }.extents
  }
  /// That of the effect.
  public var memory: AdapterMemory {
    let count = namedParameters().reduce(0) { $0 + $1.parameter.shape.elementCount }
    return withoutGradients { effect }.memory(parameterCount: count)
  }
}

/// An adapter that adds `scale ((x aᵀ) bᵀ + outputBias)`, less `scale (x a₀ᵀ) b₀ᵀ` where it has an
/// origin.
public protocol LowRankAdapter: LinearAdapter {
  /// The down projection, `[rank, inputSize]`.
  var a: Parameter { get }
  /// The up projection, `[outputSize, rank]`.
  var b: Parameter { get }
  /// What the up projection adds to its products, `[outputSize]` (`lora_bias`). Nil by default.
  var outputBias: Parameter? { get }
  /// The factors that this adapter started from, if their product is taken off. Nil by default.
  var origin: LowRankOrigin? { get }
  /// What the product is multiplied by, `alpha / rank` for LoRA.
  var scale: Float { get }
  /// The probability that an element of the input is dropped while training. 0 by default.
  var dropoutRate: Float { get }
  /// What tells this adapter's dropout draws from another's. 0 by default.
  var dropoutStream: UInt64 { get }
}

extension LowRankAdapter {
  /// Started without effect.
  public var origin: LowRankOrigin? { nil }
  /// No bias.
  public var outputBias: Parameter? { nil }
  /// Nothing is dropped.
  public var dropoutRate: Float { 0 }
  /// The first stream.
  public var dropoutStream: UInt64 { 0 }

  /// Factors, bias and scale: plain ones of any adapter. With an origin they are `[a; a₀]` and
  /// `[b, -b₀]`, of twice the rank.
  public var change: (any LayerChange)? {
    var (a, b) = (a.value, b.value)
    if let origin {
      a = .concatenated([a, origin.a.value])
      b = .concatenated([b, origin.b.value.scaled(by: -1)], axis: 1)
    }
    return LowRankChange(
      a: a, b: b, alpha: scale.alpha(rank: a.shape[0]), scale: Double(scale),
      bias: outputBias?.value)
  }

  /// The pairs of factors whose products add up to this adapter's, and its bias.
  ///
  /// With an origin `(b - b₀) a` and `b₀ (a - a₀)`, which is `b a - b₀ a₀` and exactly zero as long as
  /// nothing was trained.
  public var effect: AdapterEffect {
    let (a, b) = (Variable(a), Variable(b))
    var factors = [(a: a, b: b)]
    if let origin {
      let (first, second) = (Variable(origin.a), Variable(origin.b))
      factors = [(a, b - second), (a - first, second)]
    }
    return .lowRank(
      LowRankEffect(
        factors: factors, scale: scale, bias: outputBias.map { Variable($0) },
        dropoutRate: dropoutRate, dropoutStream: dropoutStream))
  }
}

/// A recipe that makes one adapter a layer, as ``LoRA``.
public protocol AdapterMethod: Sendable {
  /// What the recipe makes.
  associatedtype Adapter: LinearAdapter
  /// Throws ``AdapterError/invalidValue(parameter:value:expected:)`` for hyperparameters that nothing
  /// can be learned with. Injection asks first; by default all are fine.
  func check() throws(AdapterError)
  /// The ranks of the pairs of factors that an adapter consists of, `[rank, inputSize]` and
  /// `[outputSize, rank]`: memory is asked for before any of them is made. Empty, the default, for a
  /// method whose size does not grow with a rank.
  var factorRanks: [Int] { get }
  /// Makes the adapter of `layer`, without effect until it is trained.
  ///
  /// - Parameters:
  ///   - layer: the layer that the adapter will be attached to.
  ///   - random: named by the seed and the layer's path, so that the values do not depend on which
  ///     other layers are adapted.
  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
  /// Makes the adapter of the layer at `path`. Only a method that treats layers differently by their
  /// names, as ``IA3``, has one of its own.
  func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
  /// Makes the adapter of the layer at `path` among all that get one; what injection calls. Only a
  /// method whose layers share something, as ``VeRA``, has one of its own.
  func makeAdapter(
    for layer: any LinearLayer, at path: String, among layers: AdaptedLayers,
    using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
}

extension AdapterMethod {
  /// All is fine.
  public func check() throws(AdapterError) {}
  /// Of no size that grows with a rank.
  public var factorRanks: [Int] { [] }

  /// The same whatever the others are.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, among layers: AdaptedLayers,
    using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    try makeAdapter(for: layer, at: path, using: &random)
  }

  /// The same for every path.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    try makeAdapter(for: layer, using: &random)
  }
}
