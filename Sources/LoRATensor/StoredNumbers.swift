/// A value that does not fit its storage type: too large, or not finite to begin with. Writing or
/// merging weights throws it instead of storing an infinity.
package struct UnstorableNumber: Error, Sendable, Hashable {
  /// The position of the element, one index per dimension.
  package let position: [Int]
  /// The value before rounding, possibly infinite or NaN.
  package let value: Float
  /// The storage type.
  package let type: DType

  /// Creates an error from its parts.
  package init(position: [Int], value: Float, type: DType) {
    self.position = position
    self.value = value
    self.type = type
  }
}

extension UnstorableNumber: CustomStringConvertible {
  /// The element, its value, and the limit it exceeds.
  package var description: String {
    let element = "element \(position)"
    guard value.isFinite else { return "\(element) is \(value), not a finite number" }
    return type.isQuantized
      ? "\(element) is \(value), and the scale of its block of \(type) would be beyond float16's "
        + "\(DType.float16.greatestNumber)"
      : "\(element) is \(value), beyond \(type)'s \(type.greatestNumber)"
  }
}

extension DType {
  /// The largest finite number of a floating-point type; of quantized types that of their scales.
  package var greatestNumber: Float {
    switch self {
    case .bfloat16: Float(bitPattern: 0x7F7F_0000)
    case .float32, .float64: .greatestFiniteMagnitude
    default: 65504
    }
  }
}

extension Tensor {
  /// The elements as `type`, as ``converted(to:)`` has them. Throws if that is not finite for one of
  /// them.
  package func stored(as type: DType) throws(UnstorableNumber) -> Tensor {
    // The scales of blocks with a NaN may be numbers all the same.
    if type.isQuantized, type != dtype { try checkFinite() }
    let result = converted(to: type)
    guard let index = result.firstNonFiniteIndex() else { return result }
    throw UnstorableNumber(
      position: position(of: index),
      value: largestMagnitude(from: index, count: result.dtype.blockElements), type: type)
  }

  /// Throws if an element of a floating-point type is not finite.
  package func checkFinite() throws(UnstorableNumber) {
    guard let index = firstNonFiniteIndex() else { return }
    throw UnstorableNumber(
      position: position(of: index), value: dtype.isQuantized ? .infinity : number(at: index),
      type: dtype)
  }

  /// The element at `index` in row-major order, rounded to float32. Not for quantized types.
  package func number(at index: Int) -> Float {
    reshaped(to: [elementCount])[rows: index..<index + 1].converted(to: .float32).scalars()[0]
  }

  /// The position, one for each dimension, of element `index` in row-major order.
  package func position(of index: Int) -> [Int] {
    var rest = index
    return shape.dimensions.reversed().map { extent in
      defer { rest /= max(extent, 1) }
      return rest % max(extent, 1)
    }.reversed()
  }

  /// Of `count` elements from `index` on the one with the largest magnitude; a NaN is larger than all.
  private func largestMagnitude(from index: Int, count: Int) -> Float {
    if dtype.isQuantized { return .infinity }
    let part = reshaped(to: [elementCount])[rows: index..<min(elementCount, index + count)]
    return part.converted(to: .float32).scalars().reduce(0) { largest, next in
      largest.isNaN || next.magnitude <= largest.magnitude ? largest : next
    }
  }
}
