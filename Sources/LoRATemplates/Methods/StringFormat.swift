/// `"{0} and {name:>10}".format(...)`.
extension Interpreter {
  func format(
    _ text: Text, _ method: Text, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    var arguments = arguments
    if method == "format_map" {
      guard arguments.named.isEmpty, arguments.positional.count == 1 else {
        throw .value("\"format_map\" takes one dictionary")
      }
      guard case .dictionary(let dictionary) = arguments.positional[0] else {
        throw .value("\"format_map\" takes a dictionary")
      }
      arguments = CallArguments()
      for (key, value) in dictionary.pairs {
        if let name = key.text { arguments.named.append((name, value)) }
      }
    }
    var next: Int? = 0
    let result = try format(text, arguments, &next, depth: 2)
    try charge(copies: result.count)
    return .string(result)
  }

  /// `next` counts fields without a number, nil once one had a number.
  private func format(
    _ text: Text, _ arguments: CallArguments, _ next: inout Int?, depth: Int
  ) throws(Failure) -> Text {
    guard depth > 0 else { throw .value("fields of a format are nested too deeply") }
    var result = Text()
    var index = 0
    let scalars = text.scalars
    while index < scalars.count {
      let scalar = scalars[index]
      index += 1
      if scalar == "{" || scalar == "}" {
        if index < scalars.count, scalars[index] == scalar {
          index += 1
          result.append(scalar)
          continue
        }
        guard scalar == "{" else { throw .value("a single \"}\" in a format") }
        var depthOfBraces = 1
        let start = index
        while index < scalars.count, depthOfBraces > 0 {
          if scalars[index] == "{" { depthOfBraces += 1 }
          if scalars[index] == "}" { depthOfBraces -= 1 }
          index += 1
        }
        guard depthOfBraces == 0 else { throw .value("a single \"{\" in a format") }
        result += try field(text[start..<index - 1], arguments, &next, depth: depth)
      } else {
        result.append(scalar)
      }
      guard result.count <= limits.length else {
        throw Failure(.limit, "a formatted text is too long")
      }
    }
    return result
  }

  private func field(
    _ field: Text, _ arguments: CallArguments, _ next: inout Int?, depth: Int
  ) throws(Failure) -> Text {
    var end = 0
    var isInBrackets = false
    while end < field.count {
      let scalar = field.scalars[end]
      if scalar == "[" { isInBrackets = true }
      if scalar == "]" { isInBrackets = false }
      if !isInBrackets, scalar == ":" || scalar == "!" { break }
      end += 1
    }
    var conversion: Unicode.Scalar?
    var specification = Text()
    var rest = end
    if rest < field.count, field.scalars[rest] == "!" {
      guard rest + 1 < field.count else { throw .value("a format lacks its conversion") }
      conversion = field.scalars[rest + 1]
      rest += 2
      guard rest == field.count || field.scalars[rest] == ":" else {
        throw .value("expected \":\" after the conversion of a format")
      }
    }
    let fieldValue = try value(of: field.prefix(end), arguments, &next)
    if rest < field.count {
      specification = try format(
        field[rest + 1..<field.count], arguments, &next, depth: depth - 1)
    }
    var value = fieldValue
    switch conversion {
    case nil: break
    case "s": value = .string(try text(of: value))
    case "r", "a":
      value = .string(try ValuePrinter.representation(value, limit: limits.length))
    default: throw .value("a format has no such conversion")
    }
    if specification.isEmpty { return try text(of: value) }
    if case .undefined = value { throw .value("an undefined value takes no format") }
    return try FormatSpecification(specification).format(value, limit: limits.length)
  }

  /// `name.attribute[item]`.
  private func value(
    of path: Text, _ arguments: CallArguments, _ next: inout Int?
  ) throws(Failure) -> Value {
    var index = 0
    while index < path.count, path.scalars[index] != ".", path.scalars[index] != "[" { index += 1 }
    let first = path.prefix(index)
    var value: Value
    if first.isEmpty {
      guard let place = next else {
        throw .value("a format mixes fields with numbers and without")
      }
      next = place + 1
      value = try positionalField(place, arguments)
    } else if let number = Int(first.string), first.scalars[0] != "-", first.scalars[0] != "+" {
      if let place = next, place > 0 {
        throw .value("a format mixes fields with numbers and without")
      }
      next = nil
      value = try positionalField(number, arguments)
    } else {
      guard let named = arguments.named.first(where: { $0.name == first }) else {
        throw .value("the format's \"\(first.string)\" is not given")
      }
      value = named.value
    }
    while index < path.count {
      let opening = path.scalars[index]
      index += 1
      let start = index
      if opening == "." {
        while index < path.count, path.scalars[index] != ".", path.scalars[index] != "[" {
          index += 1
        }
        value = try attribute(path[start..<index], of: value)
      } else {
        while index < path.count, path.scalars[index] != "]" { index += 1 }
        guard index < path.count else { throw .value("a format lacks a \"]\"") }
        let key = path[start..<index]
        index += 1
        value = try item(Int(key.string).map(Value.integer) ?? .string(key), of: value)
      }
    }
    return value
  }

  private func positionalField(
    _ place: Int, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    guard place < arguments.positional.count else {
      throw .value("the format asks for more values than are given")
    }
    return arguments.positional[place]
  }
}
