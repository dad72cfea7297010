package import LoRAJSON

/// The elements of a JSON list in a file one after another, with the lines they begin on: only one is
/// in memory at a time.
package final class JSONListReader {
  private let reader: ByteReader
  private var element: [UInt8] = []
  private var isFirst = true
  private var isFinished = false

  /// Opens the list. `form` is what the file should hold, for the error if it is no list.
  package init(path: String, form: String) throws(FormatError) {
    reader = try ByteReader(path: path)
    try skipSpace()
    guard let first = try reader.peek() else {
      throw error(.malformed, "it is not JSON: it is empty", "\(form) is expected")
    }
    guard first == UInt8(ascii: "[") else {
      guard let kind = Self.kind(first) else {
        throw error(.malformed, "it is not JSON", "\(form) is expected")
      }
      throw FormatError(.typeMismatch, file: path, problem: "expected \(form), found \(kind)")
    }
    _ = try reader.next()
  }

  /// The next element and its line; nil at the end of the list.
  package func next() throws(FormatError) -> (value: JSONValue, line: Int)? {
    if isFinished { return nil }
    try skipSpace()
    guard let byte = try reader.peek() else {
      throw error(.malformed, "it is not JSON: no ']' ends the list")
    }
    if byte == UInt8(ascii: "]"), isFirst { return try finish() }
    isFirst = false
    let line = reader.line
    try collect()
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: element)
    } catch {
      throw FormatError(
        .malformed, file: reader.path, subject: "line \(line + error.line - 1)",
        problem: "it is not JSON: \(error.message)")
    }
    switch try reader.next() {
    case UInt8(ascii: ","): return (value, line)
    case UInt8(ascii: "]"):
      _ = try finish(isOpen: false)
      return (value, line)
    default: throw error(.malformed, "it is not JSON: no ']' ends the list")
    }
  }

  private func finish(isOpen: Bool = true) throws(FormatError) -> (value: JSONValue, line: Int)? {
    isFinished = true
    if isOpen { _ = try reader.next() }
    try skipSpace()
    guard try reader.peek() == nil else {
      throw error(.malformed, "it is not JSON: text follows the list")
    }
    return nil
  }

  /// Puts the bytes up to the comma or bracket that ends the element into `element`.
  private func collect() throws(FormatError) {
    element.removeAll(keepingCapacity: element.capacity <= 1 << 22)
    var depth = 0
    var isString = false
    while let byte = try reader.peek() {
      if isString {
        if byte == UInt8(ascii: "\\") {
          element.append(byte)
          _ = try reader.next()
          guard let escaped = try reader.next() else { return }
          element.append(escaped)
          continue
        }
        if byte == UInt8(ascii: "\"") { isString = false }
      } else {
        switch byte {
        case UInt8(ascii: "\""): isString = true
        case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
        case UInt8(ascii: "]"), UInt8(ascii: "}"):
          if depth == 0 { return }
          depth -= 1
        case UInt8(ascii: ","): if depth == 0 { return }
        default: break
        }
      }
      element.append(byte)
      _ = try reader.next()
    }
  }

  private func skipSpace() throws(FormatError) {
    while let byte = try reader.peek(), [0x20, 0x09, 0x0A, 0x0D].contains(byte) {
      _ = try reader.next()
    }
  }

  private func error(
    _ kind: FormatError.Kind, _ problem: String, _ remedy: String = ""
  ) -> FormatError {
    FormatError(
      kind, file: reader.path, subject: "line \(reader.line)", problem: problem, remedy: remedy)
  }

  private static func kind(_ first: UInt8) -> String? {
    switch first {
    case UInt8(ascii: "{"): "an object"
    case UInt8(ascii: "\""): "a string"
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): "a number"
    default: nil
    }
  }
}
