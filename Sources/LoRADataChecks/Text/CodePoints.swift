/// A script, as far as it tells languages apart.
enum Script: Int, Sendable, CaseIterable {
  case latin, cyrillic, greek, arabic, hebrew, devanagari, thai, hangul, han, kana, other

  /// Whether words follow each other without spaces.
  var hasNoSpaces: Bool {
    switch self {
    case .thai, .han, .kana: true
    default: false
    }
  }
}

/// How many letters of each script a text has.
struct ScriptCounts: Sendable {
  private var counts = [Int](repeating: 0, count: Script.allCases.count)

  subscript(script: Script) -> Int { counts[script.rawValue] }
  var total: Int { counts.reduce(0, +) }
  mutating func add(_ script: Script) { counts[script.rawValue] += 1 }
}

/// What code points are, in a few comparisons: Unicode's tables take ten times as long.
enum CodePoints {
  enum Class: Equatable {
    case letter(Script)
    case digit, space, other
  }

  /// The code point in lower case, and of ordinary width.
  static func folded(_ scalar: UInt32) -> UInt32 {
    switch scalar {
    case 0x41...0x5A: scalar + 0x20
    case 0..<0xC0: scalar
    case 0xC0...0xDE: scalar == 0xD7 ? scalar : scalar + 0x20
    // Alternating capitals and small letters.
    case 0x100...0x137, 0x14A...0x177, 0x1E00...0x1E95, 0x1EA0...0x1EFF, 0x460...0x481:
      scalar | 1
    case 0x139...0x148: scalar & 1 == 1 ? scalar + 1 : scalar
    case 0x391...0x3A9: scalar + 0x20
    case 0x410...0x42F: scalar + 0x20
    case 0x400...0x40F: scalar + 0x50
    case 0x2018, 0x2019, 0x2032: 0x27
    case 0x201C, 0x201D: 0x22
    case 0x3000: 0x20
    case 0xFF21...0xFF3A: scalar - 0xFEE0 + 0x20
    case 0xFF01...0xFF5E: scalar - 0xFEE0
    default: scalar
    }
  }

  /// What a folded code point is.
  static func type(of scalar: UInt32) -> Class {
    switch scalar {
    case 0x61...0x7A: .letter(.latin)
    case 0x30...0x39: .digit
    case 0x09...0x0D, 0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F, 0x205F:
      .space
    case 0..<0xAA: .other
    case 0xAA, 0xB5, 0xBA: .letter(.latin)
    case 0xAB...0xBF, 0xD7, 0xF7: .other
    case 0xC0...0x36F: .letter(.latin)
    case 0x370...0x3FF: .letter(.greek)
    case 0x400...0x52F: .letter(.cyrillic)
    case 0x590...0x5FF: .letter(.hebrew)
    case 0x600...0x6FF, 0x750...0x77F, 0xFB50...0xFDFF, 0xFE70...0xFEFE: .letter(.arabic)
    case 0x900...0x97F: .letter(.devanagari)
    case 0xE00...0xEFF, 0x1000...0x109F, 0x1780...0x17FF: .letter(.thai)
    case 0x1100...0x11FF, 0xAC00...0xD7AF: .letter(.hangul)
    case 0x1E00...0x1FFF: scalar < 0x1F00 ? .letter(.latin) : .letter(.greek)
    case 0x2000...0x2E7F: .other
    case 0x3005, 0x3007: .letter(.han)
    case 0x3000...0x3040: .other
    case 0x3041...0x30FA, 0x30FC...0x30FF, 0x31F0...0x31FF, 0xFF66...0xFF9F: .letter(.kana)
    case 0x3100...0x33FF: .other
    case 0x2E80...0x9FFF, 0xF900...0xFAFF, 0x20000...0x3FFFF: .letter(.han)
    case 0xFE00...0xFFFF: .other
    case 0x1F000...0x1FAFF: .other
    default: .letter(.other)
    }
  }

  /// A mark that says nothing of what is asked: . , ! ? ; quotes, and theirs of Chinese and Japanese.
  static func isMark(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x21, 0x22, 0x27, 0x2C, 0x2E, 0x3B, 0x3F, 0xAB, 0xBB, 0xBF, 0xA1, 0x2026, 0x3001, 0x3002,
      0x300C, 0x300D, 0xFF61:
      true
    default: false
    }
  }

  /// A code point that shows nothing: zero-width spaces and joiners, soft hyphens, marks of direction.
  static func isInvisible(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0xAD, 0x200B...0x200F, 0x202A...0x202E, 0x2060...0x2064, 0xFEFF: true
    default: false
    }
  }

  /// What ends a sentence if a space follows.
  static func isStop(_ scalar: UInt32) -> Bool {
    scalar == 0x2E || scalar == 0x21 || scalar == 0x3F
  }

  /// What ends a sentence of a script without spaces.
  static func isFullStop(_ scalar: UInt32) -> Bool { scalar == 0x3002 || scalar == 0xFF61 }

  static func isArithmetic(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x2B, 0x2A, 0x2F, 0x3C...0x3E, 0x5E, 0x25: true
    default: false
    }
  }
}
