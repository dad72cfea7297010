extension FilterTable {
  /// Filters of texts.
  static let texts: [Text: Filter] = [
    "capitalize": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "capitalize")
      return interpreter.changed(value, to: try interpreter.filterText(value).capitalized())
    },
    "center": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["width"], of: "center")
      let width = try given[0].map { (value) throws(Failure) in
        try interpreter.integer(value, "center")
      }
      let text = try interpreter.filterText(value)
      try interpreter.charge(copies: max(0, width ?? 80))
      return interpreter.changed(value, to: interpreter.centered(text, width ?? 80))
    },
    "format": { (interpreter, value, arguments) throws(Failure) in
      guard arguments.named.isEmpty || arguments.positional.isEmpty else {
        throw .value("\"format\" takes values or names, not both")
      }
      let values: Value =
        arguments.named.isEmpty
        ? try .tuple(of: arguments.positional)
        : .dictionary(try DictionaryValue(arguments.named.map { (.string($0.name), $0.value) }))
      let format = try interpreter.text(of: value)
      let text = try PercentFormat.text(format, values, limit: interpreter.limits.length)
      try interpreter.charge(copies: text.count)
      return .string(text)
    },
    "indent": { (interpreter, value, arguments) throws(Failure) in
      .string(try interpreter.indenting(value, arguments))
    },
    "lower": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "lower")
      return interpreter.changed(value, to: try interpreter.filterText(value).lowercased())
    },
    "replace": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["old", "new", "count"], of: "replace", required: 2)
      let count = try given.given(2).map { (value) throws(Failure) in
        try interpreter.integer(value, "replace")
      }
      return .string(
        try interpreter.replacing(
          try interpreter.filterText(value), try interpreter.text(of: given[0] ?? .none),
          try interpreter.text(of: given[1] ?? .none), count ?? -1))
    },
    "string": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "string")
      if case .markup = value { return value }
      return .string(try interpreter.text(of: value))
    },
    "title": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "title")
      return .string(try interpreter.filterText(value).titledByWords())
    },
    "trim": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["chars"], of: "trim")
      let text = try interpreter.filterText(value)
      guard let characters = given.given(0) else {
        return interpreter.changed(value, to: text.trimmed { $0.isPythonSpace })
      }
      let set = Set(try interpreter.text(characters, "trim").scalars)
      return interpreter.changed(value, to: text.trimmed(where: set.contains))
    },
    "truncate": { (interpreter, value, arguments) throws(Failure) in
      try interpreter.truncating(value, arguments)
    },
    "upper": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "upper")
      return interpreter.changed(value, to: try interpreter.filterText(value).uppercased())
    },
    "wordcount": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "wordcount")
      let text = try interpreter.filterText(value)
      return .integer(text.scalars.split { !$0.isPythonWord }.count)
    },
    "wordwrap": { (interpreter, value, arguments) throws(Failure) in
      .string(try interpreter.wrapping(value, arguments))
    },
  ]
}

extension Text {
  /// The filter `title`, which knows other words than the method.
  fileprivate func titledByWords() -> Text {
    var result = Text()
    var word = Text()
    func isBreak(_ scalar: Unicode.Scalar) -> Bool {
      scalar.isPythonSpace || "-({[<".unicodeScalars.contains(scalar)
    }
    func flush() {
      guard !word.isEmpty else { return }
      result += word.prefix(1).uppercased() + word[1..<word.count].lowercased()
      word = Text()
    }
    for scalar in scalars {
      if isBreak(scalar) {
        flush()
        result.append(scalar)
      } else {
        word.append(scalar)
      }
    }
    flush()
    return result
  }
}

extension Interpreter {
  fileprivate func indenting(
    _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Text {
    let given = try arguments.bound(to: ["width", "first", "blank"], of: "indent")
    if case .undefined(let missing) = value { throw missing.failure }
    guard let text = value.text else {
      throw .value("\"indent\" takes a text, not a \(value.typeName)")
    }
    let indent: Text
    if let width = given[0]?.text {
      indent = width
    } else {
      let width = try given[0].map { (value) throws(Failure) in try integer(value, "indent") } ?? 4
      try charge(copies: max(0, width))
      indent = Text(repeatElement(" ", count: max(0, width)))
    }
    let lines = (text + "\n").lines()
    let (total, overflows) = lines.count.multipliedReportingOverflow(by: indent.count)
    try charge(copies: overflows ? Int.max : text.count + total)
    var result = given.flag(1) ? indent : Text()
    for (index, line) in lines.enumerated() {
      if index > 0 {
        result.append("\n" as Unicode.Scalar)
        if given.flag(2) || !line.isEmpty { result += indent }
      }
      result += line
    }
    return result
  }

  fileprivate func truncating(
    _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    let given = try arguments.bound(
      to: ["length", "killwords", "end", "leeway"], of: "truncate")
    let length =
      try given[0].map { (value) throws(Failure) in try integer(value, "truncate") } ?? 255
    let end =
      try given[2].map { (value) throws(Failure) in
        try self.text(value, "truncate")
      } ?? "..."
    let leeway =
      try given.given(3).map { (value) throws(Failure) in
        try integer(value, "truncate")
      } ?? 5
    guard length >= end.count, leeway >= 0 else {
      throw .value("\"truncate\" needs a length of at least that of its end")
    }
    guard let count = try self.length(of: value) else {
      throw .value("\"truncate\" takes a text, not a \(value.typeName)")
    }
    if count <= length + leeway { return value }
    let text = try text(value, "truncate")
    let cut = text.prefix(length - end.count)
    if given.flag(1) { return .string(cut + end) }
    return .string((cut.splitFromRight(at: " ", limit: 1).first ?? cut) + end)
  }
}
