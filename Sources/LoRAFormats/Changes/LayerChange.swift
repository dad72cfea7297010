public import LoRAFiles
public import LoRATensor

/// What an adapter does to one layer's weight W [out, in], or to a block or the model, as data.
///
/// A kind of change is a type: ``LowRankChange``, `HadamardChange`, `KroneckerChange` and
/// `ScalingChange`. Weights of convolutions are [out, in, height, width], and their factors have
/// those two extents more. What the first three requirements do not say has a default that claims
/// nothing.
public protocol LayerChange: Sendable {
  /// The kind as people call it: "LoRA", "DoRA", "LoHa".
  var methodName: String { get }
  /// The trained tensors, with names for messages.
  var tensors: [(name: String, tensor: Tensor)] { get }
  /// Whether the layer computes the same without the change. Of kinds that need the base to tell, as
  /// DoRA and IA3, true only for a change by nothing at all.
  var hasNoEffect: Bool { get }

  /// The change of the weight as a matrix [out, in x kernel], without what magnitudes do; nil if only
  /// the base can tell. For factors that are known to fit a weight in memory.
  func weightChange() -> Tensor?
  /// What is added to `weight`, [out, in], where ``weightChange()`` alone does not say it: DoRA's and
  /// IA3's. Nil for others.
  func difference(from weight: Tensor) -> Tensor?
  /// Throws `FormatError` unless the change fits a weight of this shape; `layer` and `file` are for
  /// the error.
  func check(fits weight: Shape, layer: String, file: String) throws(FormatError)
}

extension LayerChange {
  /// Not known.
  public func weightChange() -> Tensor? { nil }
  /// None.
  public func difference(from weight: Tensor) -> Tensor? { nil }
  /// Not checked.
  public func check(fits weight: Shape, layer: String, file: String) throws(FormatError) {}
}

/// What inspecting, converting and comparing adapters ask of a change beside what it is. Whatever is
/// not said has a default that claims nothing.
package protocol MeasuredChange: LayerChange {
  /// What the path of such a change leads to.
  var site: ChangeSite { get }
  /// What the change is multiplied by; 1 for kinds without a scale.
  var scale: Double { get }
  /// The rank, and the alpha that the scale comes from; nil for kinds that have neither.
  var rankAndAlpha: (rank: Int?, alpha: Double)? { get }
  /// The extents of what is changed, as far as the numbers say, for people: "64x32".
  var extents: String { get }
  /// The Frobenius norm of the change, without what magnitudes do; nil if only the base can tell.
  var norm: Double? { get }
  /// Whether numbers of the change are beyond float32, although those of its factors are not.
  var isBeyondFloat32: Bool { get }
  /// The relative difference of what two changes compute, where a conversion may have rounded one of
  /// them; nil if they are not alike.
  func difference(to other: any LayerChange) -> Double?
}

/// What a change belongs to.
package enum ChangeSite: Sendable, Hashable {
  /// A layer with a weight.
  case layer
  /// A block of the model, as "model.layers.0".
  case block
  /// The model itself, whose path is empty.
  case model
}

extension MeasuredChange {
  /// A layer with a weight.
  package var site: ChangeSite { .layer }
  /// 1.
  package var scale: Double { 1 }
  /// None.
  package var rankAndAlpha: (rank: Int?, alpha: Double)? { nil }
  /// Those of the tensors.
  package var extents: String { tensors.map { "\($0.tensor.shape)" }.joined(separator: ", ") }
  /// Not known.
  package var norm: Double? { nil }
  /// Not known to be.
  package var isBeyondFloat32: Bool { false }
  /// Not alike.
  package func difference(to other: any LayerChange) -> Double? { nil }
}

/// A change of a kind that only its tensors are known of: a user's own.
private struct OtherChange: MeasuredChange {
  let change: any LayerChange

  var methodName: String { change.methodName }
  var tensors: [(name: String, tensor: Tensor)] { change.tensors }
  var hasNoEffect: Bool { change.hasNoEffect }
}

extension LayerChange {
  /// The change with its measures.
  package var measured: any MeasuredChange {
    self as? any MeasuredChange ?? OtherChange(change: self)
  }

  /// Whether all tensors are the same bits and the scale the same to one float32 rounding.
  func isIdentical(to other: any LayerChange) -> Bool {
    let (scale, otherScale) = (measured.scale, other.measured.scale)
    guard methodName == other.methodName, abs(scale - otherScale) <= 0x1p-23 * abs(scale)
    else { return false }
    let (mine, others) = (tensors, other.tensors)
    return mine.count == others.count
      && zip(mine, others).allSatisfy { $0.name == $1.name && $0.tensor == $1.tensor }
  }
}

/// Whether a scale is zero in float32, which programs multiply with.
func isNothing(_ scale: Double) -> Bool { Float(scale) == 0 }

/// Whether a number times a scale is beyond float32.
func isBeyondFloat32(_ number: Double, scale: Double) -> Bool {
  let greatest = Double(Float.greatestFiniteMagnitude)
  return !(number <= greatest && number * abs(scale) <= greatest)
}

/// A tensor that may be there, with its name.
func named(_ name: String, _ tensor: Tensor?) -> [(name: String, tensor: Tensor)] {
  tensor.map { [(name, $0)] } ?? []
}

extension FormatError {
  /// Factors of a convolution on a matrix, or the other way round.
  static func otherKind(
    _ layer: String, _ dimensions: Int, _ weight: Shape, _ file: String
  ) -> FormatError {
    FormatError(
      .shapeMismatch, file: file, subject: "layer '\(layer)'",
      problem: dimensions == 2
        ? "its factors are those of a linear layer, and the base's weight \(weight) is a "
          + "convolution's"
        : "its factors have \(dimensions) dimensions, as those of a convolution, and the base's "
          + "weight is \(weight)",
      remedy: "give the base that the adapter was made for")
  }

  /// Throws unless a change and the weight that it is for have the same shape.
  static func check(
    _ change: Shape, fits weight: Shape, layer: String, file: String
  ) throws(FormatError) {
    guard change == weight else {
      throw FormatError(
        .shapeMismatch, file: file, subject: "layer '\(layer)'",
        problem: "its change is \(change), the base's weight \(weight)",
        remedy: "give the base that the adapter was made for")
    }
  }
}

extension Tensor {
  /// Whether every float32 element is zero. Stops at the first that is not.
  var isZero: Bool {
    withUnsafeElements(of: Float.self) { elements in elements.allSatisfy { $0 == 0 } }
  }
}
