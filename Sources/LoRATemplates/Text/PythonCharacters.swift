/// Classes of characters as Python's `str` has them.
extension Unicode.Scalar {
  /// `str.isspace`, and what `\s` matches.
  var isPythonSpace: Bool {
    switch value {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F,
      0x205F, 0x3000:
      true
    default: false
    }
  }

  /// Where `str.splitlines` ends a line.
  var isPythonLineEnd: Bool {
    switch value {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  /// Whether `repr` writes the character as itself.
  var isPythonPrintable: Bool {
    if isASCII { return (0x20...0x7E).contains(value) }
    switch properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      return false
    default: return true
    }
  }

  var isPythonAlpha: Bool {
    switch properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }

  var isPythonDecimal: Bool { properties.generalCategory == .decimalNumber }

  var isPythonDigit: Bool {
    switch properties.numericType {
    case .decimal?, .digit?: true
    default: false
    }
  }

  var isPythonNumeric: Bool { properties.numericType != nil }
  var isPythonAlphanumeric: Bool {
    isPythonAlpha || isPythonDecimal || isPythonDigit || isPythonNumeric
  }

  /// `\w`.
  var isPythonWord: Bool { isPythonAlphanumeric || self == "_" }

  var isPythonUpper: Bool { properties.isUppercase }
  var isPythonLower: Bool { properties.isLowercase }
  var isPythonTitle: Bool { properties.generalCategory == .titlecaseLetter }
  var isCased: Bool { isPythonUpper || isPythonLower || isPythonTitle }

  /// The value of a decimal digit of any script.
  var decimalValue: Int? {
    guard isPythonDecimal, let value = properties.numericValue else { return nil }
    return Int(value)
  }

  var isIdentifierStart: Bool {
    isASCII
      ? ("a"..."z").contains(self) || ("A"..."Z").contains(self) || self == "_"
      : properties.isXIDStart
  }

  var isIdentifierPart: Bool {
    isIdentifierStart || (isASCII ? ("0"..."9").contains(self) : properties.isXIDContinue)
  }
}
