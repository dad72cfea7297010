extension Interpreter {
  static let ofStrings: Set<Text> = [
    "capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "format",
    "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
    "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper",
    "join", "ljust", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace",
    "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines",
    "startswith", "strip", "swapcase", "title", "upper", "zfill",
  ]

  func callMethod(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    try charge(copies: text.count)
    if name == "format" || name == "format_map" { return try format(text, name, arguments) }
    if name.string.hasPrefix("is") {
      _ = try arguments.bound(to: [], of: name.string)
      return .bool(test(name, text))
    }
    switch name {
    case "capitalize", "casefold", "lower", "swapcase", "title", "upper":
      _ = try arguments.bound(to: [], of: name.string)
      return .string(changingCase(name, text))
    case "strip", "lstrip", "rstrip": return .string(try stripping(name, text, arguments))
    case "split", "rsplit", "splitlines", "partition", "rpartition":
      return try splitting(name, text, arguments)
    case "find", "rfind", "index", "rindex", "count": return try searching(name, text, arguments)
    case "startswith", "endswith": return .bool(try edge(name, text, arguments))
    case "center", "ljust", "rjust", "zfill": return .string(try justifying(name, text, arguments))
    case "replace":
      let given = try positional(arguments, ["old", "new", "count"], name, required: 2)
      let (old, new) = (try self.text(given[0], name), try self.text(given[1], name))
      let count = try given[2].map { (value) throws(Failure) in try integer(value, name) } ?? -1
      return .string(try replacing(text, old, new, count))
    case "join": return .string(try joining(text, arguments))
    case "removeprefix", "removesuffix":
      let part = try self.text(
        try positional(arguments, ["affix"], name, required: 1)[0], name)
      if name == "removeprefix", !part.isEmpty, text.matches(part, at: 0) {
        return .string(text[part.count..<text.count])
      }
      if name == "removesuffix", !part.isEmpty, text.matches(part, at: text.count - part.count) {
        return .string(text.prefix(text.count - part.count))
      }
      return .string(text)
    default:
      let size = try arguments.bound(to: ["tabsize"], of: "expandtabs")[0]
      return .string(
        try expandingTabs(
          text, try size.map { (value) throws(Failure) in try integer(value, name) } ?? 8))
    }
  }

  // MARK: Arguments

  /// Arguments of a method that takes no names.
  private func positional(
    _ arguments: CallArguments, _ parameters: [Text], _ name: Text, required: Int = 0
  ) throws(Failure) -> [Value?] {
    guard arguments.named.isEmpty else {
      throw .value("\"\(name.string)\" takes no names of arguments")
    }
    return try arguments.bound(to: parameters, of: name.string, required: required)
  }

  func text(_ value: Value?, _ name: Text) throws(Failure) -> Text {
    if let text = value?.text { return text }
    if case .undefined(let missing)? = value { throw missing.failure }
    throw .value("\"\(name.string)\" takes a text, not a \((value ?? .none).typeName)")
  }

  /// A count, a width or a place: beyond any text's length one means what another means, so that sums
  /// of them cannot overflow.
  func integer(_ value: Value, _ name: Text) throws(Failure) -> Int {
    if let integer = value.integer { return min(max(integer, -1 << 40), 1 << 40) }
    if case .undefined(let missing) = value { throw missing.failure }
    throw .value("\"\(name.string)\" takes an integer, not a \(value.typeName)")
  }

  // MARK: Changing

  private func changingCase(_ name: Text, _ text: Text) -> Text {
    switch name {
    case "capitalize": text.capitalized()
    case "casefold": text.caseFolded()
    case "lower": text.lowercased()
    case "swapcase": text.swappingCase()
    case "title": text.titled()
    default: text.uppercased()
    }
  }

  private func stripping(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Text {
    let given = try positional(arguments, ["chars"], name)[0]
    let (left, right) = (name != "rstrip", name != "lstrip")
    guard let given, !given.isNone else {
      return text.trimmed(left: left, right: right) { $0.isPythonSpace }
    }
    let characters = Set(try self.text(given, name).scalars)
    return text.trimmed(left: left, right: right, where: characters.contains)
  }

  func replacing(_ text: Text, _ old: Text, _ new: Text, _ count: Int) throws(Failure) -> Text {
    let found = count < 0 ? text.occurrences(of: old) : min(count, text.occurrences(of: old))
    let (growth, overflows) = found.multipliedReportingOverflow(by: new.count)
    try charge(copies: overflows ? Int.max : text.count + growth)
    return text.replacing(old, with: new, limit: count)
  }

  private func joining(_ text: Text, _ arguments: CallArguments) throws(Failure) -> Text {
    let given = try positional(arguments, ["iterable"], "join", required: 1)[0] ?? .none
    var parts: [Text] = []
    var size = 0
    for item in try iterate(given) {
      guard let part = item.text else {
        throw .value("\"join\" takes texts, not a \(item.typeName); write |join")
      }
      size += part.count + text.count
      parts.append(part)
    }
    try charge(copies: size)
    return text.joining(parts)
  }

  private func justifying(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Text {
    let parameters: [Text] = name == "zfill" ? ["width"] : ["width", "fillchar"]
    let given = try positional(arguments, parameters, name, required: 1)
    let width = try integer(given[0] ?? .none, name)
    let missing = width - text.count
    guard missing > 0 else { return text }
    try charge(copies: width)
    if name == "zfill" {
      let hasSign = text.scalars.first == "-" || text.scalars.first == "+"
      return text.prefix(hasSign ? 1 : 0) + Text(repeatElement("0", count: missing))
        + text[(hasSign ? 1 : 0)..<text.count]
    }
    let fill = try given.count > 1 && given[1] != nil ? self.text(given[1], name) : " "
    guard fill.count == 1 else { throw .value("the filling must be one character") }
    func filler(_ count: Int) -> Text { Text(repeatElement(fill.scalars[0], count: count)) }
    switch name {
    case "ljust": return text + filler(missing)
    case "rjust": return filler(missing) + text
    default: return centered(text, width, fill.scalars[0])
    }
  }

  /// Python puts the odd space to the left if the width is odd.
  func centered(_ text: Text, _ width: Int, _ fill: Unicode.Scalar = " ") -> Text {
    let missing = max(0, width - text.count)
    let left = missing / 2 + (missing & width & 1)
    return Text(repeatElement(fill, count: left)) + text
      + Text(repeatElement(fill, count: missing - left))
  }

  private func expandingTabs(_ text: Text, _ size: Int) throws(Failure) -> Text {
    let size = max(0, size)
    try charge(copies: text.count + min(size, limits.length) * text.occurrences(of: "\t"))
    var result = Text()
    var column = 0
    for scalar in text.scalars {
      switch scalar {
      case "\t":
        let count = size > 0 ? size - column % size : 0
        result += Text(repeatElement(" ", count: count))
        column += count
      case "\n", "\r":
        result.append(scalar)
        column = 0
      default:
        result.append(scalar)
        column += 1
      }
    }
    return result
  }

  // MARK: Dividing and finding

  private func splitting(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    if name == "splitlines" {
      let keeps = try arguments.bound(to: ["keepends"], of: "splitlines")[0]?.isTrue ?? false
      return try .list(of: text.lines(keepingEnds: keeps).map(Value.string))
    }
    if name == "partition" || name == "rpartition" {
      let separator = try self.text(try positional(arguments, ["sep"], name, required: 1)[0], name)
      guard !separator.isEmpty else { throw .value("the separator must not be empty") }
      let found =
        name == "partition" ? text.firstIndex(of: separator) : text.lastIndex(of: separator)
      let parts: [Text]
      if let found {
        parts = [text.prefix(found), separator, text[found + separator.count..<text.count]]
      } else {
        parts = name == "partition" ? [text, "", ""] : ["", "", text]
      }
      return try .tuple(of: parts.map(Value.string))
    }
    let given = try arguments.bound(to: ["sep", "maxsplit"], of: name.string)
    let limit = try given[1].map { (value) throws(Failure) in try integer(value, name) } ?? -1
    let parts: [Text]
    if let separator = given[0], !separator.isNone {
      let separator = try self.text(separator, name)
      guard !separator.isEmpty else { throw .value("the separator must not be empty") }
      parts =
        name == "split"
        ? text.split(at: separator, limit: limit)
        : text.splitFromRight(at: separator, limit: limit)
    } else {
      parts = name == "split" ? text.words(limit: limit) : text.wordsFromRight(limit: limit)
    }
    try charge(parts.count)
    return try .list(of: parts.map(Value.string))
  }

  private func searching(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    let given = try positional(arguments, ["sub", "start", "end"], name, required: 1)
    let part = try self.text(given[0], name)
    let end = bound(given[2], count: text.count) ?? text.count
    // Beyond the end not even the empty text is found.
    let isBeyond = (given[1]?.integer ?? 0) > text.count
    let start = bound(given[1], count: text.count) ?? 0
    try charge(text.count / 16)
    if name == "count" {
      return .integer(isBeyond ? 0 : text.occurrences(of: part, from: start, to: end))
    }
    let isFirst = name == "find" || name == "index"
    let found =
      isBeyond
      ? nil
      : isFirst
        ? text.firstIndex(of: part, from: start, to: end)
        : text.lastIndex(of: part, from: start, to: end)
    if found == nil, name == "index" || name == "rindex" {
      throw .value("the text does not occur")
    }
    return .integer(found ?? -1)
  }

  private func edge(
    _ name: Text, _ text: Text, _ arguments: CallArguments
  ) throws(Failure) -> Bool {
    let given = try positional(arguments, ["affix", "start", "end"], name, required: 1)
    let isBeyond = (given[1]?.integer ?? 0) > text.count
    let start = bound(given[1], count: text.count) ?? 0
    let end = bound(given[2], count: text.count) ?? text.count
    var parts: [Value?] = [given[0]]
    if case .tuple(let list)? = given[0] { parts = list.items }
    for part in parts {
      let part = try self.text(part, name)
      guard !isBeyond, start + part.count <= end else { continue }
      if text.matches(part, at: name == "startswith" ? start : end - part.count) { return true }
    }
    return false
  }

  private func test(_ name: Text, _ text: Text) -> Bool {
    func all(_ isRight: (Unicode.Scalar) -> Bool) -> Bool {
      !text.isEmpty && text.scalars.allSatisfy(isRight)
    }
    switch name {
    case "isalnum": return all(\.isPythonAlphanumeric)
    case "isalpha": return all(\.isPythonAlpha)
    case "isascii": return text.scalars.allSatisfy(\.isASCII)
    case "isdecimal": return all(\.isPythonDecimal)
    case "isdigit": return all(\.isPythonDigit)
    case "isidentifier":
      return all(\.isIdentifierPart) && text.scalars[0].isIdentifierStart
    case "islower": return isLower(text)
    case "isnumeric": return all(\.isPythonNumeric)
    case "isprintable": return text.scalars.allSatisfy { $0.isPythonPrintable }
    case "isspace": return all(\.isPythonSpace)
    case "istitle": return isTitle(text)
    default: return isUpper(text)
    }
  }

  func isLower(_ text: Text) -> Bool {
    text.isAll(\.isPythonLower) { $0.isPythonUpper || $0.isPythonTitle }
  }

  func isUpper(_ text: Text) -> Bool {
    text.isAll(\.isPythonUpper) { $0.isPythonLower || $0.isPythonTitle }
  }

  private func isTitle(_ text: Text) -> Bool {
    var isInside = false
    var hasCase = false
    for scalar in text.scalars {
      if scalar.isPythonUpper || scalar.isPythonTitle {
        if isInside { return false }
        (isInside, hasCase) = (true, true)
      } else if scalar.isPythonLower {
        if !isInside { return false }
        hasCase = true
      } else {
        isInside = false
      }
    }
    return hasCase
  }
}
