/// Training examples that a ``Trainer`` batches: token sequences, or whatever your model learns
/// from.
///
/// ```swift
/// struct Points: TrainingData {
///   let x: Tensor, y: Tensor  // [rows, size]
///   var rowCount: Int { x.shape[0] }
///   func batch(of rows: [Int]) -> (x: Tensor, y: Tensor) { ... }
/// }
/// ```
public protocol TrainingData<Batch>: Sendable {
  /// A batch: the input of the loss.
  associatedtype Batch
  /// The number of examples.
  var rowCount: Int { get }
  /// The batch of the examples at these indexes, in this order.
  func batch(of rows: [Int]) -> Batch
  /// The number of targets in these examples: a step's sum of losses is divided by it. The number
  /// of examples by default.
  func targetCount(of rows: [Int]) -> Int
  /// The number of tokens in these examples, for reports. The number of targets by default.
  func tokenCount(of rows: [Int]) -> Int
  /// A fingerprint of the content, the same in every process: a saved run resumes only on data with
  /// the same fingerprint. The default is computed from the number of examples and the targets and
  /// tokens of each, and does not see their content.
  var fingerprint: UInt64 { get }
}

extension TrainingData {
  /// One target per example.
  public func targetCount(of rows: [Int]) -> Int { rows.count }
  /// One token per target.
  public func tokenCount(of rows: [Int]) -> Int { targetCount(of: rows) }
  /// The fingerprint of the sizes alone.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for row in 0..<rowCount {
      hash.combine(UInt64(truncatingIfNeeded: targetCount(of: [row])))
      hash.combine(UInt64(truncatingIfNeeded: tokenCount(of: [row])))
    }
    return hash.value
  }
}
