/// Builds the tree of a template from its tokens, with Jinja's grammar.
struct Parser {
  /// How deep tags, brackets and chains of operators may nest. Python stops at about as much, and what
  /// is parsed here is walked by recursion.
  static let greatestDepth = 100

  let tokens: [Token]
  var index = 0
  var depth = 0
  var names = NameTable()
  /// The named blocks, which are parts of their own.
  var blocks: [(name: Name, body: [Statement], position: Int)] = []
  /// Tags that are open, for errors.
  var openTags: [Token] = []

  init(_ tokens: [Token]) { self.tokens = tokens }

  var current: Token { tokens[index] }
  var following: Token { tokens[min(index + 1, tokens.count - 1)] }

  mutating func advance() -> Token {
    defer { if index + 1 < tokens.count { index += 1 } }
    return tokens[index]
  }

  func isSymbol(_ symbol: Token.Symbol) -> Bool { current.kind == .symbol(symbol) }
  func isName(_ name: Text) -> Bool { current.kind == .name && current.text == name }

  mutating func skip(_ symbol: Token.Symbol) -> Bool {
    guard isSymbol(symbol) else { return false }
    index += 1
    return true
  }

  mutating func skip(_ name: Text) -> Bool {
    guard isName(name) else { return false }
    index += 1
    return true
  }

  func unexpected(_ expected: String) -> Failure {
    Failure(
      .syntax, "expected \(expected), found \(current.description)", at: current.position)
  }

  mutating func expect(_ symbol: Token.Symbol) throws(Failure) {
    guard skip(symbol) else { throw unexpected("\"\(symbol.rawValue)\"") }
  }

  mutating func expect(_ name: Text) throws(Failure) {
    guard skip(name) else { throw unexpected("\"\(name.string)\"") }
  }

  mutating func expect(_ kind: Token.Kind, _ what: String) throws(Failure) -> Token {
    guard current.kind == kind else { throw unexpected(what) }
    return advance()
  }

  mutating func nested<Result>(
    _ body: (inout Parser) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Parser.greatestDepth else {
      throw Failure(
        .limit, "nested deeper than \(Parser.greatestDepth) levels", at: current.position)
    }
    return try body(&self)
  }
}
