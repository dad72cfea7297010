import LoRAAutograd

/// A training example: the input tokens and the target at each position.
public struct TrainingExample: Sendable, Hashable {
  /// The input token ids.
  public var tokens: [Int]
  /// The next token id for each input token, or -100 if the target is ignored.
  public var targets: [Int]

  /// The target value that is ignored, -100 as in PyTorch.
  public static let ignored = Int(ignoredTarget)

  /// Creates an example from as many tokens as targets.
  public init(tokens: [Int], targets: [Int]) {
    self.tokens = tokens
    self.targets = targets
  }

  /// Creates an example that predicts each token of `sequence` from the tokens before it: n tokens
  /// have n - 1 positions.
  ///
  /// - Parameters:
  ///   - sequence: the token ids of a text.
  ///   - promptLength: the number of prompt tokens at the beginning, which are not learned.
  public init(sequence: [Int], promptLength: Int = 0) {
    tokens = Array(sequence.dropLast())
    targets = Array(sequence.dropFirst())
    for position in 0..<max(0, min(promptLength - 1, targets.count)) {
      targets[position] = Self.ignored
    }
  }

  /// The length of the prompt if the targets ignore nothing else; nil otherwise.
  var promptLength: Int? {
    let ignored = targets.prefix { $0 == Self.ignored }.count
    let follows = zip(tokens.dropFirst(), targets).dropFirst(ignored).allSatisfy { $0 == $1 }
    guard follows, let last = targets.last, last >= 0 else { return nil }
    return ignored == 0 ? 0 : ignored + 1
  }

  /// The tokens with the last target behind them, if that is learned.
  public var sequence: [Int] { tokens + targets.suffix(1).filter { $0 >= 0 } }

  /// The number of targets that are not ignored.
  public var targetCount: Int { targets.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) } }
}
