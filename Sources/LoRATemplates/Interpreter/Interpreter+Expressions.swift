extension Interpreter {
  func evaluate(_ expression: Expression, _ scope: Scope) throws(Failure) -> Value {
    try charge()
    switch expression {
    case .literal(let literal): return value(of: literal)
    case .name(let name, let position):
      self.position = position
      return value(of: name, scope)
    default: return try nested { () throws(Failure) in try evaluateParts(expression, scope) }
    }
  }

  private func value(of literal: Expression.Literal) -> Value {
    switch literal {
    case .none: .none
    case .bool(let value): .bool(value)
    case .integer(let value): .integer(value)
    case .float(let value): .float(value)
    case .string(let value): .string(value)
    }
  }

  func value(of name: Name, _ scope: Scope) -> Value {
    let value = scope.knows(name) ? scope.value(name) : variables[name]
    return value ?? .undefined(.variable(program.names[name]))
  }

  private func evaluateParts(
    _ expression: Expression, _ scope: Scope
  ) throws(Failure) -> Value {
    switch expression {
    case .literal, .name: return try evaluate(expression, scope)
    case .tuple(let items): return try .tuple(of: try evaluate(items, scope))
    case .list(let items): return try .list(of: try evaluate(items, scope))
    case .dictionary(let items, let position):
      return try evaluateDictionary(items, scope, at: position)
    case .conditional(let condition, let then, let otherwise, _):
      if try evaluate(condition, scope).isTrue { return try evaluate(then, scope) }
      if let otherwise { return try evaluate(otherwise, scope) }
      return .undefined(
        .hint("the inline \"if\" was false and has no \"else\": there is no value"))
    case .or(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? value : try evaluate(right, scope)
    case .and(let left, let right):
      let value = try evaluate(left, scope)
      return value.isTrue ? try evaluate(right, scope) : value
    case .not(let value): return .bool(!(try evaluate(value, scope).isTrue))
    case .compare(let first, let rest, let position):
      return try evaluateComparison(first, rest, scope, at: position)
    case .arithmetic(let first, let rest):
      var value = try evaluate(first, scope)
      for (operation, operand, position) in rest {
        let right = try evaluate(operand, scope)
        self.position = position
        value = try compute(value, operation, right)
      }
      return value
    case .sign(let isNegative, let operand, let position):
      let value = try evaluate(operand, scope)
      self.position = position
      return try signed(value, isNegative: isNegative)
    case .concatenation(let items, let position):
      return try evaluateConcatenation(items, scope, at: position)
    case .attribute(let object, let name, let position):
      let value = try evaluate(object, scope)
      self.position = position
      return try attribute(name, of: value)
    case .item(let object, let key, let position):
      let value = try evaluate(object, scope)
      let key = try evaluate(key, scope)
      self.position = position
      return try item(key, of: value)
    case .slice(let object, let start, let stop, let step, let position):
      return try evaluateSlice(object, start, stop, step, scope, at: position)
    case .call(let function, let arguments, let position):
      return try evaluateCall(function, arguments, scope, at: position, caller: nil)
    case .filter: return try evaluateFilter(expression, of: nil, scope)
    case .test(let value, let name, let arguments, let position):
      let value = try evaluate(value, scope)
      let arguments = try evaluate(arguments, scope)
      self.position = position
      return .bool(try check(name, value, arguments))
    }
  }

  private func evaluate(_ items: [Expression], _ scope: Scope) throws(Failure) -> [Value] {
    var result: [Value] = []
    result.reserveCapacity(items.count)
    for item in items { result.append(try evaluate(item, scope)) }
    return result
  }

  private func evaluateDictionary(
    _ items: [(key: Expression, value: Expression)], _ scope: Scope, at position: Int
  ) throws(Failure) -> Value {
    var pairs: [(key: Value, value: Value)] = []
    for (key, value) in items {
      pairs.append((try evaluate(key, scope), try evaluate(value, scope)))
    }
    self.position = position
    return .dictionary(try DictionaryValue(pairs))
  }

  private func evaluateConcatenation(
    _ items: [Expression], _ scope: Scope, at position: Int
  ) throws(Failure) -> Value {
    var parts: [Text] = []
    var count = 0
    for value in try evaluate(items, scope) {
      self.position = position
      let part = try text(of: value)
      count += part.count
      parts.append(part)
    }
    try charge(copies: count)
    return .string(Text().joining(parts))
  }

  private func evaluateSlice(
    _ object: Expression, _ start: Expression?, _ stop: Expression?, _ step: Expression?,
    _ scope: Scope, at position: Int
  ) throws(Failure) -> Value {
    let value = try evaluate(object, scope)
    var bounds: [Value] = []
    for bound in [start, stop, step] {
      bounds.append(
        try bound.map { (bound) throws(Failure) in try evaluate(bound, scope) } ?? .none)
    }
    self.position = position
    return try slice(value, from: bounds[0], to: bounds[1], by: bounds[2])
  }

  private func evaluateComparison(
    _ first: Expression, _ rest: [(by: Expression.Comparison, with: Expression)],
    _ scope: Scope, at position: Int
  ) throws(Failure) -> Value {
    var left = try evaluate(first, scope)
    for (comparison, operand) in rest {
      let right = try evaluate(operand, scope)
      self.position = position
      guard try compare(left, comparison, right) else { return .bool(false) }
      left = right
    }
    return .bool(true)
  }

  func evaluate(
    _ arguments: Expression.Arguments, _ scope: Scope
  ) throws(Failure) -> CallArguments {
    var result = CallArguments()
    result.positional = try evaluate(arguments.positional, scope)
    for (name, value) in arguments.named {
      result.named.append((name, try evaluate(value, scope)))
    }
    if let list = arguments.list {
      result.positional += try iterate(try evaluate(list, scope))
    }
    if let dictionary = arguments.dictionary {
      guard case .dictionary(let pairs) = try evaluate(dictionary, scope) else {
        throw .value("what stands behind \"**\" must be a dictionary")
      }
      for (key, value) in pairs.pairs {
        guard let name = key.text else { throw .value("names of arguments must be strings") }
        guard !result.named.contains(where: { $0.name == name }) else {
          throw .value("the argument \"\(name.string)\" is given twice")
        }
        result.named.append((name, value))
      }
    }
    return result
  }

  /// Applies a filter, and those inside of it, to its expression or to `value`.
  func evaluateFilter(
    _ expression: Expression, of value: Value?, _ scope: Scope
  ) throws(Failure) -> Value {
    guard case .filter(let operand, let name, let arguments, let position) = expression else {
      return try evaluate(expression, scope)
    }
    let input: Value
    if case .filter? = operand {
      input = try nested { () throws(Failure) in
        try evaluateFilter(operand ?? expression, of: value, scope)
      }
    } else if let operand {
      input = try evaluate(operand, scope)
    } else {
      input = value ?? .none
    }
    let given = try evaluate(arguments, scope)
    self.position = position
    return try filter(name, input, given)
  }

  /// `str(value)`.
  func text(of value: Value) throws(Failure) -> Text {
    if let text = value.text { return text }
    let text = try ValuePrinter.text(value, limit: limits.length)
    try charge(copies: text.count)
    return text
  }
}
