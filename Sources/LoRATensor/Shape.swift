/// The extents of a tensor, outermost first. Elements are contiguous in row-major order.
///
/// ```swift
/// let shape: Shape = [2, 3]
/// shape.count         // 2 dimensions
/// shape.elementCount  // 6
/// ```
///
/// The shape `[]` is a scalar: no dimensions, one element.
public struct Shape: Sendable, Hashable, RandomAccessCollection, ExpressibleByArrayLiteral {
  /// The extents.
  public let dimensions: [Int]
  /// The product of the extents; 1 for a scalar.
  public let elementCount: Int

  /// Creates a shape. Traps on a negative extent and if the number of elements overflows: file
  /// readers check first with ``init(checking:)``.
  public init(_ dimensions: [Int]) {
    guard let shape = Shape(checking: dimensions) else {
      misuse(
        "shape \(dimensions) has a negative extent or more elements than can be counted; "
          + "Shape(checking:) returns nil for one")
    }
    self = shape
  }

  /// Creates a shape; nil if an extent is negative or if the number of elements (or of bytes, at up
  /// to 16 per element) does not fit an `Int`.
  public init?(checking dimensions: [Int]) {
    var count = 1
    var hasZero = false
    for extent in dimensions {
      guard extent >= 0 else { return nil }
      if extent == 0 {
        hasZero = true
        continue
      }
      let (product, overflow) = count.multipliedReportingOverflow(by: extent)
      guard !overflow, product <= Int.max / 16 else { return nil }
      count = product
    }
    self.dimensions = dimensions
    self.elementCount = hasZero ? 0 : count
  }

  /// The shape of these extents.
  public init(arrayLiteral elements: Int...) { self.init(elements) }

  /// The position of the outermost extent.
  public var startIndex: Int { 0 }
  /// The number of dimensions.
  public var endIndex: Int { dimensions.count }
  /// The extent of dimension `position`; negative positions count from the end.
  public subscript(position: Int) -> Int {
    dimensions[position < 0 ? dimensions.count + position : position]
  }

  /// The extent of the last dimension; 1 for a scalar.
  public var innermost: Int { dimensions.last ?? 1 }

  /// The number of rows if all but the last dimension are flattened.
  public var rowCount: Int { innermost == 0 ? 0 : elementCount / innermost }

  /// This shape with its last extent replaced.
  public func replacingInnermost(with extent: Int) -> Shape {
    Shape(dimensions.dropLast() + [extent])
  }
}

extension Shape: CustomStringConvertible {
  /// The extents in brackets.
  public var description: String { "\(dimensions)" }
}
