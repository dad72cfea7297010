/// What is assigned to.
extension Parser {
  private static let constants: Set<Text> = ["true", "false", "none", "True", "False", "None"]

  mutating func assignable() throws(Failure) -> Name {
    let token = try expect(.name, "a name")
    guard !Parser.constants.contains(token.text) else {
      throw Failure(
        .syntax, "\"\(token.text.string)\" cannot be assigned to", at: token.position)
    }
    return names.name(token.text)
  }

  /// One target, or several with commas between them.
  mutating func target(
    allowingAttributes: Bool = false
  ) throws(Failure) -> Statement.Target {
    try nested { (parser) throws(Failure) in
      let position = parser.current.position
      var items: [Statement.Target] = []
      var isTuple = false
      while !parser.isTupleEnd {
        items.append(try parser.simpleTarget(allowingAttributes: allowingAttributes))
        guard parser.skip(.comma) else { break }
        isTuple = true
      }
      if isTuple { return .tuple(items, at: position) }
      guard let only = items.first else { throw parser.unexpected("a name") }
      return only
    }
  }

  private mutating func simpleTarget(
    allowingAttributes: Bool
  ) throws(Failure) -> Statement.Target {
    let position = current.position
    if skip(.leftParenthesis) {
      if skip(.rightParenthesis) { return .tuple([], at: position) }
      let target = try self.target()
      try expect(.rightParenthesis)
      return target
    }
    guard current.kind == .name else {
      throw Failure(
        .syntax, "\(current.description) cannot be assigned to: expected a name", at: position)
    }
    if allowingAttributes, following.kind == .symbol(.dot),
      !Parser.constants.contains(current.text)
    {
      let object = names.name(advance().text)
      index += 1
      return .attribute(of: object, try expect(.name, "a name").text, at: position)
    }
    return .name(try assignable(), at: position)
  }
}
