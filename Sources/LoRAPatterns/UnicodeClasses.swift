/// The general category and the White_Space property of every code point, as Unicode 16 has them.
///
/// The regular expressions of Hugging Face's `tokenizers` know Unicode 16; the standard library's
/// tables are of the version that Swift came with. Code points that were assigned later count as
/// unassigned here, so that the same text gives the same tokens with every compiler.
package enum UnicodeClasses {
  /// Set in ``of(_:)`` for white space; the bits below are the category's index.
  package static let whiteSpace: UInt8 = 32

  private static let basicPlane: [UInt8] = (0..<0x10000).map { compute(UInt32($0)) }

  /// The class of a code point: the index of its category plus ``whiteSpace`` if it is that.
  package static func of(_ code: UInt32) -> UInt8 {
    // ASCII without the table, which takes some milliseconds to make.
    0x80..<0x10000 ~= code ? basicPlane[Int(code)] : compute(code)
  }

  private static func compute(_ code: UInt32) -> UInt8 {
    guard let scalar = Unicode.Scalar(code) else { return index(of: .surrogate) }
    let properties = scalar.properties
    guard isAssigned(properties, by: 16) else { return index(of: .unassigned) }
    return index(of: properties.generalCategory) | (properties.isWhitespace ? whiteSpace : 0)
  }

  /// Whether a code point was assigned in the given major version of Unicode or before.
  package static func isAssigned(_ properties: Unicode.Scalar.Properties, by version: Int) -> Bool {
    guard let age = properties.age else { return false }
    return age.major < version || age.major == version && age.minor == 0
  }

  /// The bits of the categories that a property name in `\p{...}` stands for; nil if it is none.
  package static func mask(named name: String) -> UInt32? {
    if name == "LC" || name == "L&" { return mask(["Lu", "Ll", "Lt"]) }
    let long: [String: String] = [
      "Letter": "L", "Mark": "M", "Number": "N", "Punctuation": "P", "Symbol": "S",
      "Separator": "Z", "Other": "C",
    ]
    if let short = long[name] { return mask(named: short) }
    let members = categories.filter { $0 == name || String($0.prefix(1)) == name }
    return members.isEmpty ? nil : mask(members)
  }

  private static func mask(_ names: [String]) -> UInt32 {
    names.reduce(0) { bits, name in
      let position = categories.firstIndex(of: name) ?? 0
      return bits | 1 << UInt32(position)
    }
  }

  private static func index(of category: Unicode.GeneralCategory) -> UInt8 {
    switch category {
    case .uppercaseLetter: 0
    case .lowercaseLetter: 1
    case .titlecaseLetter: 2
    case .modifierLetter: 3
    case .otherLetter: 4
    case .nonspacingMark: 5
    case .spacingMark: 6
    case .enclosingMark: 7
    case .decimalNumber: 8
    case .letterNumber: 9
    case .otherNumber: 10
    case .connectorPunctuation: 11
    case .dashPunctuation: 12
    case .openPunctuation: 13
    case .closePunctuation: 14
    case .initialPunctuation: 15
    case .finalPunctuation: 16
    case .otherPunctuation: 17
    case .mathSymbol: 18
    case .currencySymbol: 19
    case .modifierSymbol: 20
    case .otherSymbol: 21
    case .spaceSeparator: 22
    case .lineSeparator: 23
    case .paragraphSeparator: 24
    case .control: 25
    case .format: 26
    case .surrogate: 27
    case .privateUse: 28
    case .unassigned: 29
    @unknown default: 29
    }
  }

  private static let categories = [
    "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi",
    "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
  ]

  /// Whether the scalar is of a word, as `\w` of the Rust crate `regex` sees it.
  package static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    let properties = scalar.properties
    guard isAssigned(properties, by: 16) else { return false }
    switch properties.generalCategory {
    case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
      return true
    default: return properties.isAlphabetic || properties.isJoinControl
    }
  }

  /// Whether the scalar is a number, as Rust's `char::is_numeric` sees it.
  package static func isNumeric(_ code: UInt32) -> Bool {
    if code < 0x80 { return (0x30...0x39).contains(code) }
    switch Unicode.Scalar(code)?.properties.generalCategory {
    case .decimalNumber, .letterNumber, .otherNumber: return true
    default: return false
    }
  }
}
