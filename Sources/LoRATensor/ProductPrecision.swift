import CLoRAKernels

/// What the products of linear layers are computed in. Their sums are float32 in any case.
///
/// It belongs to a task: bind it with ``withValue(_:_:)`` round a computation. What is recorded for
/// a backward pass keeps the precision that it was recorded with.
public enum ProductPrecision: String, Sendable, Hashable, Codable, CaseIterable {
  /// Activations as they are, weights as they are stored: narrow ones are widened exactly.
  case float32
  /// Both factors rounded to bfloat16, where the CPU multiplies those faster (``isBfloat16Fast``);
  /// otherwise as ``float32``.
  case bfloat16
  /// ``bfloat16`` for weights that are stored so, ``float32`` for others.
  case ofWeights

  /// What applies to the current task: ``float32`` unless bound otherwise.
  @TaskLocal public static var current = ProductPrecision.float32

  /// Calls `body` with `precision` in place of the one that applies.
  public static func withValue<R, E: Error>(
    _ precision: ProductPrecision, _ body: () throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = $current.withValue(precision) {
      do throws(E) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Whether this CPU has products of bfloat16 that are faster than those of float32, and the
  /// kernels in use take them.
  public static var isBfloat16Fast: Bool { BlockedProduct.tile.is_rounding_fast }

  /// Whether a product with a weight of type `dtype` rounds its factors.
  package func rounds(weight dtype: DType) -> Bool {
    guard self != .float32, Self.isBfloat16Fast else { return false }
    return dtype == .bfloat16 || (self == .bfloat16 && (dtype == .float32 || dtype.isQuantized))
  }
}
