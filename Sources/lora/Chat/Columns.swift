/// Texts side by side, each wrapped to a column.
enum Columns {
  private static let gap = 3
  /// The fewest columns of a terminal that a text is readable in.
  private static let narrowest = 28

  /// The lines of `texts` beside each other under their titles; nil if there is no room for them.
  static func lines(_ texts: [(title: String, text: String)], width limit: Int) -> [String]? {
    let column = (limit - gap * (texts.count - 1)) / max(1, texts.count)
    guard texts.count > 1, column >= narrowest else { return nil }
    let wrapped = texts.map { [$0.title, ""] + lines(of: $0.text, width: column) }
    return (0..<(wrapped.map(\.count).max() ?? 0)).map { row in
      var line = ""
      for (index, lines) in wrapped.enumerated() {
        let text = row < lines.count ? lines[row] : ""
        let padding = index + 1 == wrapped.count ? 0 : column + gap - width(of: text)
        line += text + String(repeating: " ", count: max(0, padding))
      }
      return line
    }
  }

  /// `text` in lines of at most `width` columns, broken between words where there are some.
  static func lines(of text: String, width limit: Int) -> [String] {
    var lines: [String] = []
    for paragraph in text.split(separator: "\n", omittingEmptySubsequences: false) {
      var line = ""
      var used = 0
      func end() {
        lines.append(line)
        (line, used) = ("", 0)
      }
      for word in paragraph.split(separator: " ", omittingEmptySubsequences: false) {
        let size = width(of: String(word))
        if !line.isEmpty, used + 1 + size <= limit {
          line += " " + word
          used += 1 + size
          continue
        }
        if !line.isEmpty { end() }
        for character in word {
          let size = width(of: character)
          if used + size > limit { end() }
          line.append(character)
          used += size
        }
      }
      end()
    }
    return lines
  }

  /// How many columns of a terminal a text takes.
  static func width(of text: String) -> Int { text.reduce(0) { $0 + width(of: $1) } }

  /// Characters of East Asia, pictures and flags are two columns wide; accents without a letter have none.
  static func width(of character: Character) -> Int {
    var isVisible = false
    for scalar in character.unicodeScalars {
      switch scalar.value {
      case 0x20...0x7E: return 1
      case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F,
        0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F1E6...0x1F1FF, 0x1F300...0x1FAFF, 0x20000...0x3FFFD:
        return 2
      default: break
      }
      if scalar.properties.isEmojiPresentation { return 2 }
      switch scalar.properties.generalCategory {
      case .nonspacingMark, .enclosingMark, .format, .control: break
      default: isVisible = true
      }
    }
    return isVisible ? 1 : 0
  }
}
