extension FilterTable {
  /// Filters of any value.
  static let others: [Text: Filter] = [
    "attr": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["name"], of: "attr", required: 1)
      let name = try interpreter.text(given[0], "attr")
      if case .undefined(let missing) = value { throw missing.failure }
      return try interpreter.ownAttribute(name, of: value)
        ?? .undefined(.attribute(of: value.typeName, name))
    },
    "d": fallback,
    "default": fallback,
    "pprint": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "pprint")
      return .string(try PrettyPrinter(limit: interpreter.limits.length).text(of: value))
    },
    "random": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "random")
      let items = try interpreter.iterate(value)
      guard items.count <= 1 else {
        throw Failure(.forbidden, "\"random\" gives another text every time")
      }
      return items.first ?? .undefined(.hint("there is no random item"))
    },
    "tojson": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.writingJSON(value, arguments)
    },
    "urlize": { (_, _, _) throws(Failure) in
      throw Failure(.forbidden, "\"urlize\" is not supported: prompts are not HTML")
    },
  ]

  private static let fallback: Filter = { (interpreter, value, arguments) throws(Failure) in
    let given = try arguments.bound(to: ["default_value", "boolean"], of: "default")
    guard value.isUndefined || given.flag(1) && !value.isTrue else { return value }
    return given[0] ?? .string("")
  }
}

extension Interpreter {
  /// transformers' `tojson`: Python's `json.dumps` without escapes for HTML.
  fileprivate func writingJSON(
    _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    let given = try arguments.bound(
      to: ["ensure_ascii", "indent", "separators", "sort_keys"], of: "tojson")
    var indent: Text?
    if let given = given.given(1) {
      if let text = given.text {
        indent = text
      } else {
        let width = try integer(given, "tojson")
        try charge(copies: max(0, width))
        indent = Text(repeatElement(" ", count: max(0, width)))
      }
    }
    var separators: (item: Text, key: Text)?
    if let given = given.given(2) {
      let parts = try iterate(given)
      guard parts.count == 2 else { throw .value("\"tojson\" takes two separators") }
      separators = (try text(parts[0], "tojson"), try text(parts[1], "tojson"))
    }
    let writer = JSONText(
      escapesNonASCII: given.flag(0), indent: indent, separators: separators,
      sortsKeys: given.flag(3), limit: limits.length)
    try charge(value.weight)
    let text = try writer.text(of: value)
    try charge(copies: text.count)
    return .string(text)
  }
}
