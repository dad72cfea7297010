/// The classes `\w`, `\d` and `\s` as Python has them for `str`, or with `(?a)`.
enum PythonClasses {
  private static let asciiWord: [ClosedRange<UInt32>] = [
    0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A,
  ]
  /// What `str.isspace` holds true of.
  private static let spaces: [ClosedRange<UInt32>] = [
    0x09...0x0D, 0x1C...0x20, 0x85...0x85, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A,
    0x2028...0x2029, 0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000,
  ]
  private static let asciiSpaces: [ClosedRange<UInt32>] = [0x09...0x0D, 0x20...0x20]
  /// The connectors other than "_", which alone of them is of a word.
  private static let otherConnectors: [ClosedRange<UInt32>] = [
    0x203F...0x2040, 0x2054...0x2054, 0xFE33...0xFE34, 0xFE4D...0xFE4F, 0xFF3F...0xFF3F,
  ]

  private static func mask(_ names: String...) -> UInt32 {
    names.reduce(0) { $0 | (UnicodeClasses.mask(named: $1) ?? 0) }
  }

  /// The class of one of the letters d, D, s, S, w and W; nil for any other.
  static func set(of letter: Unicode.Scalar, isASCII: Bool) -> CodePointSet? {
    var set = CodePointSet()
    switch (letter, isASCII) {
    case ("s", _), ("S", _):
      set.insert(class: isASCII ? asciiSpaces : spaces, isComplement: letter == "S")
    case ("d", true), ("D", true): set.insert(class: [0x30...0x39], isComplement: letter == "D")
    case ("d", false): set.insert(categories: mask("Nd"))
    case ("D", false): set.insert(categories: ~mask("Nd"))
    case ("w", true), ("W", true): set.insert(class: asciiWord, isComplement: letter == "W")
    case ("w", false):
      set.insert(categories: mask("L", "N"))
      set.insert(class: [0x5F...0x5F])
    case ("W", false):
      set.insert(categories: ~mask("L", "N", "Pc"))
      set.insert(class: otherConnectors)
    default: return nil
    }
    return set
  }

  private static func finished(isASCII: Bool) -> CodePointSet {
    var set = set(of: "w", isASCII: isASCII) ?? CodePointSet()
    set.finish()
    return set
  }

  /// What `\b` takes for a word, with `(?a)` or without.
  static let words = (unicode: finished(isASCII: false), ascii: finished(isASCII: true))
}

/// Case as Python's `re` compares it: by the simple lower case, and by what else is the same letter.
enum PythonCase {
  static func lowercase(_ code: UInt32, isASCII: Bool) -> UInt32 {
    if code < 0x80 || isASCII { return (0x41...0x5A).contains(code) ? code | 0x20 : code }
    // The one code point whose full lower case is longer than its simple one.
    if code == 0x130 { return 0x69 }
    guard let mapping = Unicode.Scalar(code)?.properties.lowercaseMapping.unicodeScalars,
      mapping.count == 1, let lower = mapping.first
    else { return code }
    return lower.value
  }

  /// What counts as the same as a code point of lower case, that one first.
  static func same(as lower: UInt32, isASCII: Bool) -> [UInt32] {
    if isASCII { return (0x61...0x7A).contains(lower) ? [lower, lower ^ 0x20] : [lower] }
    let equal = [lower] + (equivalents[lower] ?? [])
    return equal.flatMap { [$0] + (uppercase[$0] ?? []) }
  }

  /// The code points whose lower case is another one, by that.
  private static let uppercase: [UInt32: [UInt32]] = {
    var table: [UInt32: [UInt32]] = [:]
    for code in UInt32(0x41)..<0x1E944 {
      let lower = lowercase(code, isASCII: false)
      if lower != code { table[lower, default: []].append(code) }
    }
    return table
  }()

  /// Lower-case letters that share their upper case (`re._casefix`).
  private static let equivalents: [UInt32: [UInt32]] = {
    let groups: [[UInt32]] = [
      [0x69, 0x131], [0x73, 0x17F], [0xB5, 0x3BC], [0x345, 0x3B9, 0x1FBE], [0x390, 0x1FD3],
      [0x3B0, 0x1FE3], [0x3B2, 0x3D0], [0x3B5, 0x3F5], [0x3B8, 0x3D1], [0x3BA, 0x3F0],
      [0x3C0, 0x3D6], [0x3C1, 0x3F1], [0x3C2, 0x3C3], [0x3C6, 0x3D5], [0x432, 0x1C80],
      [0x434, 0x1C81], [0x43E, 0x1C82], [0x441, 0x1C83], [0x442, 0x1C84, 0x1C85],
      [0x44A, 0x1C86], [0x463, 0x1C87], [0x1C88, 0xA64B], [0x1E61, 0x1E9B], [0xFB05, 0xFB06],
    ]
    var table: [UInt32: [UInt32]] = [:]
    for group in groups {
      for code in group { table[code] = group.filter { $0 != code } }
    }
    return table
  }()
}
