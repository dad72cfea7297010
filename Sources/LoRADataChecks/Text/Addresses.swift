/// Mail addresses.
enum MailAddress {
  /// The address around an `@`; nil if it is none, or one of documentation's.
  static func range(around at: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    var start = at
    while start > 0, isLocal(bytes[start - 1]) { start -= 1 }
    while start < at, bytes[start] == UInt8(ascii: ".") { start += 1 }
    guard start < at, at - start <= 64, bytes.byte(start - 1) != UInt8(ascii: ":"),
      bytes.byte(start - 1) != UInt8(ascii: "/")
    else { return nil }
    var end = at + 1
    while end < bytes.count,
      bytes[end].isAlphanumeric || bytes[end] == UInt8(ascii: ".")
        || bytes[end] == UInt8(ascii: "-")
    {
      end += 1
    }
    while end > at, !bytes[end - 1].isAlphanumeric { end -= 1 }
    guard end > at + 3 else { return nil }
    let labels = bytes.text((at + 1)..<end).lowercased().split(
      separator: ".", omittingEmptySubsequences: false)
    guard labels.count >= 2, labels.allSatisfy({ !$0.isEmpty }), let last = labels.last,
      last.utf8.count >= 2, last.utf8.allSatisfy(\.isLowercase),
      !isReserved(labels), !localNames.contains(bytes.text(start..<at).lowercased())
    else { return nil }
    return start..<end
  }

  private static func isLocal(_ byte: UInt8) -> Bool {
    byte.isAlphanumeric || [0x2E, 0x5F, 0x25, 0x2B, 0x2D].contains(byte)
  }

  private static func isReserved(_ labels: [Substring]) -> Bool {
    if ["example", "test", "invalid", "localhost", "local"].contains(labels[labels.count - 1]) {
      return true
    }
    let names: [Substring] = [
      "example", "domain", "yourdomain", "mydomain", "company", "yourcompany", "email", "website",
      "mail", "abc", "xyz", "test", "server", "host",
    ]
    return names.contains(labels[labels.count - 2])
      || labels.suffix(3).first == "example" && labels.count >= 3
  }

  /// What is a part of an address of something else, or nobody's name.
  private static let localNames: Set<String> = [
    "git", "user", "username", "name", "you", "your", "yourname", "your.name", "email", "youremail",
    "someone", "me", "foo", "bar", "noreply", "no-reply", "firstname.lastname", "first.last",
  ]
}

/// Numbers of bank accounts.
enum AccountNumber {
  private static let lengths: [String: Int] = [
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18,
    "EE": 20,
    "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23,
    "IS": 26,
    "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15,
    "PL": 28,
    "PT": 25, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26,
    "UA": 29,
    "AE": 23, "BR": 29, "KZ": 20, "QA": 29,
  ]

  /// The IBAN at `start`, with or without spaces, if its check digits are right.
  static func range(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    guard bytes.byte(start + 2).isDigit, bytes.byte(start + 3).isDigit,
      let length = lengths[bytes.text(start..<(start + 2))]
    else { return nil }
    var (index, symbols): (Int, [UInt8]) = (start, [])
    while index < bytes.count, symbols.count < length {
      if bytes[index].isDigit || bytes[index].isUppercase {
        symbols.append(bytes[index])
      } else if bytes[index] != 0x20 {
        return nil
      }
      index += 1
    }
    guard symbols.count == length, !bytes.byte(index).isAlphanumeric else { return nil }
    var rest = 0
    for symbol in symbols[4...] + symbols[..<4] {
      rest =
        symbol.isDigit
        ? (rest * 10 + Int(symbol - 0x30)) % 97 : (rest * 100 + Int(symbol - 55)) % 97
    }
    return rest == 1 ? start..<index : nil
  }
}

/// Addresses of machines, version 4.
enum NetworkAddress {
  /// The public address at `start`.
  static func range(at start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
    var (index, parts): (Int, [Int]) = (start, [])
    while parts.count < 4 {
      var (value, count) = (0, 0)
      let first = bytes.byte(index)
      while count < 3, bytes.byte(index).isDigit {
        value = value * 10 + Int(bytes[index] - 0x30)
        (index, count) = (index + 1, count + 1)
      }
      guard count > 0, value <= 255, count == 1 || first != 0x30 else { return nil }
      parts.append(value)
      if parts.count < 4 {
        guard bytes.byte(index) == UInt8(ascii: ".") else { return nil }
        index += 1
      }
    }
    let next = bytes.byte(index)
    let isLonger =
      next.isAlphanumeric || next == UInt8(ascii: ".") && bytes.byte(index + 1).isDigit
    guard !isLonger, isPublic(parts), !isVersion(start, in: bytes) else { return nil }
    return start..<index
  }

  /// Not private, reserved, for documentation, or known to everybody.
  private static func isPublic(_ parts: [Int]) -> Bool {
    switch (parts[0], parts[1], parts[2]) {
    case (0, _, _), (10, _, _), (127, _, _), (224..., _, _), (169, 254, _), (192, 168, _),
      (172, 16...31, _), (100, 64...127, _), (192, 0, 2), (198, 51, 100), (203, 0, 113),
      (198, 18...19, _), (8, 8, 8), (1, 1, 1), (8, 8, 4), (9, 9, 9):
      false
    // 1.2.3.4 and section numbers.
    default: parts.max() ?? 0 >= 30
    }
  }

  private static func isVersion(_ start: Int, in bytes: UnsafeBufferPointer<UInt8>) -> Bool {
    let before = UnsafeBufferPointer(rebasing: bytes[max(0, start - 10)..<start])
    return before.contains("ersion") || before.last == UInt8(ascii: "v")
  }
}
