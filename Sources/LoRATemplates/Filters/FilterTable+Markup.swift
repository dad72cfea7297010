extension FilterTable {
  /// Filters for HTML and addresses.
  static let markup: [Text: Filter] = [
    "e": escape,
    "escape": escape,
    "forceescape": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "forceescape")
      return .markup(try interpreter.filterText(value).escapedForHTML)
    },
    "safe": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "safe")
      return .markup(try interpreter.text(of: value))
    },
    "striptags": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "striptags")
      return .string(try interpreter.filterText(value).withoutTags())
    },
    "urlencode": { (interpreter, value, arguments) throws(Failure) in
      _ = try arguments.bound(to: [], of: "urlencode")
      return .string(try interpreter.encodingForAddress(value))
    },
    "xmlattr": { (interpreter, value, arguments) throws(Failure) in
      let given = try arguments.bound(to: ["autospace"], of: "xmlattr")
      guard case .dictionary(let dictionary) = value else {
        throw .value("\"xmlattr\" takes a dictionary, not a \(value.typeName)")
      }
      var parts: [Text] = []
      for (key, value) in dictionary.pairs where !value.isNone && !value.isUndefined {
        let name = try interpreter.text(key, "xmlattr")
        let isWrong = name.scalars.contains {
          $0.isASCII && $0.isPythonSpace && $0.value > 8 && $0.value < 0x21
            || $0 == "/" || $0 == ">" || $0 == "="
        }
        guard !isWrong else { throw .value("\"\(name.string)\" is no name of an attribute") }
        let text = try interpreter.filterText(value).escapedForHTML
        parts.append(name.escapedForHTML + "=\"" + text + "\"")
      }
      let result = Text(" ").joining(parts)
      let hasSpace = (given[0]?.isTrue ?? true) && !result.isEmpty
      return .string(hasSpace ? " " + result : result)
    },
  ]

  private static let escape: Filter = { (interpreter, value, arguments) throws(Failure) in
    _ = try arguments.bound(to: [], of: "escape")
    if case .markup = value { return value }
    return .markup(try interpreter.filterText(value).escapedForHTML)
  }
}

extension Text {
  /// Without comments and tags, with single spaces.
  fileprivate func withoutTags() -> Text {
    var text = self
    while let start = text.firstIndex(of: "<!--"), let end = text.firstIndex(of: "-->", from: start)
    {
      text = text.prefix(start) + text[end + 3..<text.count]
    }
    while let start = text.firstIndex(of: "<"), let end = text.firstIndex(of: ">", from: start) {
      text = text.prefix(start) + text[end + 1..<text.count]
    }
    return Text(" ").joining(text.words()).unescapedFromHTML
  }

  private var unescapedFromHTML: Text {
    var result = self
    for (name, character) in [
      ("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", "\""), ("&quot;", "\""),
      ("&amp;", "&"),
    ] as [(Text, Text)] { result = result.replacing(name, with: character) }
    return result
  }
}

extension Interpreter {
  fileprivate func encodingForAddress(_ value: Value) throws(Failure) -> Text {
    func quoted(_ value: Value, inQuery: Bool) throws(Failure) -> Text {
      var result = Text()
      for byte in try text(of: value).string.utf8 {
        let scalar = Unicode.Scalar(byte)
        if scalar.isASCII,
          scalar.isPythonAlphanumeric || "_.-~".unicodeScalars.contains(scalar)
            || !inQuery && scalar == "/"
        {
          result.append(scalar)
        } else if inQuery, scalar == " " {
          result.append("+" as Unicode.Scalar)
        } else {
          let digits = String(byte, radix: 16, uppercase: true)
          result.append(digits.count < 2 ? "%0" + digits : "%" + digits)
        }
      }
      try charge(copies: result.count)
      return result
    }
    var pairs: [Value] = []
    switch value {
    case .dictionary(let dictionary):
      pairs = try DictionaryView(dictionary: dictionary, part: .items).values()
    case .list, .tuple, .view, .iterator, .range, .undefined: pairs = try iterate(value)
    default: return try quoted(value, inQuery: false)
    }
    var parts: [Text] = []
    for pair in pairs {
      let sides = try iterate(pair)
      guard sides.count == 2 else { throw .value("\"urlencode\" takes pairs") }
      parts.append(
        try quoted(sides[0], inQuery: true) + "=" + (try quoted(sides[1], inQuery: true)))
    }
    return Text("&").joining(parts)
  }
}
