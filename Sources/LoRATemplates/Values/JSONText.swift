/// Writes values as Python's `json.dumps` does.
struct JSONText {
  var escapesNonASCII = false
  /// What one level is indented by; nil for one line.
  var indent: Text?
  var itemSeparator: Text
  var keySeparator: Text
  var sortsKeys = false
  let limit: Int
  private var output = Text()
  private var depth = 0

  init(
    escapesNonASCII: Bool = false, indent: Text? = nil,
    separators: (item: Text, key: Text)? = nil, sortsKeys: Bool = false, limit: Int
  ) {
    self.escapesNonASCII = escapesNonASCII
    self.indent = indent
    itemSeparator = separators?.item ?? (indent == nil ? ", " : ",")
    keySeparator = separators?.key ?? ": "
    self.sortsKeys = sortsKeys
    self.limit = limit
  }

  func text(of value: Value) throws(Failure) -> Text {
    var writer = self
    try writer.write(value)
    return writer.output
  }

  private mutating func write(_ value: Value) throws(Failure) {
    guard output.count <= limit else {
      throw Failure(.limit, "a value is too large to be written as JSON")
    }
    switch value {
    case .none: output.append("null")
    case .bool(let value): output.append(value ? "true" : "false")
    case .integer(let value): output.append(String(value))
    case .float(let value): output.append(JSONText.number(value))
    case .string(let text), .markup(let text): write(string: text)
    case .list(let list), .tuple(let list):
      try write(list.items, "[", "]") { (writer, item) throws(Failure) in try writer.write(item) }
    case .dictionary(let dictionary): try write(dictionary)
    default: throw .value("a \(value.typeName) cannot be written as JSON")
    }
  }

  private static func number(_ value: Double) -> String {
    value.isFinite
      ? value.pythonDescription : value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity"
  }

  private mutating func write(_ dictionary: DictionaryValue) throws(Failure) {
    var pairs = dictionary.pairs
    if sortsKeys {
      pairs = try pairs.stablySorted { (a, b) throws(Failure) in try a.key.isLess(than: b.key) }
    }
    try write(pairs, "{", "}") { (writer, pair) throws(Failure) in
      switch pair.key {
      case .string(let text), .markup(let text): writer.write(string: text)
      case .integer(let value): writer.write(string: Text(String(value)))
      case .float(let value): writer.write(string: Text(JSONText.number(value)))
      case .bool(let value): writer.write(string: value ? "true" : "false")
      case .none: writer.write(string: "null")
      default: throw .value("a \(pair.key.typeName) cannot be a key in JSON")
      }
      writer.output += writer.keySeparator
      try writer.write(pair.value)
    }
  }

  private mutating func write<Element>(
    _ elements: [Element], _ opening: String, _ closing: String,
    _ write: (inout JSONText, Element) throws(Failure) -> Void
  ) throws(Failure) {
    output.append(opening)
    depth += 1
    for (index, element) in elements.enumerated() {
      if index > 0 { output += itemSeparator }
      newLine()
      try write(&self, element)
    }
    depth -= 1
    if !elements.isEmpty { newLine() }
    output.append(closing)
  }

  private mutating func newLine() {
    guard let indent else { return }
    output.append("\n" as Unicode.Scalar)
    for _ in 0..<depth { output += indent }
  }

  private mutating func write(string: Text) {
    output.append("\"" as Unicode.Scalar)
    for scalar in string.scalars {
      switch scalar {
      case "\"": output.append("\\\"")
      case "\\": output.append("\\\\")
      case "\n": output.append("\\n")
      case "\r": output.append("\\r")
      case "\t": output.append("\\t")
      case "\u{08}": output.append("\\b")
      case "\u{0C}": output.append("\\f")
      default:
        if scalar.value < 0x20 || escapesNonASCII && scalar.value > 0x7E {
          for unit in String(scalar).utf16 {
            let digits = String(unit, radix: 16)
            output.append("\\u" + String(repeating: "0", count: 4 - digits.count) + digits)
          }
        } else {
          output.append(scalar)
        }
      }
    }
    output.append("\"" as Unicode.Scalar)
  }
}
