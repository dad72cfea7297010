import LoRATensor

/// Says why a layer's merged numbers can't be stored: which element, what the base has there, and how
/// strongly which adapters were added.
struct MergeFailure {
  /// The layer's path.
  let path: String
  /// The adapters that were merged into it.
  let active: [ActiveAdapter]

  /// The change of one adapter is not finite, whatever its strength: its numbers are.
  func change(_ number: UnstorableNumber) -> AdapterError {
    .overflow(
      layer: path,
      problem:
        "element \(number.position) of the adapter's own change is \(number.value): its numbers "
        + "are finite, their products are beyond float32's \(DType.float32.greatestNumber)",
      remedy: "the adapter is damaged, or the training that made it diverged")
  }

  /// The sum of base and changes is not finite as `number.type`.
  ///
  /// - Parameters:
  ///   - parameter: "weight" or "bias".
  ///   - base: what the base has; nil if it has none.
  func sum(_ number: UnstorableNumber, _ parameter: String, base: Tensor?) -> AdapterError {
    let strengths = active.map { "\($0.strength)" }
    let added =
      strengths.count == 1
      ? "an adapter of strength \(strengths[0])"
      : "adapters of strengths \(strengths.joined(separator: ", "))"
    let own =
      base.flatMap { Self.number(in: $0, at: number.position) }
      .map { "the base's \($0)" } ?? "the base"
    let reason =
      number.value.isFinite
      ? "\(number)"
      : "element \(number.position) is \(number.value), beyond float32's "
        + "\(DType.float32.greatestNumber)"
    return .overflow(
      layer: path, problem: "merged \(parameter): \(reason) (\(own) and \(added))",
      remedy: number.type.isQuantized
        ? "merge at a smaller strength, or without quantizing again"
        : number.value.isFinite
          ? "merge at a smaller strength, or store a type with a wider range (--dtype float32)"
          : "merge at a smaller strength")
  }

  /// What the base has at `position`; nil of quantized weights, and of tables that lie otherwise.
  private static func number(in base: Tensor, at position: [Int]) -> Float? {
    guard !base.dtype.isQuantized, base.shape.count == position.count,
      zip(base.shape.dimensions, position).allSatisfy({ $0 > $1 })
    else { return nil }
    let index = zip(base.shape.dimensions, position).reduce(0) { $0 * $1.0 + $1.1 }
    return base.number(at: index)
  }
}
