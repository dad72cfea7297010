/// Rows that a ``Trainer`` makes batches of: token rows, or whatever a model of yours learns from.
///
/// ```swift
/// struct Points: TrainingData {
///   let x: Tensor, y: Tensor  // [rows, size]
///   var rowCount: Int { x.shape[0] }
///   func batch(of rows: [Int]) -> (x: Tensor, y: Tensor) { ... }
/// }
/// ```
public protocol TrainingData<Batch>: Sendable {
  /// What the loss is computed from.
  associatedtype Batch
  /// The number of rows.
  var rowCount: Int { get }
  /// The batch of the rows of these indexes, in this order.
  func batch(of rows: [Int]) -> Batch
  /// How many losses these rows contribute: a step's sum of losses is divided by the sum of these.
  /// The number of rows by default.
  func targetCount(of rows: [Int]) -> Int
  /// How many tokens these rows have, for reports. The number of targets by default.
  func tokenCount(of rows: [Int]) -> Int
  /// A number that differs where the content does, the same in every process: a saved run resumes on
  /// data with the same one only. By default of the number of rows and of each row's targets and
  /// tokens, which does not see what they hold.
  var fingerprint: UInt64 { get }
}

extension TrainingData {
  /// One loss a row.
  public func targetCount(of rows: [Int]) -> Int { rows.count }
  /// As many as there are targets.
  public func tokenCount(of rows: [Int]) -> Int { targetCount(of: rows) }
  /// Of the sizes alone.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for row in 0..<rowCount {
      hash.combine(UInt64(truncatingIfNeeded: targetCount(of: [row])))
      hash.combine(UInt64(truncatingIfNeeded: tokenCount(of: [row])))
    }
    return hash.value
  }
}
