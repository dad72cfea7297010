/// Why a text is not JSON, and where.
package struct JSONError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What was expected or what is wrong, without the place.
  package var message: String
  /// Bytes before the place.
  package var byteOffset: Int
  /// Counted from 1.
  package var line: Int
  /// Counted from 1, in bytes.
  package var column: Int

  package var description: String {
    "\(message) at line \(line), column \(column) (byte \(byteOffset))"
  }
}

extension JSONValue {
  /// The deepest nesting that `maximumDepth` may allow; values are walked by recursion.
  package static let greatestDepth = 512

  /// Parses a whole document as RFC 8259 has it, and nothing more lenient: no comments, trailing
  /// commas, byte order mark, `NaN`, or bytes after the value. Invalid UTF-8, escaped lone
  /// surrogates, duplicate keys, nesting beyond `maximumDepth` and numbers beyond a double are errors.
  ///
  /// One pass, some 50 MB/s for a vocabulary's many keys and more for arrays; only strings are copied.
  package init(
    parsing bytes: UnsafeRawBufferPointer, maximumDepth: Int = 128
  ) throws(JSONError) {
    if !(1...Self.greatestDepth).contains(maximumDepth) {
      fatalError("maximumDepth is \(maximumDepth), allowed are 1...\(Self.greatestDepth)")
    }
    var parser = JSONParser(bytes: bytes.bindMemory(to: UInt8.self), maximumDepth: maximumDepth)
    self = try parser.document()
  }

  package init(
    parsing bytes: some Collection<UInt8>, maximumDepth: Int = 128
  ) throws(JSONError) {
    let direct = bytes.withContiguousStorageIfAvailable { buffer in
      Result { () throws(JSONError) -> JSONValue in
        try JSONValue(parsing: UnsafeRawBufferPointer(buffer), maximumDepth: maximumDepth)
      }
    }
    let result =
      direct
      ?? Array(bytes).withUnsafeBytes { buffer in
        Result { () throws(JSONError) -> JSONValue in
          try JSONValue(parsing: buffer, maximumDepth: maximumDepth)
        }
      }
    self = try result.get()
  }

  package init(parsing text: String, maximumDepth: Int = 128) throws(JSONError) {
    try self.init(parsing: text.utf8, maximumDepth: maximumDepth)
  }
}

private struct JSONParser {
  let bytes: UnsafeBufferPointer<UInt8>
  let maximumDepth: Int
  var index = 0
  var depth = 0

  init(bytes: UnsafeBufferPointer<UInt8>, maximumDepth: Int) {
    self.bytes = bytes
    self.maximumDepth = maximumDepth
  }

  mutating func document() throws(JSONError) -> JSONValue {
    if let bad = firstInvalidUTF8(in: bytes) { throw error("invalid UTF-8", at: bad) }
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) {
      throw error("a byte order mark, which JSON does not allow,", at: 0)
    }
    skipSpace()
    let value = try value()
    skipSpace()
    guard index == bytes.count else { throw error("unexpected text after the value") }
    return value
  }

  func error(_ message: String, at place: Int? = nil) -> JSONError {
    let place = place ?? index
    var line = 1
    var lineStart = 0
    for i in 0..<place where bytes[i] == UInt8(ascii: "\n") {
      line += 1
      lineStart = i + 1
    }
    return JSONError(
      message: message, byteOffset: place, line: line, column: place - lineStart + 1)
  }

  /// The next byte, or 0 at the end (a NUL is nowhere legal, so it needs no telling apart).
  var next: UInt8 { index < bytes.count ? bytes[index] : 0 }

  mutating func skipSpace() {
    while index < bytes.count {
      switch bytes[index] {
      case 0x20, 0x0A, 0x0D, 0x09: index += 1
      default: return
      }
    }
  }

  func unexpected(_ wanted: String) -> JSONError {
    guard index < bytes.count else { return error("expected \(wanted), found the end of the text") }
    let byte = bytes[index]
    let found =
      (0x21...0x7E).contains(byte)
      ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte 0x\(String(byte, radix: 16))"
    return error("expected \(wanted), found \(found)")
  }

  mutating func value() throws(JSONError) -> JSONValue {
    switch next {
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "t"):
      try literal("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try literal("false")
      return .bool(false)
    case UInt8(ascii: "n"):
      try literal("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw unexpected("a value")
    }
  }

  mutating func literal(_ word: StaticString) throws(JSONError) {
    let count = word.utf8CodeUnitCount
    guard index + count <= bytes.count,
      UnsafeBufferPointer(start: word.utf8Start, count: count)
        .elementsEqual(bytes[index..<index + count])
    else { throw unexpected("a value") }
    index += count
  }

  mutating func enter() throws(JSONError) {
    depth += 1
    guard depth <= maximumDepth else {
      throw error("nested deeper than \(maximumDepth) levels")
    }
    index += 1
    skipSpace()
  }

  mutating func array() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var elements: [JSONValue] = []
    if next == UInt8(ascii: "]") {
      index += 1
      return .array(elements)
    }
    while true {
      elements.append(try value())
      skipSpace()
      switch next {
      case UInt8(ascii: ","):
        index += 1
        skipSpace()
      case UInt8(ascii: "]"):
        index += 1
        return .array(elements)
      default: throw unexpected("\",\" or \"]\"")
      }
    }
  }

  mutating func object() throws(JSONError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var object = JSONObject()
    if next == UInt8(ascii: "}") {
      index += 1
      return .object(object)
    }
    while true {
      guard next == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
      let start = index
      let key = try string()
      skipSpace()
      guard next == UInt8(ascii: ":") else { throw unexpected("\":\"") }
      index += 1
      skipSpace()
      let value = try value()
      guard object.append(key, value) else {
        throw error("the key \"\(key)\" occurs a second time in one object", at: start)
      }
      skipSpace()
      switch next {
      case UInt8(ascii: ","):
        index += 1
        skipSpace()
      case UInt8(ascii: "}"):
        index += 1
        return .object(object)
      default: throw unexpected("\",\" or \"}\"")
      }
    }
  }

  // MARK: Strings

  mutating func string() throws(JSONError) -> String {
    let opening = index
    index += 1
    let start = index
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "\"") {
        defer { index += 1 }
        return String(
          decoding: UnsafeBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
      }
      if byte == UInt8(ascii: "\\") { return try escapedString(from: start, opening: opening) }
      if byte < 0x20 { throw error("an unescaped control character in a string") }
      index += 1
    }
    throw error("a string without its closing quote, opened", at: opening)
  }

  mutating func escapedString(from start: Int, opening: Int) throws(JSONError) -> String {
    var text = Array(bytes[start..<index])
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "\""):
        index += 1
        return String(decoding: text, as: UTF8.self)
      case UInt8(ascii: "\\"):
        try escape(into: &text)
      case 0..<0x20:
        throw error("an unescaped control character in a string")
      default:
        text.append(byte)
        index += 1
      }
    }
    throw error("a string without its closing quote, opened", at: opening)
  }

  mutating func escape(into text: inout [UInt8]) throws(JSONError) {
    let start = index
    index += 1
    switch next {
    case UInt8(ascii: "\""): text.append(0x22)
    case UInt8(ascii: "\\"): text.append(0x5C)
    case UInt8(ascii: "/"): text.append(0x2F)
    case UInt8(ascii: "b"): text.append(0x08)
    case UInt8(ascii: "f"): text.append(0x0C)
    case UInt8(ascii: "n"): text.append(0x0A)
    case UInt8(ascii: "r"): text.append(0x0D)
    case UInt8(ascii: "t"): text.append(0x09)
    case UInt8(ascii: "u"):
      index += 1
      var code = try hexadecimal()
      if (0xD800...0xDBFF).contains(code), next == UInt8(ascii: "\\"), index + 1 < bytes.count,
        bytes[index + 1] == UInt8(ascii: "u")
      {
        index += 2
        let low = try hexadecimal()
        guard (0xDC00...0xDFFF).contains(low) else {
          throw error("an escaped surrogate without its other half", at: start)
        }
        code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(code) else {
        throw error("an escaped surrogate without its other half", at: start)
      }
      text.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
      return
    default: throw unexpected("one of \"\\/bfnrtu after a backslash")
    }
    index += 1
  }

  mutating func hexadecimal() throws(JSONError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      switch next {
      case let digit where (0x30...0x39).contains(digit): code = code << 4 + UInt32(digit - 0x30)
      case let digit where (0x41...0x46).contains(digit): code = code << 4 + UInt32(digit - 0x37)
      case let digit where (0x61...0x66).contains(digit): code = code << 4 + UInt32(digit - 0x57)
      default: throw unexpected("four hexadecimal digits after \\u")
      }
      index += 1
    }
    return code
  }

  // MARK: Numbers

  mutating func digits() throws(JSONError) {
    guard (0x30...0x39).contains(next) else { throw unexpected("a digit") }
    while (0x30...0x39).contains(next) { index += 1 }
  }

  mutating func number() throws(JSONError) -> JSONValue {
    let start = index
    if next == UInt8(ascii: "-") { index += 1 }
    if next == UInt8(ascii: "0") {
      index += 1
      if (0x30...0x39).contains(next) { throw error("a number with a leading zero", at: start) }
    } else {
      try digits()
    }
    var isInteger = true
    if next == UInt8(ascii: ".") {
      isInteger = false
      index += 1
      try digits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      isInteger = false
      index += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { index += 1 }
      try digits()
    }
    if isInteger, let integer = integer(in: start..<index) { return .integer(integer) }
    let text = String(
      decoding: UnsafeBufferPointer(rebasing: bytes[start..<index]), as: UTF8.self)
    guard let number = Double(text), number.isFinite else {
      throw error("a number that no double can hold", at: start)
    }
    return .number(number)
  }

  func integer(in range: Range<Int>) -> Int64? {
    let isNegative = bytes[range.lowerBound] == UInt8(ascii: "-")
    var value: Int64 = 0
    // Counted downwards, because the negative side reaches one further.
    for byte in bytes[(isNegative ? range.lowerBound + 1 : range.lowerBound)..<range.upperBound] {
      let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = scaled.subtractingReportingOverflow(Int64(byte - 0x30))
      if overflow || overflow2 { return nil }
      value = sum
    }
    if isNegative { return value }
    return value == .min ? nil : -value
  }
}
