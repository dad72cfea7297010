/// Text and tags.
extension Parser {
  /// Parses until a tag of one of the names in `ends`, whose name is then the current token.
  mutating func statements(until ends: [Text]) throws(Failure) -> [Statement] {
    var result: [Statement] = []
    while true {
      let token = advance()
      switch token.kind {
      case .data: result.append(.text(token.text))
      case .variableBegin:
        result.append(.print([try tuple()]))
        _ = try expect(.variableEnd, "\"}}\"")
      case .blockBegin:
        if current.kind == .name, ends.contains(current.text) { return result }
        if let statement = try nested({ (parser) throws(Failure) in try parser.statement() }) {
          result.append(statement)
        }
        _ = try expect(.blockEnd, "the end of the tag")
      case .end:
        guard ends.isEmpty else {
          let open = openTags.last
          throw Failure(
            .syntax,
            "the template ends inside of {% \(open?.text.string ?? "") %}: expected "
              + ends.map { "{% \($0.string) %}" }.joined(separator: " or "),
            at: open?.position ?? token.position)
        }
        return result
      default:
        throw Failure(.syntax, "unexpected \(token.description)", at: token.position)
      }
    }
  }

  /// What a tag encloses; the name of the tag that ends it is the current token, or with `dropping`
  /// already passed.
  mutating func body(_ ends: Text..., dropping: Bool = false) throws(Failure) -> [Statement] {
    _ = skip(.colon)
    _ = try expect(.blockEnd, "the end of the tag")
    let result = try statements(until: ends)
    if dropping { index += 1 }
    return result
  }

  private mutating func statement() throws(Failure) -> Statement? {
    guard current.kind == .name else { throw unexpected("the name of a tag") }
    let tag = advance()
    openTags.append(tag)
    defer { openTags.removeLast() }
    switch tag.text {
    case "if": return try condition()
    case "for": return try loop(at: tag.position)
    case "set": return try set(at: tag.position)
    case "with": return try with(at: tag.position)
    case "macro": return try macro(at: tag.position)
    case "call": return try callBlock(at: tag.position)
    case "filter":
      var filter = try self.filter(of: nil)
      while skip(.pipe) { filter = try self.filter(of: filter) }
      return .filterBlock(
        filter, try body("endfilter", dropping: true), frame: Frame(), at: tag.position)
    case "generation":
      let body = try self.body("endgeneration", dropping: true)
      return .generation(
        Statement.Callable(parameters: [], defaults: [], body: body, position: tag.position),
        at: tag.position)
    case "print": return try printed()
    case "break": return .break(at: tag.position)
    case "continue": return .continue(at: tag.position)
    case "block": return try block(at: tag.position)
    case "autoescape": return try escaping(at: tag.position)
    case "include", "import", "from", "extends": return try otherTemplate(tag)
    default: throw unknown(tag)
    }
  }

  private func unknown(_ tag: Token) -> Failure {
    let open = openTags.dropLast().last
    return Failure(
      .syntax,
      "unknown tag \"\(tag.text.string)\""
        + (open.map { "; the innermost open one is \"\($0.text.string)\"" } ?? ""),
      at: tag.position)
  }

  private mutating func condition() throws(Failure) -> Statement {
    var branches: [(if: Expression, body: [Statement])] = []
    while true {
      let condition = try tuple(allowingCondition: false)
      branches.append((condition, try body("elif", "else", "endif")))
      if skip("elif") { continue }
      if skip("else") { return .condition(branches, else: try body("endif", dropping: true)) }
      index += 1
      return .condition(branches, else: [])
    }
  }

  private mutating func loop(at position: Int) throws(Failure) -> Statement {
    let target = try self.target()
    try expect("in")
    let values = try tuple(allowingCondition: false)
    let condition = skip("if") ? try expression() : nil
    let isRecursive = skip("recursive")
    let body = try self.body("endfor", "else")
    var otherwise: [Statement] = []
    if skip("else") {
      otherwise = try self.body("endfor", dropping: true)
    } else {
      index += 1
    }
    return .loop(
      Statement.Loop(
        target: target, values: values, condition: condition, isRecursive: isRecursive, body: body,
        otherwise: otherwise, position: position))
  }

  private mutating func set(at position: Int) throws(Failure) -> Statement {
    let target = try self.target(allowingAttributes: true)
    if skip(.assign) { return .set(target, try tuple(), isTopLevel: false, at: position) }
    var filter: Expression?
    while skip(.pipe) { filter = try self.filter(of: filter) }
    return .setBlock(
      target, filter: filter, try body("endset", dropping: true), frame: Frame(),
      isTopLevel: false, at: position)
  }

  private mutating func with(at position: Int) throws(Failure) -> Statement {
    var pairs: [(target: Statement.Target, value: Expression)] = []
    while current.kind != .blockEnd {
      if !pairs.isEmpty { try expect(.comma) }
      let target = try self.target()
      try expect(.assign)
      pairs.append((target, try expression()))
    }
    return .with(pairs, try body("endwith", dropping: true), frame: Frame(), at: position)
  }

  private mutating func printed() throws(Failure) -> Statement {
    var values: [Expression] = []
    while current.kind != .blockEnd {
      if !values.isEmpty { try expect(.comma) }
      values.append(try expression())
    }
    return .print(values)
  }

  private mutating func signature(
    at position: Int
  ) throws(Failure) -> (parameters: [Name], defaults: [Expression]) {
    var parameters: [Name] = []
    var defaults: [Expression] = []
    try expect(.leftParenthesis)
    while !isSymbol(.rightParenthesis) {
      if !parameters.isEmpty { try expect(.comma) }
      let parameter = try assignable()
      if parameters.contains(parameter) {
        throw Failure(.syntax, "a parameter is named twice", at: position)
      }
      if skip(.assign) {
        defaults.append(try expression())
      } else if !defaults.isEmpty {
        throw Failure(
          .syntax, "a parameter without a default follows one with a default",
          at: current.position)
      }
      parameters.append(parameter)
    }
    try expect(.rightParenthesis)
    return (parameters, defaults)
  }

  private mutating func macro(at position: Int) throws(Failure) -> Statement {
    let name = try assignable()
    let (parameters, defaults) = try signature(at: position)
    let body = try self.body("endmacro", dropping: true)
    return .macro(
      name,
      Statement.Callable(
        name: name, parameters: parameters, defaults: defaults, body: body, position: position),
      isTopLevel: false)
  }

  private mutating func callBlock(at position: Int) throws(Failure) -> Statement {
    let (parameters, defaults) =
      isSymbol(.leftParenthesis) ? try signature(at: position) : ([], [])
    let call = try expression()
    guard case .call = call else {
      throw Failure(.syntax, "expected the call of a macro", at: position)
    }
    let body = try self.body("endcall", dropping: true)
    return .callBlock(
      call,
      Statement.Callable(
        parameters: parameters, defaults: defaults, body: body, position: position),
      at: position)
  }

  private mutating func block(at position: Int) throws(Failure) -> Statement {
    let text = try expect(.name, "a name").text
    let name = names.name(text)
    let isScoped = skip("scoped")
    let isRequired = skip("required")
    let body = try self.body("endblock", dropping: true)
    _ = skip(text)
    if isRequired {
      let isBlank = body.allSatisfy {
        if case .text(let text) = $0 { text.scalars.allSatisfy(\.isPythonSpace) } else { false }
      }
      if !isBlank {
        throw Failure(.syntax, "a required block must be empty", at: position)
      }
    }
    if blocks.contains(where: { $0.name == name }) {
      throw Failure(.syntax, "the block \"\(text.string)\" is defined twice", at: position)
    }
    blocks.append((name, body, position))
    return .block(name, isScoped: isScoped, isRequired: isRequired, at: position)
  }

  private mutating func escaping(at position: Int) throws(Failure) -> Statement {
    let condition = try expression()
    return .escaping(
      condition, try body("endautoescape", dropping: true), frame: Frame(), at: position)
  }

  /// Parsed, so that a template that never comes there renders; see ``Statement/otherTemplate``.
  private mutating func otherTemplate(_ tag: Token) throws(Failure) -> Statement {
    _ = try expression()
    var stores: [Name] = []
    switch tag.text {
    case "include":
      if isName("ignore"), following.text == "missing" { index += 2 }
      skipContext()
    case "import":
      try expect("as")
      stores.append(try assignable())
      skipContext()
    case "from":
      try expect("import")
      while true {
        skipContext()
        if current.kind == .blockEnd { break }
        let name = try assignable()
        stores.append(skip("as") ? try assignable() : name)
        skipContext()
        guard skip(.comma) else { break }
      }
    default: break
    }
    return .otherTemplate(tag.text, stores: stores, at: tag.position)
  }

  private mutating func skipContext() {
    if isName("with") || isName("without"), following.text == "context" { index += 2 }
  }
}
