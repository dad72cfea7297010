/// What a model sees of a text that is longer than its positions, or than a limit: the first tokens, which
/// say what it is about, and the newest. What was in between is forgotten.
///
/// Whenever there is no room for the next token, half of what may be forgotten is. What comes then is what
/// comes after the remaining tokens alone, exactly: they pass through the model again instead of having
/// their keys turned to other positions. So every token of a text without end costs about one more
/// token's pass, in pieces of half the limit.
///
/// ```swift
/// var options = GenerationOptions(maximumTokens: 10_000)
/// options.context = ContextWindow(limit: 1024)
/// ```
public struct ContextWindow: Sendable, Hashable {
  /// The most tokens that the model sees; nil for as many as it has positions.
  public var limit: Int?
  /// How many of the first tokens stay: by default enough for a token that begins every text, and the
  /// first words, on which much attention rests.
  ///
  /// Source: Xiao et al., *Efficient streaming language models with attention sinks*, 2023.
  public var kept: Int

  /// Creates a window.
  public init(limit: Int? = nil, kept: Int = 4) {
    self.limit = limit
    self.kept = kept
  }

  /// What remains of `tokens`, which are `most` or more.
  func remembered(of tokens: [Int], most: Int) -> [Int] {
    Array(tokens.prefix(kept) + tokens.dropFirst(kept).suffix(max(1, (most - kept) / 2)))
  }

  /// The most tokens that `model` sees, which has `positions` beside virtual tokens.
  ///
  /// Throws for a window that nothing could be forgotten in.
  func length(within positions: Int, of model: any LanguageModel) throws(SequenceError) -> Int {
    guard model.targetStart == nil else {
      throw .invalidOption(
        name: "the context's window", value: "\(self)",
        expected: "none: the model reads a source, of which nothing can be forgotten")
    }
    let length = min(limit ?? positions, positions)
    guard length >= 2 else {
      throw .invalidOption(
        name: "the context's limit", value: "\(length) tokens", expected: "at least 2")
    }
    guard (0...length - 2).contains(kept) else {
      throw .invalidOption(
        name: "the context's kept tokens", value: "\(kept)",
        expected: "from 0 to \(length - 2): of \(length) tokens one is forgotten and one is new")
    }
    return length
  }
}
