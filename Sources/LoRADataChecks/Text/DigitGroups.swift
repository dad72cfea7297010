/// Digits in groups, as people write long numbers: "4000 1234 5678 9010", "(212) 736-5000".
struct DigitGroups {
  /// Where it stands.
  let range: Range<Int>
  private let digits: [UInt8]
  private let lengths: [Int]
  /// What stands between groups: a space, a hyphen, a full stop; 0 for one group, 1 for several kinds.
  private let separator: UInt8
  private let isInternational: Bool
  private let hasParentheses: Bool

  /// Reads the groups that begin at `start`; nil if there are too few digits for anything.
  init?(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) {
    var (digits, lengths): ([UInt8], [Int]) = ([], [])
    var (index, end, separator, length) = (start, start, UInt8(0), 0)
    isInternational = bytes[start] == UInt8(ascii: "+")
    hasParentheses = bytes[start] == UInt8(ascii: "(")
    if isInternational || hasParentheses { index += 1 }
    guard bytes.byte(index).isDigit else { return nil }
    while index < bytes.count, digits.count < 40 {
      let byte = bytes[index]
      if byte.isDigit {
        digits.append(byte - 0x30)
        length += 1
        index += 1
        end = index
        continue
      }
      // At most two signs between groups: ") ", " (".
      var next = index
      while next < bytes.count, next - index < 2, Self.separates(bytes[next]) { next += 1 }
      guard next > index, bytes.byte(next).isDigit else { break }
      let sign = next - index == 1 ? byte : 1
      let isParenthesis = hasParentheses && lengths.isEmpty && byte == UInt8(ascii: ")")
      if !isParenthesis { separator = separator == 0 || separator == sign ? sign : 1 }
      lengths.append(length)
      (length, index) = (0, next)
    }
    if length > 0 { lengths.append(length) }
    guard digits.count >= 8, !bytes.byte(end).isAlphanumeric else { return nil }
    if [UInt8(ascii: "%"), UInt8(ascii: "/"), UInt8(ascii: "=")].contains(bytes.byte(end)) {
      return nil
    }
    range = start..<end
    (self.digits, self.lengths, self.separator) = (digits, lengths, separator)
  }

  private static func separates(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
      || byte == UInt8(ascii: "(") || byte == UInt8(ascii: ")")
  }

  private var isSpacedOrHyphened: Bool { separator == 0x20 || separator == UInt8(ascii: "-") }
  private var variety: Int { Set(digits).count }

  // MARK: - Cards

  /// Whether it is a card's number: one of the issuers' prefixes, and a check digit that is right.
  var isCard: Bool {
    guard !isInternational, !hasParentheses, variety >= 4, isLuhn, hasIssuer else { return false }
    return switch lengths {
    case [16], [15]: true
    case [4, 4, 4, 4], [4, 6, 5]: isSpacedOrHyphened
    default: false
    }
  }

  private var hasIssuer: Bool {
    let (two, four) = (
      Int(digits[0]) * 10 + Int(digits[1]), digits.prefix(4).reduce(0) { $0 * 10 + Int($1) }
    )
    if digits.count == 15 { return two == 34 || two == 37 }
    return digits[0] == 4 || (51...55).contains(two) || (2221...2720).contains(four) || two == 65
      || four == 6011 || (3528...3589).contains(four)
  }

  private var isLuhn: Bool {
    var sum = 0
    for (place, digit) in digits.reversed().enumerated() {
      let value = Int(digit) * (place % 2 == 1 ? 2 : 1)
      sum += value > 9 ? value - 9 : value
    }
    return sum % 10 == 0
  }

  // MARK: - Personal numbers

  /// Whether it has the form of a number of the social security of the United States.
  var isSocialSecurityNumber: Bool {
    guard lengths == [3, 2, 4], separator == UInt8(ascii: "-"), !isInternational, !hasParentheses
    else { return false }
    let area = digits[..<3].reduce(0) { $0 * 10 + Int($1) }
    return area != 0 && area != 666 && area < 900 && digits[3...4] != [0, 0]
      && digits[5...] != [0, 0, 0, 0]
  }

  /// Whether it is a Japanese My Number, and is called so.
  func isMyNumber(in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    guard digits.count == 12, lengths == [12] || lengths == [4, 4, 4] else { return false }
    var sum = 0
    for place in 1...11 {
      sum += Int(digits[11 - place]) * (place <= 6 ? place + 1 : place - 5)
    }
    let check = sum % 11 <= 1 ? 0 : 11 - sum % 11
    guard Int(digits[11]) == check else { return false }
    let before = UnsafeBufferPointer(
      rebasing: bytes[max(0, range.lowerBound - 60)..<range.lowerBound])
    return before.contains("マイナンバー") || before.contains("個人番号")
      || before.contains("My Number") || before.contains("my number")
      || before.contains("MyNumber")
  }

  // MARK: - Telephones

  /// Whether it is written as a telephone number of some country is.
  var isTelephone: Bool {
    if isInternational {
      guard (9...15).contains(digits.count), digits[0] != 0, lengths.count > 1 || digits.count >= 11
      else { return false }
      return variety >= 3 && lengths.contains { $0 >= 3 }
    }
    guard separator != 0 || hasParentheses else { return false }
    if lengths == [3, 3, 4] { return isNorthAmerican }
    guard digits[0] == 0, digits[1] != 0, variety >= 3 else { return false }
    // Japan: 03-1234-5678, 090-1234-5678; the United Kingdom: 020 7946 0018; France: 01 23 45 67 89.
    switch (digits.count, lengths.count) {
    case (10, 3) where separator == UInt8(ascii: "-") || hasParentheses: return lengths[2] == 4
    case (11, 3):
      return lengths[0] == 3 && lengths[2] == 4 || lengths == [5, 3, 3] || lengths == [4, 3, 4]
    case (11, 2): return lengths == [5, 6]
    case (10, 5): return lengths == [2, 2, 2, 2, 2] && (1...9).contains(digits[1])
    default: return false
    }
  }

  private var isNorthAmerican: Bool {
    let isWritten =
      separator == UInt8(ascii: "-") || separator == UInt8(ascii: ".") || hasParentheses
    // 555-01xx is kept for examples.
    let isFiction = digits[3...5] == [5, 5, 5]
    return isWritten && digits[0] >= 2 && digits[3] >= 2 && !isFiction && variety >= 3
  }
}
