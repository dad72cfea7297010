public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

/// The trainable state of one adapter on one linear layer.
///
/// A low-rank method conforms to ``LowRankAdapter`` and writes none of this.
public protocol LinearAdapter: Module {
  /// The layer's output `y` with what this adapter contributes, `strength` times.
  ///
  /// - Parameters:
  ///   - y: the output so far, `[..., outputSize]`: the base's, and earlier adapters'.
  ///   - x: the layer's input, `[..., inputSize]`.
  ///   - layer: the layer that the adapter is attached to; it computes the base's part of an output.
  ///   - strength: what the contribution is multiplied by.
  func apply(to y: Variable, input x: Variable, layer: any LinearLayer, strength: Float) -> Variable

  /// What merging this adapter at strength 1 adds to the base's weight and bias. Pure: depends on
  /// `base`, changes nothing.
  func delta(on base: LinearWeights) throws(AdapterError) -> LinearWeights

  /// This adapter as data, which any format can be written from. Nil, the default, for what no
  /// format has: it can't be saved.
  var change: LayerChange? { get }
  /// The sizes of the layers that it fits; nil, the default, for what it does not depend on.
  var extents: (inputSize: Int?, outputSize: Int?) { get }
}

extension LinearAdapter {
  /// Not to be saved.
  public var change: LayerChange? { nil }
  /// Fits layers of all sizes.
  public var extents: (inputSize: Int?, outputSize: Int?) { (nil, nil) }
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

  /// Those of the factors.
  public var extents: (inputSize: Int?, outputSize: Int?) { (a.shape[1], b.shape[0]) }

  /// Factors, bias and scale: plain ones of any adapter. With an origin they are `[a; a₀]` and
  /// `[b, -b₀]`, of twice the rank.
  public var change: LayerChange? {
    var (a, b) = (a.value, b.value)
    if let origin {
      a = .concatenated([a, origin.a.value])
      b = .concatenated([b, origin.b.value.scaled(by: -1)], axis: 1)
    }
    return .lowRank(
      LowRankChange(
        a: a, b: b, alpha: scale.alpha(rank: a.shape[0]), scale: Double(scale),
        bias: outputBias?.value))
  }

  /// `y + strength scale ((x aᵀ) bᵀ + outputBias)`, less the origin's product. A layer that stores
  /// its weight densely computes that in one operation with its own product instead.
  public func apply(
    to y: Variable, input x: Variable, layer: any LinearLayer, strength: Float
  ) -> Variable {
    var y = y
    for term in terms(input: x, strength: strength) {
      let product = (term.input ?? x).linear(weight: term.a).linear(weight: term.b)
      y = y + product.scaled(by: term.scale)
    }
    return outputBias.map { y + Variable($0).scaled(by: scale * strength) } ?? y
  }

  /// `scale b a`, less the origin's product, and `scale outputBias`.
  public func delta(on base: LinearWeights) throws(AdapterError) -> LinearWeights {
    let products = withoutGradients {
      factors.map { $0.b.value.matrixProduct(with: $0.a.value).scaled(by: scale) }
    }
    return LinearWeights(
      weight: products.dropFirst().reduce(products[0], +),
      bias: outputBias?.value.scaled(by: scale))
  }

  /// The pairs of factors whose products add up to this adapter's.
  ///
  /// With an origin `(b - b₀) a` and `b₀ (a - a₀)`, which is `b a - b₀ a₀` and exactly zero as long as
  /// nothing was trained.
  var factors: [(a: Variable, b: Variable)] {
    let (a, b) = (Variable(a), Variable(b))
    guard let origin else { return [(a, b)] }
    let (first, second) = (Variable(origin.a), Variable(origin.b))
    return [(a, b - second), (a - first, second)]
  }

  /// The rank of what the factors add up to.
  package var totalRank: Int { (origin == nil ? 1 : 2) * a.shape[0] }

  /// This adapter as terms of an adapted linear operation, its bias aside.
  func terms(input x: Variable, strength: Float) -> [LowRankTerm] {
    var input: Variable?
    if dropoutRate > 0, let random = Dropout.random(stream: dropoutStream) {
      input = x.dropout(rate: dropoutRate, random: random)
    }
    return factors.map {
      LowRankTerm(a: $0.a, b: $0.b, scale: scale * strength, input: input)
    }
  }
}

/// A recipe that makes one adapter a layer, as ``LoRA``.
public protocol AdapterMethod: Sendable {
  /// What the recipe makes.
  associatedtype Adapter: LinearAdapter
  /// Throws ``AdapterError/invalidValue(parameter:value:expected:)`` for hyperparameters that nothing
  /// can be learned with. Injection asks first; by default all are fine.
  func check() throws(AdapterError)
  /// Makes the adapter of `layer`, without effect until it is trained.
  ///
  /// - Parameters:
  ///   - layer: the layer that the adapter will be attached to.
  ///   - random: named by the seed and the layer's path, so that the values do not depend on which
  ///     other layers are adapted.
  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
  /// Makes the adapter of the layer at `path`; what injection calls. Only a method that treats
  /// layers differently by their names, as ``IA3``, has one of its own.
  func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
}

extension AdapterMethod {
  /// All is fine.
  public func check() throws(AdapterError) {}

  /// The same for every path.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    try makeAdapter(for: layer, using: &random)
  }
}
