import LoRAPatterns

/// Classes of code points as BERT's steps of `tokenizers` see them: by the tables of Unicode 8, or 9
/// for marks, whose categories the standard library has but for a few code points that have changed
/// theirs since.
enum CharacterClasses {
  /// Whether a text that is cleaned loses the code point: control, format and private characters,
  /// U+0000 and U+FFFD, but no tabs and ends of lines.
  static func isRemovedByCleaning(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D, 0x20...0x7E, 0x2070...0xD7FF: return false
    case 0..<0x20, 0x7F...0x9F, 0xFFFD: return true
    default: break
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .privateUse: return isKnown(scalar, by: 8)
    default: return false
    }
  }

  /// Whether the code point is of the blocks that BERT puts spaces round: ideographs.
  static func isIdeograph(_ code: UInt32) -> Bool {
    switch code {
    case 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xF900...0xFAFF, 0x20000...0x2A6DF, 0x2A700...0x2B73F,
      0x2B740...0x2B81F, 0x2B920...0x2CEAF, 0x2F800...0x2FA1F:
      true
    default: false
    }
  }

  /// Whether the code point is an accent that BERT strips.
  static func isNonspacingMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x300, 0x309B...0xA66E, 0xAC00...0xD7FF: return false
    case 0x1734, 0x1171E: return true
    case 0x1885, 0x1886, 0xA9BD, 0x111C9: return false
    default:
      return scalar.properties.generalCategory == .nonspacingMark && isKnown(scalar, by: 8)
    }
  }

  /// Whether the code point is a mark of any kind, which the normalizer `StripAccents` strips.
  static func isMark(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0..<0x300: return false
    case 0x1CF2, 0x1CF3: return true
    case 0x111C9: return false
    default: break
    }
    switch scalar.properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark: return isKnown(scalar, by: 9)
    default: return false
    }
  }

  /// Whether the code point is punctuation; of ASCII also the symbols ("$", "+", "^").
  static func isPunctuation(_ code: UInt32) -> Bool {
    if code < 0x80 {
      switch code {
      case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
      default: return false
      }
    }
    if code == 0x166D || code == 0x111C9 { return true }
    guard let scalar = Unicode.Scalar(code) else { return false }
    switch scalar.properties.generalCategory {
    case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation,
      .initialPunctuation, .finalPunctuation, .otherPunctuation:
      return isKnown(scalar, by: 8)
    default: return false
    }
  }

  /// Whether the code point is white space.
  static func isWhitespace(_ code: UInt32) -> Bool {
    if code < 0x80 { return code == 0x20 || 0x09...0x0D ~= code }
    return Unicode.Scalar(code)?.properties.isWhitespace ?? false
  }

  private static func isKnown(_ scalar: Unicode.Scalar, by version: Int) -> Bool {
    UnicodeClasses.isAssigned(scalar.properties, by: version)
  }
}
