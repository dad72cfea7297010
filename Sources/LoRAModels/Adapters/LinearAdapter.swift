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

/// An adapter that adds `scale ((x aᵀ) bᵀ + outputBias)`.
public protocol LowRankAdapter: LinearAdapter {
  /// The down projection, `[rank, inputSize]`.
  var a: Parameter { get }
  /// The up projection, `[outputSize, rank]`.
  var b: Parameter { get }
  /// What the up projection adds to its products, `[outputSize]` (`lora_bias`). Nil by default.
  var outputBias: Parameter? { get }
  /// What the product is multiplied by, `alpha / rank` for LoRA.
  var scale: Float { get }
  /// The probability that an element of the input is dropped while training. 0 by default.
  var dropoutRate: Float { get }
  /// What tells this adapter's dropout draws from another's. 0 by default.
  var dropoutStream: UInt64 { get }
}

extension LowRankAdapter {
  /// No bias.
  public var outputBias: Parameter? { nil }
  /// Nothing is dropped.
  public var dropoutRate: Float { 0 }
  /// The first stream.
  public var dropoutStream: UInt64 { 0 }

  /// Those of the factors.
  public var extents: (inputSize: Int?, outputSize: Int?) { (a.shape[1], b.shape[0]) }

  /// Factors, bias and scale.
  public var change: LayerChange? {
    let (a, b) = (a.value, b.value)
    return .lowRank(
      LowRankChange(
        a: a, b: b, alpha: scale.alpha(rank: a.shape[0]), scale: Double(scale),
        bias: outputBias?.value))
  }

  /// `y + strength scale ((x aᵀ) bᵀ + outputBias)`. A layer that stores its weight densely computes
  /// that in one operation with its own product instead.
  public func apply(
    to y: Variable, input x: Variable, layer: any LinearLayer, strength: Float
  ) -> Variable {
    let term = term(input: x, strength: strength)
    return y
      + (term.input ?? x).linear(weight: term.a)
      .linear(weight: term.b, bias: outputBias.map { Variable($0) })
      .scaled(by: term.scale)
  }

  /// `scale b a`, and `scale outputBias`.
  public func delta(on base: LinearWeights) throws(AdapterError) -> LinearWeights {
    LinearWeights(
      weight: b.value.matrixProduct(with: a.value).scaled(by: scale),
      bias: outputBias?.value.scaled(by: scale))
  }

  /// This adapter as a term of an adapted linear operation.
  func term(input x: Variable, strength: Float) -> LowRankTerm {
    var term = LowRankTerm(a: Variable(a), b: Variable(b), scale: scale * strength)
    if dropoutRate > 0, let random = Dropout.random(stream: dropoutStream) {
      term.input = x.dropout(rate: dropoutRate, random: random)
    }
    return term
  }
}

/// A recipe that makes one adapter a layer, as ``LoRA``.
public protocol AdapterMethod: Sendable {
  /// What the recipe makes.
  associatedtype Adapter: LinearAdapter
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
  /// The same for every path.
  public func makeAdapter(
    for layer: any LinearLayer, at path: String, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    try makeAdapter(for: layer, using: &random)
  }
}
