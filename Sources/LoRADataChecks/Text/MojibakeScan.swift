/// Recognizes UTF-8, Shift JIS and EUC that were read in another encoding, code point by code point.
struct MojibakeScan {
  /// What was found.
  private(set) var problem: String?
  private var previous: (UInt32, UInt32) = (0, 0)
  /// Pairs in a row that may be letters of Cyrillic, Greek, Hebrew or Arabic, and where the last one ended.
  private var (pairs, pairEnd) = (0, 0)
  private var (kanji, euc, halfWidth, shiftJIS) = (0, 0, 0, 0)
  private var characters = 0
  /// Letters of Latin-1 with accents in a row, those of them that German has, and rows of three and more.
  private var (accents, umlauts, accentedRuns) = (0, 0, 0)
  /// Letters and other signs of Latin-1 in a row.
  private var (latinLetters, latinSigns) = (0, 0)

  /// Whether the last code points may begin something.
  var isActive: Bool { previous.0 >= 0x80 || previous.1 >= 0x80 }

  /// Begins behind an ASCII character that was not added.
  mutating func begin(after scalar: UInt32) { previous = (0, scalar) }

  /// Takes the next code point of the text.
  mutating func add(_ scalar: UInt32) {
    defer { previous = (previous.1, scalar) }
    characters += 1
    countAccents(scalar)
    countLatin(scalar)
    if scalar < 0x80 { return }
    let before = previous.1
    switch before {
    case 0xC3 where Self.isContinuation(scalar):
      // "MAÇÃ”" and "IRMÃ»" end in a quote, "voilÃ " does not.
      if !Self.isPunctuation(scalar) || Self.isSmall(previous.0) {
        problem = found(scalar)
      }
    case 0xC2 where (0xA0...0xBF).contains(scalar):
      if scalar != 0xBB && scalar != 0xA0 || !Self.isCapital(previous.0) {
        problem = found(scalar)
      }
    case 0xCE, 0xCF, 0xD0, 0xD1, 0xD7, 0xD8, 0xD9:
      guard Self.isContinuation(scalar) else { break }
      pairs = pairEnd == characters - 2 ? pairs + 1 : 1
      pairEnd = characters
      if pairs >= 3 { problem = found(scalar) }
    default: break
    }
    let lead = previous.0
    if (0xE0...0xEF).contains(lead), Self.isContinuation(before), Self.isContinuation(scalar),
      !(Self.isPunctuation(before) && Self.isPunctuation(scalar)) || lead == 0xE2
    {
      problem = found(scalar)
    }
    if lead == 0xF0, before == 0x178 || before == 0x9F {
      problem = found(scalar)
    }
    count(scalar, after: before)
  }

  /// What the whole text says that no few characters do.
  var endProblem: String? {
    if kanji >= 3, kanji * 8 >= characters { return "UTF-8 that was read as Shift JIS," }
    if accentedRuns >= 2 { return "Cyrillic or Greek that was read as Latin-1," }
    if euc >= 4, euc * 4 >= characters { return "EUC-JP that was read as Latin-1," }
    if halfWidth >= 4 { return "EUC-JP that was read as Shift JIS," }
    if shiftJIS >= 4, shiftJIS * 4 >= characters {
      return "Shift JIS that was read as Windows-1252,"
    }
    return nil
  }

  private func found(_ last: UInt32) -> String {
    var text = ""
    for value in [previous.0, previous.1, last] where value >= 0xA0 {
      if let scalar = Unicode.Scalar(value) { text.unicodeScalars.append(scalar) }
    }
    return "UTF-8 that was read as Latin-1, as \"\(text)\","
  }

  private mutating func count(_ scalar: UInt32, after before: UInt32) {
    switch scalar {
    // 縺 繧 繝 譁 蟄 begin most kana and many kanji that were read so, and stand in few words.
    case 0x7E3A, 0x7E67, 0x7E5D, 0x8B41, 0x87C4: kanji += 1
    // Of 'ｱ' and its like behind '､' or '･'.
    case 0xFF71...0xFF9D where before == 0xFF64 || before == 0xFF65: halfWidth += 1
    default: break
    }
    // 0xA4 and 0xA5 begin kana of EUC, what follows is Latin-1.
    if before == 0xA4 || before == 0xA5, (0xA1...0xFF).contains(scalar) { euc += 1 }
    // 0x82 and 0x83 begin kana of Shift JIS.
    if before == 0x201A || before == 0x192 || before == 0x82 || before == 0x83 { shiftJIS += 1 }
  }

  /// Words of nothing but letters with accents are in no language: Windows-1251 that was read as Latin-1.
  private mutating func countAccents(_ scalar: UInt32) {
    guard (0xC0...0xFF).contains(scalar), scalar != 0xD7, scalar != 0xF7 else {
      return (accents, umlauts) = (0, 0)
    }
    accents += 1
    if [0xC4, 0xD6, 0xDC, 0xDF, 0xE4, 0xF6, 0xFC].contains(scalar) { umlauts += 1 }
    // Lists of a language's letters have each once, and no more than a few.
    if accents == 4, umlauts < 3 { accentedRuns += 1 }
  }

  /// Signs and letters of Latin-1 by turns, without a space: characters of two bytes each, as of GBK.
  private mutating func countLatin(_ scalar: UInt32) {
    switch scalar {
    case 0xA1...0xBF, 0xD7, 0xF7: latinSigns += 1
    case 0xC0...0xFF: latinLetters += 1
    default: (latinLetters, latinSigns) = (0, 0)
    }
    if latinLetters >= 3, latinSigns >= 3, latinLetters + latinSigns >= 8 {
      problem = "Chinese that was read as Latin-1,"
    }
  }

  /// Whether a code point is what Latin-1 or Windows-1252 has for a byte of 0x80 to 0xBF.
  private static func isContinuation(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0xBF, 0x20AC, 0x201A, 0x192, 0x201E, 0x2026, 0x2020, 0x2021, 0x2C6, 0x2030, 0x160,
      0x2039, 0x152, 0x17D, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2013, 0x2014, 0x2DC, 0x2122,
      0x161, 0x203A, 0x153, 0x17E, 0x178:
      true
    default: false
    }
  }

  /// Whether such a code point also stands behind words.
  private static func isPunctuation(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0xA0, 0xAB, 0xBB, 0xB7, 0x2026, 0x2018, 0x2019, 0x201C, 0x201D, 0x201E, 0x201A, 0x2013,
      0x2014, 0x2039, 0x203A, 0x2122, 0xAE, 0xB0, 0xB2, 0xB3, 0xB9, 0x2022:
      true
    default: false
    }
  }

  private static func isSmall(_ scalar: UInt32) -> Bool {
    (0x61...0x7A).contains(scalar) || (0xDF...0xFF).contains(scalar)
  }

  private static func isCapital(_ scalar: UInt32) -> Bool { (0x41...0x5A).contains(scalar) }
}
