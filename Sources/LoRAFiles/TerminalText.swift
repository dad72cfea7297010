/// Text that comes from elsewhere, made safe to show on a terminal.
///
/// Names, metadata and paths may hold anything: escape sequences that move the cursor or rewrite what
/// stands above, characters that turn the direction of text round or that nobody sees. They are shown
/// as `\u{1B}` here, and printed as they are nowhere.
///
/// Source: Boucher and Anderson, *Trojan Source: Invisible Vulnerabilities*, 2021, for the characters
/// that change a text's direction.
package enum TerminalText {
  /// `text` as a part of one line: control characters (line breaks and tabs included), characters that
  /// are invisible or change the direction of text, and Unicode's line separators are escaped; what is
  /// longer than `limit` characters loses its middle.
  package static func line(_ text: String, limit: Int = .max) -> String {
    escaping(shortened(text, limit: limit)) { isUnsafe($0) ? swiftEscape($0) : nil }
  }

  /// `text` that may have lines: as ``line(_:limit:)``, line breaks and tabs kept.
  package static func lines(_ text: String) -> String {
    escaping(text) { $0 != "\n" && $0 != "\t" && isUnsafe($0) ? swiftEscape($0) : nil }
  }

  /// What a model wrote, as a terminal may show it: control characters other than line breaks and tabs
  /// are escaped, and nothing else, because languages need what joins and directs their letters.
  package static func generated(_ text: String) -> String {
    escaping(text) { $0 != "\n" && $0 != "\t" && isControl($0) ? swiftEscape($0) : nil }
  }

  /// A JSON document on one line whose strings have the same characters, the unsafe ones in JSON's own
  /// escapes.
  package static func json(_ document: String) -> String {
    escaping(document) { isUnsafe($0) ? jsonEscape($0) : nil }
  }

  /// `text`, or as much of its beginning and end as `limit` characters are, around the number of those
  /// left out.
  package static func shortened(_ text: String, limit: Int) -> String {
    // A character has a byte at least.
    guard text.utf8.count > limit, text.unicodeScalars.count > limit else { return text }
    let scalars = text.unicodeScalars
    let tail = limit / 3
    let head = limit - tail
    return String(scalars.prefix(head)) + "...(\(scalars.count - limit) more characters)..."
      + String(scalars.suffix(tail))
  }

  // MARK: - Characters

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
  }

  private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.value < 0x7F { return scalar.value < 0x20 }
    switch scalar.value {
    case 0x7F...0x9F, 0xAD, 0x061C, 0x180E, 0xFEFF: return true
    // Zero width, direction, separators of lines, overrides, invisible operators, isolates.
    case 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x206F: return true
    // Annotations and tags.
    case 0xFFF9...0xFFFB, 0xE0000...0xE007F: return true
    default: return false
    }
  }

  private static func swiftEscape(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    default: "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
    }
  }

  private static func jsonEscape(_ scalar: Unicode.Scalar) -> String {
    String(scalar).utf16.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
  }

  private static func escaping(
    _ text: String, _ escape: (Unicode.Scalar) -> String?
  ) -> String {
    // Nearly every text is as it should be: a look at its bytes tells.
    let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }
    if isPlain { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      if let escaped = escape(scalar) {
        result.append(contentsOf: escaped.unicodeScalars)
      } else {
        result.append(scalar)
      }
    }
    return String(result)
  }
}
