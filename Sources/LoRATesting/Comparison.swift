public import LoRATensor

/// The comparison of a tensor with its expected value: the worst element and its error.
///
/// ```swift
/// let comparison = compare(layer(x).value, to: expected)
/// #expect(comparison.isWithin(roundings: 8), "\(comparison)")   // or XCTAssert(...)
/// ```
public struct Comparison: Sendable, Hashable {
  /// One rounding of float32 at 1: half the distance from 1 to the next larger number.
  public static let rounding = 0x1p-24

  /// The reason why the tensors can't be compared, such as different shapes; nil if the elements
  /// were compared.
  public var mismatch: String?
  /// The position of the worst element, one index per dimension; nil if there are no elements.
  public var index: [Int]?
  /// The found value of the worst element.
  public var found: Double
  /// The expected value of the worst element.
  public var expected: Double
  /// The largest absolute difference. Infinite if one side is not finite and the other differs, or
  /// if shapes or types are incompatible.
  public var difference: Double
  /// The largest magnitude of the expected elements, the reference of relative errors.
  public var magnitude: Double

  /// The largest difference relative to the largest expected magnitude; 0 for equal tensors.
  public var relativeError: Double {
    if difference == 0 { return 0 }
    return magnitude > 0 ? difference / magnitude : .infinity
  }

  /// The relative error in units of one float32 rounding, 2⁻²⁴. A correct float32 computation has
  /// about the square root of the number of operations behind an element.
  public var roundings: Double { relativeError / Self.rounding }

  /// Whether no element differs by more than `limit`.
  public func isWithin(absolute limit: Double) -> Bool { difference <= limit }

  /// Whether no element differs by more than `limit` times the largest expected magnitude.
  public func isWithin(relative limit: Double) -> Bool { relativeError <= limit }

  /// Whether no element differs by more than `limit` float32 roundings of the largest magnitude.
  public func isWithin(roundings limit: Double) -> Bool { roundings <= limit }
}

extension Comparison: CustomStringConvertible {
  /// The worst element and its error.
  public var description: String {
    if let mismatch { return mismatch }
    guard let index else { return "no elements" }
    if difference == 0 { return "equal" }
    return
      "worst at \(index): found \(found), expected \(expected), difference \(difference), "
      + "relative to the largest magnitude \(relativeError) (\(roundings) float32 roundings)"
  }
}

/// Compares `found` with `expected`, element by element, in double precision.
///
/// Types may differ, shapes may not. Two NaNs are equal, and so are two infinities of the same
/// sign.
public func compare(_ found: Tensor, to expected: Tensor) -> Comparison {
  var result = Comparison(
    mismatch: nil, index: nil, found: 0, expected: 0, difference: 0, magnitude: 0)
  guard found.shape == expected.shape else {
    result.mismatch = "found shape \(found.shape), expected \(expected.shape)"
    result.difference = .infinity
    return result
  }
  let expectedScalars = expected.converted(to: .float64).scalars(as: Double.self)
  let pairs = zip(found.converted(to: .float64).scalars(as: Double.self), expectedScalars)
  var worst = -1.0
  for (position, (x, y)) in pairs.enumerated() {
    if y.isFinite { result.magnitude = max(result.magnitude, abs(y)) }
    var difference = abs(x - y)
    if x == y || (x.isNaN && y.isNaN) { difference = 0 }
    if difference.isNaN { difference = .infinity }
    if difference > worst {
      worst = difference
      result.index = indices(of: position, in: expected.shape)
      (result.found, result.expected, result.difference) = (x, y, difference)
    }
  }
  return result
}

/// The largest absolute difference between two tensors of one shape; infinite for different shapes.
public func maximumDifference(_ a: Tensor, _ b: Tensor) -> Double { compare(a, to: b).difference }

/// The index a dimension of the element at `position` in row-major order.
func indices(of position: Int, in shape: Shape) -> [Int] {
  var rest = position
  var result: [Int] = []
  for extent in shape.dimensions.reversed() {
    result.append(rest % extent)
    rest /= extent
  }
  return result.reversed()
}
