/// Training examples that a ``Trainer`` batches: token sequences, or whatever your model learns
/// from.
///
/// ```swift
/// struct Points: TrainingData {
///   let x: Tensor, y: Tensor  // [examples, size]
///   var exampleCount: Int { x.shape[0] }
///   func batch(of examples: [Int]) -> (x: Tensor, y: Tensor) { ... }
/// }
/// ```
public protocol TrainingData<Batch>: Sendable {
  /// A batch: the input of the loss.
  associatedtype Batch
  /// The number of examples.
  var exampleCount: Int { get }
  /// The batch of the examples at these indexes, in this order.
  func batch(of examples: [Int]) -> Batch
  /// The number of targets in these examples. The number of examples by default.
  func targetCount(of examples: [Int]) -> Int
  /// The sum of the weights of the targets in these examples: a step's sum of losses is divided by it. The
  /// number of targets by default.
  func targetWeight(of examples: [Int]) -> Double
  /// The number of tokens in these examples, for reports. The number of targets by default.
  func tokenCount(of examples: [Int]) -> Int
  /// A fingerprint of the content, the same in every process: a saved run resumes only on data with
  /// the same fingerprint. The default is computed from the number of examples and the targets and
  /// tokens of each, and does not see their content.
  var fingerprint: UInt64 { get }
}

extension TrainingData {
  /// One target per example.
  public func targetCount(of examples: [Int]) -> Int { examples.count }
  /// Every target counts once.
  public func targetWeight(of examples: [Int]) -> Double { Double(targetCount(of: examples)) }
  /// One token per target.
  public func tokenCount(of examples: [Int]) -> Int { targetCount(of: examples) }
  /// The fingerprint of the sizes alone.
  public var fingerprint: UInt64 {
    var hash = ContentHash()
    for index in 0..<exampleCount {
      hash.combine(UInt64(truncatingIfNeeded: targetCount(of: [index])))
      hash.combine(UInt64(truncatingIfNeeded: tokenCount(of: [index])))
    }
    return hash.value
  }
}
