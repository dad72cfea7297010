import LoRAAutograd
public import LoRAModels
import LoRATensor

/// The windows that score a text longer than the model's positions; they advance by a stride.
///
/// ```swift
/// let windows = try ScoringWindows(length: 1024, stride: 512)
/// let evaluation = try model.evaluate(on: data, windows: windows)
/// evaluation.perplexity
/// ```
///
/// Each window scores the tokens that earlier windows have not scored, with the rest of the window
/// as context. A smaller stride gives more context and costs more. The recipe is that of
/// "Perplexity of fixed-length models" in the documentation of transformers. The first token of a
/// text is not scored, nor is the first token of each window if windows do not overlap: nothing
/// precedes them.
public struct ScoringWindows: Sendable, Hashable {
  /// The number of tokens of a window.
  public let length: Int
  /// The number of tokens from the start of one window to the start of the next.
  public let stride: Int

  /// Creates windows of `length` tokens; the stride is half of that unless given. Throws
  /// ``TrainingError`` for a length below 2, and a stride below 1 or above the length.
  public init(length: Int, stride: Int? = nil) throws(TrainingError) {
    guard length >= 2 else {
      throw .invalidOption(name: "the window", value: "\(length)", expected: "at least 2 tokens")
    }
    let stride = stride ?? length / 2
    guard (1...length).contains(stride) else {
      throw .invalidOption(
        name: "the stride", value: "\(stride)", expected: "1 to \(length), the window's length")
    }
    self.length = length
    self.stride = stride
  }

  /// A window: the positions that run through the model, and the first of them that is scored.
  struct Window: Hashable {
    var positions: Range<Int>
    var firstScored: Int
  }

  /// The windows of a sequence of `count` positions, which predict the next tokens.
  func windows(ofPositions count: Int) -> [Window] {
    var windows: [Window] = []
    var (start, scored) = (0, 0)
    while scored < count {
      // A window of n tokens has n - 1 positions that predict one of them.
      let end = min(start + length - 1, count)
      windows.append(Window(positions: start..<end, firstScored: max(start, scored)))
      // Without an overlap the next window's first token is predicted by nobody.
      start += stride
      scored = max(end, min(start, count))
    }
    return windows
  }
}

/// The scores of the tokens of one example of a data set.
public struct ExampleScore: Sendable, Hashable {
  /// The number of scored tokens.
  public internal(set) var tokens = 0
  /// The sum of the negative log-likelihoods, natural logarithm.
  public internal(set) var sum = 0.0
  /// The negative log-likelihood of each token, in order; empty unless requested.
  public internal(set) var losses: [Float] = []

  /// The mean negative log-likelihood.
  public var nll: Double { sum / Double(tokens) }
}

extension LanguageModel {
  /// The scores of every example of `data`, with the adapters that apply here.
  ///
  /// - Parameters:
  ///   - data: the examples; they may be longer than the model's positions if there are windows.
  ///   - windows: the windows for longer examples; nil runs every example as a whole.
  ///   - batchSize: the largest number of examples, or windows, per batch; neighbours of equal
  ///     length share a batch.
  ///   - keepsLosses: whether to keep each token's loss.
  ///   - progress: called with the number of positions done and the total number.
  ///
  /// Throws ``TrainingError`` for examples that the model can't read, and `CancellationError`
  /// between batches if the task is cancelled.
  public func score(
    _ data: TokenDataSet, windows: ScoringWindows? = nil, batchSize: Int = 8,
    keepsLosses: Bool = false, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> [ExampleScore] {
    guard batchSize >= 1 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(batchSize)", expected: "at least 1")
    }
    if windows != nil, targetStart != nil {
      throw TrainingError.invalidOption(
        name: "the window", value: "set",
        expected: "none: a target is scored with all of its source and of what precedes")
    }
    if let windows, windows.length - 1 > maximumPositions {
      throw TrainingError.invalidOption(
        name: "the window", value: "\(windows.length)",
        expected: "at most \(maximumPositions) tokens, the model's positions")
    }
    try data.check(for: self, ignoringLength: windows != nil)
    var scores = [ExampleScore](repeating: ExampleScore(), count: data.exampleCount)
    let total = data.spans.reduce(0) { $0 + $1.length }
    var done = 0
    var batch: [(example: Int, window: ScoringWindows.Window)] = []
    func run() throws {
      guard let length = batch.first?.window.positions.count else { return }
      try Task.checkCancellation()
      var (tokens, targets) = ([Int64](), [Int64]())
      for (example, window) in batch {
        let start = targets.count
        data.append(window.positions, of: data.spans[example], to: &tokens, &targets)
        for index in 0..<window.firstScored - window.positions.lowerBound {
          targets[start + index] = Int64(TrainingExample.ignored)
        }
      }
      let shape: Shape = [batch.count, length]
      let losses = try tokenLosses(
        tokens: Tensor(tokens, shape: shape), targets: Tensor(targets, shape: shape))
      for (index, (example, window)) in batch.enumerated() {
        let values: [Float] = losses[row: index].scalars()
        for (position, value) in values.enumerated() where targets[index * length + position] >= 0 {
          scores[example].tokens += 1
          scores[example].sum += Double(value)
          if keepsLosses { scores[example].losses.append(value) }
        }
        done += window.positions.upperBound - window.firstScored
      }
      batch.removeAll(keepingCapacity: true)
      progress(done, total)
    }
    for (index, span) in data.spans.enumerated() {
      let parts =
        windows?.windows(ofPositions: span.length)
        ?? [.init(positions: 0..<span.length, firstScored: 0)]
      for window in parts {
        if batch.count == batchSize || batch.first?.window.positions.count != window.positions.count
        {
          try run()
        }
        batch.append((index, window))
      }
    }
    try run()
    return scores
  }

  /// The mean loss over `data`, computed in windows; see ``ScoringWindows``.
  public func evaluate(
    on data: TokenDataSet, windows: ScoringWindows, batchSize: Int = 8
  ) throws -> Evaluation {
    let scores = try score(data, windows: windows, batchSize: batchSize)
    let tokens = scores.reduce(0) { $0 + $1.tokens }
    return Evaluation(nll: scores.reduce(0) { $0 + $1.sum } / Double(tokens), tokens: tokens)
  }
}
