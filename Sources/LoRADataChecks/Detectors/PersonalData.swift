/// What looks like personal data: addresses of mail and machines, telephone, card, account and personal
/// numbers.
///
/// What has a check digit is checked (IBAN, cards, My Number). Addresses that documentation uses
/// (example.com, 192.0.2.0, telephone numbers with 555-01) and private networks are none, and digits alone
/// are never a telephone number.
struct PersonalData: DataDetector {
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    log.add(.personal, in: example, hiding: Self.first)
  }

  /// The first such text, and what it is.
  static func first(in text: String) -> (what: String, text: String)? {
    var text = text
    return text.withUTF8 { bytes in
      var index = 0
      while index < bytes.count {
        let byte = bytes[index]
        if byte == UInt8(ascii: "@") {
          if let range = MailAddress.range(around: index, in: bytes) {
            return ("a mail address", bytes.text(range))
          }
        } else if byte.isDigit || byte == UInt8(ascii: "+") || byte == UInt8(ascii: "(") {
          let before = bytes.byte(index - 1)
          if !before.isAlphanumeric, before != UInt8(ascii: "."), before != UInt8(ascii: "-") {
            if let (what, range) = number(bytes, index) { return (what, bytes.text(range)) }
            while index + 1 < bytes.count, bytes[index + 1].isDigit { index += 1 }
          }
        } else if byte.isUppercase, bytes.byte(index + 1).isUppercase,
          !bytes.byte(index - 1).isAlphanumeric,
          let range = AccountNumber.range(at: index, in: bytes)
        {
          return ("an account number (IBAN)", bytes.text(range))
        }
        index += 1
      }
      return nil
    }
  }

  private static func number(
    _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int
  ) -> (String, Range<Int>)? {
    if let range = NetworkAddress.range(at: start, in: bytes) {
      return ("a network address", range)
    }
    guard let groups = DigitGroups(at: start, in: bytes) else { return nil }
    if groups.isCard { return ("a card number", groups.range) }
    if groups.isSocialSecurityNumber { return ("a social security number", groups.range) }
    if groups.isMyNumber(in: bytes) { return ("a personal number (My Number)", groups.range) }
    if groups.isTelephone { return ("a telephone number", groups.range) }
    return nil
  }
}
