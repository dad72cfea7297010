import CLoRAKernels

/// The precision of matrix products in linear layers. Sums are always float32.
///
/// The precision belongs to a task: bind it with ``withValue(_:_:)`` around a computation. A
/// recorded operation keeps its precision for the backward pass.
public enum ProductPrecision: String, Sendable, Hashable, Codable, CaseIterable {
  /// Activations and weights are not rounded; narrow weights are widened exactly.
  case float32
  /// Both factors are rounded to bfloat16 if the CPU multiplies bfloat16 faster
  /// (``isBfloat16Fast``); otherwise as ``float32``.
  case bfloat16
  /// ``bfloat16`` for weights stored in bfloat16, ``float32`` for others.
  case ofWeights

  /// The precision of the current task: ``float32`` unless bound otherwise.
  @TaskLocal public static var current = ProductPrecision.float32

  /// Calls `body` with `precision` bound to the task.
  public static func withValue<R, E: Error>(
    _ precision: ProductPrecision, _ body: () throws(E) -> R
  ) throws(E) -> R {
    let result: Result<R, E> = $current.withValue(precision) {
      do throws(E) { return .success(try body()) } catch { return .failure(error) }
    }
    return try result.get()
  }

  /// Whether bfloat16 products are faster than float32 products on this CPU and supported by the
  /// current kernels.
  public static var isBfloat16Fast: Bool { BlockedProduct.tile.is_rounding_fast }

  /// Whether a product with a weight of type `dtype` rounds its factors.
  package func rounds(weight dtype: DType) -> Bool {
    guard self != .float32, Self.isBfloat16Fast else { return false }
    return dtype == .bfloat16 || (self == .bfloat16 && (dtype == .float32 || dtype.isQuantized))
  }
}
