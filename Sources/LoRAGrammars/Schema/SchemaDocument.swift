internal import LoRAJSON

/// A JSON schema, whose parts are read when they are reached and then known by a number.
struct SchemaDocument {
  /// More schemas than this are refused.
  static let mostNodes = 20_000

  let root: JSONValue
  private(set) var nodes: [SchemaNode] = []
  /// By the bytes of a place: Swift takes keys for equal that JSON does not.
  private var numbers: [[UInt8]: Int] = [:]
  /// The schemas that have a number but were not read yet.
  private var values: [JSONValue] = []
  private var readCount = 0

  private init(root: JSONValue) { self.root = root }

  init(_ text: String) throws(ConstraintError) {
    do {
      root = try JSONValue(parsing: text)
    } catch {
      throw ConstraintError(
        .malformed, place: "#", expected: "a JSON schema",
        found: "text that is not JSON (\(error))", advice: "correct the text")
    }
    _ = number(of: "#", root)
  }

  /// The number of the schema at a place, given its value.
  mutating func number(of place: String, _ value: JSONValue) -> Int {
    let key = Array(place.utf8)
    if let known = numbers[key] { return known }
    let number = values.count
    numbers[key] = number
    values.append(value)
    nodes.append(SchemaNode(place: place))
    return number
  }

  /// Reads all schemas that have a number; what is read gives others theirs.
  mutating func readAll() throws(ConstraintError) {
    guard readCount < values.count else { return }
    var reader = SchemaReader(document: self)
    // The reader's is the only copy while it changes.
    self = SchemaDocument(root: root)
    while reader.document.readCount < reader.document.values.count {
      let number = reader.document.readCount
      guard number < Self.mostNodes else {
        throw ConstraintError(
          .tooLarge, place: "#", expected: "at most \(Self.mostNodes) schemas", found: "more",
          advice: "use a smaller schema")
      }
      let place = reader.document.nodes[number].place
      let node = try reader.read(reader.document.values[number], at: place)
      reader.document.nodes[number] = node
      reader.document.readCount += 1
    }
    self = reader.document
  }

  /// The number of the schema that a `$ref` names.
  mutating func resolve(
    _ reference: String, place: String
  ) throws(ConstraintError) -> Int {
    guard reference == "#" || reference.hasPrefix("#/") else {
      throw ConstraintError(
        .unsupported, place: place, expected: "a reference within the schema, as #/$defs/name",
        found: "\"\(reference)\"", advice: "put the schema that it names into $defs")
    }
    var value = root
    var path = "#"
    let parts = reference.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    for part in parts.dropFirst() {
      let token = Self.decoded(part)
      let next: JSONValue?
      if case .array = value {
        next = Int(token).flatMap { value[$0] }
      } else {
        next = value[token]
      }
      guard let next else {
        throw ConstraintError(
          .malformed, place: place, expected: "the place of a schema", found: "\"\(reference)\"",
          advice: "there is no \"\(token)\" in \(path)")
      }
      value = next
      path += "/" + Self.escaped(token)
    }
    return number(of: path, value)
  }

  /// A part of a JSON pointer without its escapes, those of URLs and those of pointers.
  private static func decoded(_ part: Substring) -> String {
    var bytes: [UInt8] = []
    var rest = Array(part.utf8)[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), rest.count >= 2,
        let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
      {
        bytes.append(code)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    var text: [UInt8] = []
    rest = bytes[...]
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "~"), let next = rest.first, next == 0x30 || next == 0x31 {
        text.append(next == 0x30 ? UInt8(ascii: "~") : UInt8(ascii: "/"))
        rest = rest.dropFirst()
      } else {
        text.append(byte)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// A key as a part of a JSON pointer.
  static func escaped(_ key: String) -> String {
    var result = ""
    for scalar in key.unicodeScalars {
      switch scalar {
      case "~": result += "~0"
      case "/": result += "~1"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
