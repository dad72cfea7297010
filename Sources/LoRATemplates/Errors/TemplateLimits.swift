/// What a template may use before it is stopped. Templates come with downloaded models: one that loops
/// for ever, or doubles a text until the memory is full, must end in an error.
public struct TemplateLimits: Sendable, Hashable {
  /// Expressions and statements that are evaluated, and items that are visited.
  public var steps: Int
  /// Evaluations inside of evaluations: nested expressions, blocks and calls of macros.
  public var depth: Int
  /// Characters of the output, and of any text or list on the way to it.
  public var length: Int
  /// Characters and items of all texts and lists that are made, kept or not.
  public var copies: Int

  /// Limits that no template in use comes near: they end a runaway one within seconds.
  public init(
    steps: Int = 20_000_000, depth: Int = 500, length: Int = 16_000_000,
    copies: Int = 150_000_000
  ) {
    self.steps = steps
    self.depth = depth
    self.length = length
    self.copies = copies
  }
}
