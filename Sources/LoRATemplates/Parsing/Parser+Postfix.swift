/// What stands behind a value: attributes, items, calls, filters and tests.
extension Parser {
  private func check(_ count: inout Int) throws(Failure) {
    count += 1
    if count > Parser.greatestDepth {
      throw Failure(
        .limit, "more than \(Parser.greatestDepth) attributes, calls or filters in a row",
        at: current.position)
    }
  }

  mutating func postfix(_ value: Expression) throws(Failure) -> Expression {
    var result = value
    var count = 0
    while true {
      switch current.kind {
      case .symbol(.dot), .symbol(.leftBracket): result = try subscripted(result)
      case .symbol(.leftParenthesis):
        let position = current.position
        result = .call(result, try arguments(), at: position)
      default: return result
      }
      try check(&count)
    }
  }

  mutating func filters(_ value: Expression) throws(Failure) -> Expression {
    var result = value
    var count = 0
    while true {
      switch current.kind {
      case .symbol(.pipe):
        index += 1
        result = try filter(of: result)
      case .name where current.text == "is": result = try test(of: result)
      case .symbol(.leftParenthesis):
        let position = current.position
        result = .call(result, try arguments(), at: position)
      default: return result
      }
      try check(&count)
    }
  }

  private mutating func subscripted(_ value: Expression) throws(Failure) -> Expression {
    let position = current.position
    if skip(.dot) {
      let token = advance()
      switch token.kind {
      case .name: return .attribute(value, token.text, at: position)
      case .integer(let number): return .item(value, .literal(.integer(number)), at: position)
      default:
        throw Failure(
          .syntax, "expected a name or a number, found \(token.description)", at: token.position)
      }
    }
    try expect(.leftBracket)
    var items: [Expression] = []
    var slice: Expression?
    while !isSymbol(.rightBracket) {
      if !items.isEmpty || slice != nil { try expect(.comma) }
      let place = current.position
      if let part = try sliceOrItem(of: value, at: position, into: &items) {
        if slice != nil || !items.isEmpty {
          throw Failure(.syntax, "a slice must be alone in its brackets", at: place)
        }
        slice = part
      } else if slice != nil {
        throw Failure(.syntax, "a slice must be alone in its brackets", at: place)
      }
    }
    try expect(.rightBracket)
    if let slice { return slice }
    return .item(value, items.count == 1 ? items[0] : .tuple(items), at: position)
  }

  private mutating func sliceOrItem(
    of value: Expression, at position: Int, into items: inout [Expression]
  ) throws(Failure) -> Expression? {
    var start: Expression?
    if !isSymbol(.colon) {
      let item = try expression()
      guard isSymbol(.colon) else {
        items.append(item)
        return nil
      }
      start = item
    }
    try expect(.colon)
    let stop = try sliceBound()
    let step = skip(.colon) ? try sliceBound() : nil
    return .slice(value, from: start, to: stop, by: step, at: position)
  }

  private mutating func sliceBound() throws(Failure) -> Expression? {
    if isSymbol(.colon) || isSymbol(.rightBracket) || isSymbol(.comma) { return nil }
    return try expression()
  }

  mutating func arguments() throws(Failure) -> Expression.Arguments {
    let position = current.position
    func demand(_ isRight: Bool) throws(Failure) {
      if !isRight { throw Failure(.syntax, "arguments in a wrong order", at: position) }
    }
    try expect(.leftParenthesis)
    var result = Expression.Arguments()
    var isFirst = true
    while !isSymbol(.rightParenthesis) {
      if !isFirst {
        try expect(.comma)
        if isSymbol(.rightParenthesis) { break }
      }
      isFirst = false
      if skip(.multiply) {
        try demand(result.list == nil && result.dictionary == nil)
        result.list = try expression()
      } else if skip(.power) {
        try demand(result.dictionary == nil)
        result.dictionary = try expression()
      } else if current.kind == .name, following.kind == .symbol(.assign) {
        try demand(result.dictionary == nil)
        let name = current.text
        if result.named.contains(where: { $0.name == name }) {
          throw Failure(
            .syntax, "the argument \"\(name.string)\" is given twice", at: current.position)
        }
        index += 2
        result.named.append((name, try expression()))
      } else {
        try demand(result.list == nil && result.dictionary == nil && result.named.isEmpty)
        result.positional.append(try expression())
      }
    }
    try expect(.rightParenthesis)
    return result
  }

  private mutating func dottedName() throws(Failure) -> Text {
    var name = try expect(.name, "a name").text
    while skip(.dot) { name += Text(".") + (try expect(.name, "a name").text) }
    return name
  }

  /// A filter, behind its bar.
  mutating func filter(of value: Expression?) throws(Failure) -> Expression {
    let position = current.position
    let name = try dottedName()
    let arguments =
      isSymbol(.leftParenthesis) ? try self.arguments() : Expression.Arguments()
    return .filter(value, name, arguments, at: position)
  }

  private mutating func test(of value: Expression) throws(Failure) -> Expression {
    index += 1
    let isNegated = skip("not")
    let position = current.position
    let name = try dottedName()
    var arguments = Expression.Arguments()
    switch current.kind {
    case .symbol(.leftParenthesis): arguments = try self.arguments()
    case .name where ["else", "or", "and"].contains(current.text): break
    case .name where current.text == "is":
      throw Failure(
        .syntax, "tests cannot be chained with \"is\"; write \"and\"", at: current.position)
    case .name, .string, .integer, .float, .symbol(.leftBracket), .symbol(.leftBrace):
      let argument = try nested { (parser) throws(Failure) in
        try parser.postfix(try parser.primary())
      }
      arguments.positional = [argument]
    default: break
    }
    let result = Expression.test(value, name, arguments, at: position)
    return isNegated ? .not(result) : result
  }
}
