/// How well labels were found: accuracy, precision and recall of each label, and which are taken for which.
///
/// ```swift
/// let report = LabelReport(expected: [["card"], ["card"], ["delay"]], found: [["card"], ["delay"], ["delay"]])
/// report.accuracy               // 0.667
/// report.macroF1                // 0.667
/// report.confusions.first       // card, taken for delay once
/// ```
///
/// The numbers are those of scikit-learn's `precision_recall_fscore_support` over the labels that are expected or
/// found somewhere; 0 where a denominator is 0.
public struct LabelReport: Sendable, Hashable {
  /// What was found of one label.
  public struct Label: Sendable, Hashable {
    /// The label.
    public var name: String
    /// How many examples have it.
    public var support: Int
    /// The share of the examples that it was found for that have it.
    public var precision: Double
    /// The share of the examples that have it that it was found for.
    public var recall: Double
    /// The harmonic mean of precision and recall.
    public var f1: Double
  }

  /// A label that was found instead of another.
  public struct Confusion: Sendable, Hashable {
    /// What was right.
    public var expected: String
    /// What was found.
    public var found: String
    /// How often.
    public var count: Int
  }

  /// Whether all labels of each example were found and no other: 1 or 0.
  public let scores: [Double]
  /// The labels, by name.
  public let labels: [Label]
  /// The confusions, the commonest first; none of examples with several labels, or none.
  public let confusions: [Confusion]

  /// The share of the examples of which all labels were found and no other.
  public var accuracy: Double { scores.reduce(0, +) / Double(scores.count) }
  /// The mean of the labels' F1, each label counting once.
  public var macroF1: Double { labels.reduce(0) { $0 + $1.f1 } / Double(labels.count) }

  /// Compares the labels that were expected of each example with those found. Traps unless there are as many of
  /// both.
  public init(expected: [[String]], found: [[String]]) {
    precondition(
      expected.count == found.count, "\(expected.count) and \(found.count) examples with labels")
    var counts: [String: (right: Int, expected: Int, found: Int)] = [:]
    var pairs: [Confusion: Int] = [:]
    var scores: [Double] = []
    for (expected, found) in zip(expected, found) {
      scores.append(Set(expected) == Set(found) ? 1 : 0)
      for label in Set(expected) { counts[label, default: (0, 0, 0)].expected += 1 }
      for label in Set(found) { counts[label, default: (0, 0, 0)].found += 1 }
      for label in Set(expected).intersection(found) {
        counts[label, default: (0, 0, 0)].right += 1
      }
      if expected.count == 1, found.count == 1, expected != found {
        pairs[Confusion(expected: expected[0], found: found[0], count: 0), default: 0] += 1
      }
    }
    func share(_ part: Int, _ whole: Int) -> Double {
      whole == 0 ? 0 : Double(part) / Double(whole)
    }
    self.scores = scores
    labels = counts.sorted { $0.key < $1.key }.map { name, count in
      Label(
        name: name, support: count.expected, precision: share(count.right, count.found),
        recall: share(count.right, count.expected),
        f1: share(2 * count.right, count.expected + count.found))
    }
    confusions = pairs.map { Confusion(expected: $0.expected, found: $0.found, count: $1) }
      .sorted { ($1.count, $0.expected, $0.found) < ($0.count, $1.expected, $1.found) }
  }
}
