import LoRAJSON
import LoRAPatterns

/// A value of a JSON file that knows where it stands, for errors that tell.
struct DefinitionReader {
  let value: JSONValue
  let file: String
  let place: String

  init(_ value: JSONValue, file: String, place: String = "") {
    self.value = value
    self.file = file
    self.place = place
  }

  func error(
    _ kind: TokenizerError.Kind, expected: String, found: String, advice: String
  ) -> TokenizerError {
    TokenizerError(
      kind, file: file, place: place, expected: expected, found: found, advice: advice)
  }

  private func mismatch(_ expected: String) -> TokenizerError {
    error(.malformed, expected: expected, found: value.kind, advice: "correct the file")
  }

  /// The member of a name, null if it is absent; for errors about it too.
  func at(_ key: String) -> DefinitionReader {
    DefinitionReader(
      value[key] ?? .null, file: file, place: place.isEmpty ? key : "\(place).\(key)")
  }

  /// The member of a name; nil if it is absent or null.
  func optional(_ key: String) -> DefinitionReader? {
    let reader = at(key)
    return reader.value.isNull ? nil : reader
  }

  func required(_ key: String) throws(TokenizerError) -> DefinitionReader {
    guard let reader = optional(key) else {
      throw at(key).error(
        .malformed, expected: "a value", found: "nothing", advice: "add what is missing")
    }
    return reader
  }

  func elements() throws(TokenizerError) -> [DefinitionReader] {
    guard case .array(let array) = value else { throw mismatch("an array") }
    return array.enumerated().map {
      DefinitionReader($0.element, file: file, place: "\(place)[\($0.offset)]")
    }
  }

  func members() throws(TokenizerError) -> [(key: String, reader: DefinitionReader)] {
    guard case .object(let object) = value else { throw mismatch("an object") }
    return object.map { ($0.key, at($0.key)) }
  }

  func string() throws(TokenizerError) -> String {
    guard case .string(let string) = value else { throw mismatch("a string") }
    return string
  }

  func bytes() throws(TokenizerError) -> [UInt8] { Array(try string().utf8) }

  func integer() throws(TokenizerError) -> Int {
    guard let integer = value.intValue, (0...Int(Int32.max)).contains(integer) else {
      throw mismatch("an integer from 0 to \(Int32.max)")
    }
    return integer
  }

  func boolean() throws(TokenizerError) -> Bool {
    guard case .bool(let bool) = value else { throw mismatch("true or false") }
    return bool
  }

  /// Compiles a pattern found here.
  func expression(_ pattern: String) throws(TokenizerError) -> RegularExpression {
    do {
      return try RegularExpression(pattern)
    } catch {
      throw self.error(
        .unsupported, expected: "a pattern of the supported syntax",
        found: "\(error.message) in \(pattern)",
        advice: "see RegularExpression for what is supported")
    }
  }
}

extension DefinitionReader {
  /// The component's type.
  func type() throws(TokenizerError) -> String { try required("type").string() }

  func unsupported(_ component: String, _ supported: String) -> TokenizerError {
    let found = value["type"]?.stringValue ?? value.kind
    return error(
      .unsupported, expected: "a \(component) of the types \(supported)", found: found,
      advice: "this tokenizer cannot be used; without the component its ids would be wrong")
  }

  /// `{"String": ...}` or `{"Regex": ...}`.
  func pattern() throws(TokenizerError) -> TextPattern {
    if let literal = optional("String") {
      let bytes = try literal.bytes()
      guard !bytes.isEmpty else {
        throw literal.error(
          .unsupported, expected: "a string to look for", found: "an empty one",
          advice: "remove the component")
      }
      return .literal(bytes)
    }
    let expression = try required("Regex")
    return .expression(try expression.expression(try expression.string()))
  }

  func replacementCharacter() throws(TokenizerError) -> [UInt8] {
    let character = try required("replacement").string()
    guard character.unicodeScalars.count == 1 else {
      throw at("replacement").error(
        .malformed, expected: "one character", found: "\"\(character)\"",
        advice: "correct the file")
    }
    return Array(character.utf8)
  }
}
