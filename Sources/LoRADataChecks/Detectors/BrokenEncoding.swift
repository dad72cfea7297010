/// Text that was decoded wrongly somewhere on its way.
///
/// Looked for: U+FFFD; UTF-8 that was read as Latin-1 or Windows-1252 ("cafÃ©", "itâ€™s"), as Shift JIS
/// ("譁�蟄"), Shift JIS and EUC that were read as Latin-1; control characters; entities of HTML outside of
/// HTML; escapes of JSON that are spelled out.
struct BrokenEncoding: DataDetector {
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    for turn in example.turns {
      if let problem = Self.problem(in: turn.text) {
        log.add(.encoding, in: example, "\(problem) in the \(turn.place)")
        return
      }
    }
  }

  /// What is wrong with a text; nil for nothing.
  static func problem(in text: String) -> String? {
    var text = text
    return text.withUTF8 { bytes in
      var scan = MojibakeScan()
      var position = 0
      while position < bytes.count {
        let byte = bytes[position]
        if byte < 0x80 {
          if let problem = asciiProblem(bytes, position) { return problem }
          if scan.isActive { scan.add(UInt32(byte)) }
          position += 1
          continue
        }
        // Of ASCII the scan is told only what stands next to something else.
        if !scan.isActive, bytes.byte(position - 1) < 0x80 {
          scan.begin(after: UInt32(bytes.byte(position - 1)))
        }
        let (scalar, length) = bytes.scalar(at: position)
        switch scalar {
        case 0xFFFD: return "U+FFFD, which stands for bytes that were no text,"
        case 0x80...0x84, 0x86...0x9F:
          // Alone they are control characters, after letters with accents most often mojibake.
          scan.add(scalar)
          if let problem = scan.problem { return problem }
          return "the control character \(name(scalar))"
        case 0xFEFF: return "a byte order mark (U+FEFF)"
        case 0xE000...0xF8FF, 0xFFFE, 0xFFFF: return "\(name(scalar)), which is no character,"
        default: scan.add(scalar)
        }
        if let problem = scan.problem { return problem }
        position += length
      }
      return scan.endProblem
    }
  }

  private static func asciiProblem(_ bytes: UnsafeBufferPointer<UInt8>, _ position: Int) -> String?
  {
    switch bytes[position] {
    case 0...0x08, 0x0B, 0x0E...0x1F, 0x7F:
      return "the control character \(name(UInt32(bytes[position])))"
    case UInt8(ascii: "&"):
      guard let entity = entity(bytes, position), !isMarkup(bytes) else { return nil }
      return "the HTML entity \"\(entity)\""
    case UInt8(ascii: "\\"):
      guard bytes.byte(position + 1) == UInt8(ascii: "u"), position + 6 <= bytes.count,
        bytes[(position + 2)..<(position + 6)].allSatisfy(isHexadecimal), !isCode(bytes)
      else { return nil }
      return "the escape \"\(bytes.text(position..<(position + 6)))\""
    default: return nil
    }
  }

  private static func name(_ scalar: UInt32) -> String {
    let digits = String(scalar, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    byte.isDigit || (0x41...0x46).contains(byte & 0xDF)
  }

  /// Names of entities that people's texts have; "&copy=1" of an address is none.
  private static let entities: Set<String> = [
    "amp", "lt", "gt", "quot", "apos", "nbsp", "rsquo", "lsquo", "rdquo", "ldquo", "ndash", "mdash",
    "hellip", "eacute", "egrave", "agrave", "auml", "ouml", "uuml", "szlig", "ccedil", "euro",
    "pound",
    "copy", "reg", "trade", "bull", "middot", "laquo", "raquo", "deg", "times",
  ]

  private static func entity(_ bytes: UnsafeBufferPointer<UInt8>, _ start: Int) -> String? {
    var end = start + 1
    while end < min(bytes.count, start + 10),
      bytes[end].isAlphanumeric || bytes[end] == UInt8(ascii: "#")
    {
      end += 1
    }
    guard bytes.byte(end) == UInt8(ascii: ";"), end > start + 2 else { return nil }
    let name = bytes.text((start + 1)..<end)
    let isNumber =
      name.hasPrefix("#") && name.dropFirst().first.map { $0 == "x" || $0.isNumber } ?? false
    return isNumber || entities.contains(name) ? "&\(name);" : nil
  }

  /// Whether a text is about HTML or XML, in which entities belong.
  private static func isMarkup(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    for index in bytes.indices where bytes[index] == UInt8(ascii: "<") {
      let next = bytes.byte(index + 1)
      if next == UInt8(ascii: "/") || next == UInt8(ascii: "!") || next.isLowercase { return true }
    }
    return isCode(bytes) || bytes.contains("HTML") || bytes.contains("html")
      || bytes.contains("XML") || bytes.contains("&&")
  }

  /// Whether a text has code in it, in which escapes belong.
  private static func isCode(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    bytes.contains("`") || bytes.contains("JSON") || bytes.contains("Unicode")
      || bytes.contains("();") || bytes.contains("{\n") || bytes.contains("regex")
  }
}
