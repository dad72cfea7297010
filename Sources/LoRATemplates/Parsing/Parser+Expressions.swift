/// Expressions, from the loosest operator to the tightest.
extension Parser {
  mutating func expression(allowingCondition: Bool = true) throws(Failure) -> Expression {
    try nested { (parser) throws(Failure) in
      allowingCondition ? try parser.conditional() : try parser.or()
    }
  }

  private mutating func conditional() throws(Failure) -> Expression {
    let position = current.position
    var result = try or()
    var count = 0
    while skip("if") {
      let condition = try or()
      var otherwise: Expression?
      if skip("else") {
        otherwise = try nested { (parser) throws(Failure) in try parser.conditional() }
      }
      try check(&count)
      result = .conditional(if: condition, then: result, else: otherwise, at: position)
    }
    return result
  }

  /// Chains grow trees as brackets do.
  private func check(_ count: inout Int) throws(Failure) {
    count += 1
    if count > Parser.greatestDepth {
      throw Failure(
        .limit, "more than \(Parser.greatestDepth) operators in a row", at: current.position)
    }
  }

  private mutating func or() throws(Failure) -> Expression {
    var result = try and()
    var count = 0
    while skip("or") {
      try check(&count)
      result = .or(result, try and())
    }
    return result
  }

  private mutating func and() throws(Failure) -> Expression {
    var result = try not()
    var count = 0
    while skip("and") {
      try check(&count)
      result = .and(result, try not())
    }
    return result
  }

  private mutating func not() throws(Failure) -> Expression {
    guard skip("not") else { return try comparison() }
    return .not(try nested { (parser) throws(Failure) in try parser.not() })
  }

  private mutating func comparison() throws(Failure) -> Expression {
    let position = current.position
    let first = try sum()
    var rest: [(by: Expression.Comparison, with: Expression)] = []
    while let comparison = nextComparison() { rest.append((comparison, try sum())) }
    return rest.isEmpty ? first : .compare(first, rest, at: position)
  }

  private mutating func nextComparison() -> Expression.Comparison? {
    let result: Expression.Comparison
    switch current.kind {
    case .symbol(.equal): result = .equal
    case .symbol(.notEqual): result = .notEqual
    case .symbol(.less): result = .less
    case .symbol(.lessOrEqual): result = .lessOrEqual
    case .symbol(.greater): result = .greater
    case .symbol(.greaterOrEqual): result = .greaterOrEqual
    case .name where current.text == "in": result = .in
    case .name where current.text == "not" && following.kind == .name && following.text == "in":
      index += 1
      result = .notIn
    default: return nil
    }
    index += 1
    return result
  }

  private mutating func sum() throws(Failure) -> Expression {
    let first = try concatenation()
    var rest: [(by: Expression.Operation, with: Expression, at: Int)] = []
    while true {
      let position = current.position
      if skip(.plus) {
        rest.append((.add, try concatenation(), position))
      } else if skip(.minus) {
        rest.append((.subtract, try concatenation(), position))
      } else {
        return rest.isEmpty ? first : .arithmetic(first, rest)
      }
    }
  }

  private mutating func concatenation() throws(Failure) -> Expression {
    let position = current.position
    var parts = [try product()]
    while skip(.tilde) { parts.append(try product()) }
    return parts.count == 1 ? parts[0] : .concatenation(parts, at: position)
  }

  private mutating func product() throws(Failure) -> Expression {
    let first = try power()
    var rest: [(by: Expression.Operation, with: Expression, at: Int)] = []
    while true {
      let operation: Expression.Operation
      switch current.kind {
      case .symbol(.multiply): operation = .multiply
      case .symbol(.divide): operation = .divide
      case .symbol(.floorDivide): operation = .divideDown
      case .symbol(.remainder): operation = .remainder
      default: return rest.isEmpty ? first : .arithmetic(first, rest)
      }
      let position = advance().position
      rest.append((operation, try power(), position))
    }
  }

  /// From left to right and weaker than a sign, as Jinja has it and Python not.
  private mutating func power() throws(Failure) -> Expression {
    let first = try unary()
    var rest: [(by: Expression.Operation, with: Expression, at: Int)] = []
    while isSymbol(.power) {
      let position = advance().position
      rest.append((.power, try unary(), position))
    }
    return rest.isEmpty ? first : .arithmetic(first, rest)
  }

  private mutating func unary(allowingFilters: Bool = true) throws(Failure) -> Expression {
    let position = current.position
    var result: Expression
    if isSymbol(.minus) || isSymbol(.plus) {
      let isNegative = isSymbol(.minus)
      index += 1
      let operand = try nested { (parser) throws(Failure) in
        try parser.unary(allowingFilters: false)
      }
      result = .sign(isNegative: isNegative, operand, at: position)
    } else {
      result = try primary()
    }
    result = try postfix(result)
    return allowingFilters ? try filters(result) : result
  }

  mutating func primary() throws(Failure) -> Expression {
    let token = advance()
    switch token.kind {
    case .name:
      switch token.text {
      case "true", "True": return .literal(.bool(true))
      case "false", "False": return .literal(.bool(false))
      case "none", "None": return .literal(.none)
      default: return .name(names.name(token.text), at: token.position)
      }
    case .string:
      var text = token.text
      while current.kind == .string { text += advance().text }
      return .literal(.string(text))
    case .integer(let value): return .literal(.integer(value))
    case .float(let value): return .literal(.float(value))
    case .symbol(.leftParenthesis):
      let result = try tuple(isInParentheses: true)
      try expect(.rightParenthesis)
      return result
    case .symbol(.leftBracket): return try list()
    case .symbol(.leftBrace): return try dictionary(at: token.position)
    default:
      throw Failure(
        .syntax, "expected an expression, found \(token.description)", at: token.position)
    }
  }

  /// One expression, or several with commas between them.
  mutating func tuple(
    allowingCondition: Bool = true, isInParentheses: Bool = false
  ) throws(Failure) -> Expression {
    var items: [Expression] = []
    var isTuple = false
    while !isTupleEnd {
      items.append(try expression(allowingCondition: allowingCondition))
      guard skip(.comma) else { break }
      isTuple = true
    }
    if isTuple { return .tuple(items) }
    if let only = items.first { return only }
    guard isInParentheses else { throw unexpected("an expression") }
    return .tuple([])
  }

  /// Whether nothing follows a last comma. Jinja means to ask for "in" and "recursive" too, and does not.
  var isTupleEnd: Bool {
    switch current.kind {
    case .variableEnd, .blockEnd, .symbol(.rightParenthesis): true
    default: false
    }
  }

  private mutating func list() throws(Failure) -> Expression {
    var items: [Expression] = []
    while !isSymbol(.rightBracket) {
      if !items.isEmpty {
        try expect(.comma)
        if isSymbol(.rightBracket) { break }
      }
      items.append(try expression())
    }
    try expect(.rightBracket)
    return .list(items)
  }

  private mutating func dictionary(at position: Int) throws(Failure) -> Expression {
    var items: [(key: Expression, value: Expression)] = []
    while !isSymbol(.rightBrace) {
      if !items.isEmpty {
        try expect(.comma)
        if isSymbol(.rightBrace) { break }
      }
      let key = try expression()
      try expect(.colon)
      items.append((key, try expression()))
    }
    try expect(.rightBrace)
    return .dictionary(items, at: position)
  }
}
