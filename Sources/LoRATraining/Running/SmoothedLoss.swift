/// An exponential moving average of losses over about twenty steps, corrected for its beginning: the weights of
/// the losses so far add up to one.
package struct SmoothedLoss: Sendable {
  private var sum = 0.0
  private var weight = 0.0
  package private(set) var count = 0

  package init() {}

  package mutating func add(_ loss: Double) {
    sum = 0.95 * sum + 0.05 * loss
    weight = 0.95 * weight + 0.05
    count += 1
  }

  /// The average; 0 before the first loss.
  package var value: Double { weight == 0 ? 0 : sum / weight }
}
