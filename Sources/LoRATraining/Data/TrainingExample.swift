import LoRAAutograd

/// One row to learn from: what the model reads, and what it should say next at each position.
public struct TrainingExample: Sendable, Hashable {
  /// The token ids that the model reads.
  public var tokens: [Int]
  /// For each of them the id that follows, or -100 where the answer doesn't count.
  public var targets: [Int]

  /// What a target is where the answer doesn't count, as in PyTorch.
  public static let ignored = Int(ignoredTarget)

  /// Creates an example of equally many tokens and targets.
  public init(tokens: [Int], targets: [Int]) {
    self.tokens = tokens
    self.targets = targets
  }

  /// Creates the example that predicts each token of `row` from those before: a row of n tokens
  /// has n - 1 positions.
  ///
  /// - Parameters:
  ///   - row: the token ids of a text.
  ///   - promptLength: how many tokens at the beginning are given, not learned.
  public init(row: [Int], promptLength: Int = 0) {
    tokens = Array(row.dropLast())
    targets = Array(row.dropFirst())
    for position in 0..<max(0, min(promptLength - 1, targets.count)) {
      targets[position] = Self.ignored
    }
  }

  /// How many tokens are given, if that is all that the targets leave out of what follows each token;
  /// else nil.
  var promptLength: Int? {
    let ignored = targets.prefix { $0 == Self.ignored }.count
    let follows = zip(tokens.dropFirst(), targets).dropFirst(ignored).allSatisfy { $0 == $1 }
    guard follows, let last = targets.last, last >= 0 else { return nil }
    return ignored == 0 ? 0 : ignored + 1
  }

  /// The number of targets that count.
  public var targetCount: Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }
}
