/// Follows one generation under an ``OutputConstraint``: says which tokens may come next, and takes
/// the one that was chosen.
///
/// ```swift
/// var matcher = try ConstraintMatcher(constraint, vocabulary: vocabulary)
/// while !matcher.isFinished {
///   let allowed = try matcher.allowedTokens()
///   let token = choose(among: allowed)
///   try matcher.advance(by: token)
/// }
/// ```
///
/// It is a value: a copy goes on by itself, as beams and drafts need. What it has worked out is
/// shared by copies until they change it, so that a copy of a matcher that was used before begins
/// with all that one had learned.
public struct ConstraintMatcher: Sendable {
  /// Masks are kept until they take this much memory.
  private static let mostMaskBytes = 16 << 20

  /// The vocabulary that the ids are of.
  public let vocabulary: TokenVocabulary
  private var matcher: GrammarMatcher
  private var masks: [Int32: TokenMask] = [:]
  private var hasEnded = false

  /// Begins before the first token.
  public init(
    _ constraint: OutputConstraint, vocabulary: TokenVocabulary
  ) throws(ConstraintError) {
    self.vocabulary = vocabulary
    matcher = try GrammarMatcher(constraint.grammar)
  }

  /// Whether the text so far fulfils the constraint, so that it may end.
  public var mayEnd: Bool { matcher.mayEnd }

  /// Whether the generation is over: an end token was taken, or nothing may follow.
  public var isFinished: Bool { hasEnded || !matcher.mayContinue }

  /// The tokens that may come next: those whose bytes go on, and the end tokens where the text may
  /// end. After the end there are none.
  ///
  /// One to three milliseconds for 150,000 tokens within a string, where nearly all are allowed,
  /// and much less elsewhere; microseconds at a place that was met before. Throws
  /// ``ConstraintError`` if the text may not end and no token goes on, which happens only if the
  /// vocabulary lacks single bytes.
  public mutating func allowedTokens() throws(ConstraintError) -> TokenMask {
    guard !hasEnded else { return TokenMask(vocabularySize: vocabulary.count) }
    if matcher.forgetIfFull() { masks = [:] }
    if let known = masks[matcher.place] { return known }
    var mask = try matcher.tokens(of: vocabulary)
    if mayEnd {
      for id in vocabulary.endTokens { mask.insert(id) }
    } else if mask.isEmpty {
      throw ConstraintError(
        .notAllowed, place: "token", expected: "a vocabulary with tokens for all bytes",
        found: "none of its tokens goes on", advice: "use another constraint with this model")
    }
    if (masks.count + 1) * mask.words.count * 8 > Self.mostMaskBytes { masks = [:] }
    masks[matcher.place] = mask
    return mask
  }

  /// Whether a token may come next.
  public mutating func allows(_ token: Int) throws(ConstraintError) -> Bool {
    guard !hasEnded, token >= 0, token < vocabulary.count else { return false }
    if vocabulary.endTokens.contains(token) { return mayEnd }
    let spelling = vocabulary.spellings[token]
    guard !spelling.isEmpty else { return false }
    return try matcher.allows(spelling)
  }

  /// Takes the token that was chosen. Throws ``ConstraintError``, and changes nothing, if it is not
  /// one that may come next.
  public mutating func advance(by token: Int) throws(ConstraintError) {
    let isKnown = token >= 0 && token < vocabulary.count
    if isKnown, !hasEnded {
      if vocabulary.endTokens.contains(token) {
        if mayEnd {
          hasEnded = true
          return
        }
      } else if !vocabulary.spellings[token].isEmpty {
        if matcher.forgetIfFull() { masks = [:] }
        if try matcher.advance(vocabulary.spellings[token]) { return }
      }
    }
    throw ConstraintError(
      .notAllowed, place: "token", expected: "one of allowedTokens()",
      found: isKnown ? "token \(token)" : "\(token), which is none of \(vocabulary.count)",
      advice: "choose among the allowed tokens")
  }
}
