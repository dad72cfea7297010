/// Reads the fields of a message in Protocol Buffers' binary format, one after the other.
///
/// ```swift
/// var reader = ProtobufReader(bytes)
/// while let field = try reader.next() {
///   if field.number == 2, case .bytes(let message) = field.value { ... }
/// }
/// ```
///
/// Source: the encoding's specification, <https://protobuf.dev/programming-guides/encoding>.
struct ProtobufReader {
  enum Value {
    case integer(UInt64)
    case fixed32(UInt32)
    case fixed64(UInt64)
    /// Text, bytes or another message.
    case bytes(ArraySlice<UInt8>)
  }

  struct Field {
    var number: Int
    var value: Value
  }

  /// What is wrong with a message, and how many bytes before its end.
  struct Problem: Error {
    var text: String
  }

  private var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// The next field; nil at the end.
  mutating func next() throws(Problem) -> Field? {
    guard !rest.isEmpty else { return nil }
    let place = rest.startIndex
    let key = try integer()
    guard key >> 3 > 0, key >> 3 < 1 << 29 else {
      throw Problem(text: "a field without a number at byte \(place)")
    }
    let number = Int(key >> 3)
    switch key & 7 {
    case 0: return Field(number: number, value: .integer(try integer()))
    case 1: return Field(number: number, value: .fixed64(try fixed(8)))
    case 2:
      let count = try integer()
      guard count <= UInt64(rest.count) else {
        throw Problem(text: "\(count) bytes at byte \(place), where \(rest.count) are left")
      }
      let bytes = rest.prefix(Int(count))
      rest = rest.dropFirst(Int(count))
      return Field(number: number, value: .bytes(bytes))
    case 5: return Field(number: number, value: .fixed32(UInt32(try fixed(4))))
    default: throw Problem(text: "a field of the wire type \(key & 7) at byte \(place)")
    }
  }

  private mutating func integer() throws(Problem) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard let byte = rest.popFirst() else { throw Problem(text: "an end within a number") }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
    }
    throw Problem(text: "a number of more than 10 bytes before byte \(rest.startIndex)")
  }

  private mutating func fixed(_ count: Int) throws(Problem) -> UInt64 {
    guard rest.count >= count else { throw Problem(text: "an end within a number") }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count).reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
