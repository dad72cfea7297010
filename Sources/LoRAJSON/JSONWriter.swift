extension JSONValue {
  /// The document as text: on one line without spaces, or `pretty` as Python's `indent=2` has it.
  ///
  /// Numbers are the shortest that read back as the same double, `16.0` with its point, so that
  /// parsing gives an equal value; a NaN or an infinity, which JSON lacks, is written as `null`.
  /// Only what must be escaped in strings is; `sortedKeys` orders members by their keys' bytes.
  package func encoded(pretty: Bool = false, sortedKeys: Bool = false) -> String {
    String(decoding: encodedBytes(pretty: pretty, sortedKeys: sortedKeys), as: UTF8.self)
  }

  /// ``encoded(pretty:sortedKeys:)`` as UTF-8.
  package func encodedBytes(pretty: Bool = false, sortedKeys: Bool = false) -> [UInt8] {
    var writer = JSONWriter(pretty: pretty, sortedKeys: sortedKeys)
    writer.write(self)
    return writer.bytes
  }
}

extension JSONObject {
  /// The object as text, see ``JSONValue/encoded(pretty:sortedKeys:)``.
  package func encoded(pretty: Bool = false, sortedKeys: Bool = false) -> String {
    JSONValue.object(self).encoded(pretty: pretty, sortedKeys: sortedKeys)
  }
}

private struct JSONWriter {
  let pretty: Bool
  let sortedKeys: Bool
  var bytes: [UInt8] = []
  var depth = 0

  init(pretty: Bool, sortedKeys: Bool) {
    self.pretty = pretty
    self.sortedKeys = sortedKeys
  }

  mutating func write(_ value: JSONValue) {
    switch value {
    case .null: append("null")
    case .bool(let value): append(value ? "true" : "false")
    case .integer(let value): append(value.description)
    case .number(let value): append(value.isFinite ? value.description : "null")
    case .string(let value): write(string: value)
    case .array(let elements):
      write(elements, between: "[", and: "]") { $0.write($1) }
    case .object(let object):
      let members =
        sortedKeys
        ? object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) } : Array(object)
      write(members, between: "{", and: "}") {
        $0.write(string: $1.key)
        $0.append($0.pretty ? ": " : ":")
        $0.write($1.value)
      }
    }
  }

  mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  mutating func write<Element>(
    _ elements: [Element], between opening: String, and closing: String,
    with write: (inout JSONWriter, Element) -> Void
  ) {
    append(opening)
    depth += 1
    for (i, element) in elements.enumerated() {
      if i > 0 { append(",") }
      newLine()
      write(&self, element)
    }
    depth -= 1
    if !elements.isEmpty { newLine() }
    append(closing)
  }

  mutating func newLine() {
    guard pretty else { return }
    bytes.append(0x0A)
    bytes.append(contentsOf: repeatElement(0x20, count: 2 * depth))
  }

  mutating func write(string: String) {
    bytes.append(0x22)
    for byte in string.utf8 {
      switch byte {
      case 0x22: append("\\\"")
      case 0x5C: append("\\\\")
      case 0x08: append("\\b")
      case 0x09: append("\\t")
      case 0x0A: append("\\n")
      case 0x0C: append("\\f")
      case 0x0D: append("\\r")
      case 0..<0x20:
        append(byte < 0x10 ? "\\u000" : "\\u00")
        append(String(byte, radix: 16))
      default: bytes.append(byte)
      }
    }
    bytes.append(0x22)
  }
}
