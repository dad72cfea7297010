/// What looks like a key or a password: what a model learns it may say to anybody.
///
/// Known forms of keys, private keys, web tokens, passwords in addresses, and assignments to names such as
/// `password` and `api_key` of something that looks random. Keys that documentation has, as
/// `AKIAIOSFODNN7EXAMPLE`, are none.
struct Secrets: DataDetector {
  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) {
    log.add(.secret, in: example, hiding: Self.first)
  }

  /// The first secret in a text, and what it is.
  static func first(in text: String) -> (what: String, text: String)? {
    var text = text
    return text.withUTF8 { bytes in
      var index = 0
      while index < bytes.count {
        let found: (String, Range<Int>)?
        switch bytes[index] {
        case UInt8(ascii: "="), UInt8(ascii: ":"):
          found = address(bytes, index) ?? assignment(bytes, index)
        case UInt8(ascii: "-"): found = privateKey(bytes, index)
        case UInt8(ascii: "i")
        where bytes.hasPrefix("is ", at: index) && bytes.byte(index - 1) == 0x20:
          found = sentence(bytes, index)
        case UInt8(ascii: "A"), UInt8(ascii: "S"), UInt8(ascii: "e"), UInt8(ascii: "g"),
          UInt8(ascii: "h"), UInt8(ascii: "n"), UInt8(ascii: "p"), UInt8(ascii: "r"),
          UInt8(ascii: "s"), UInt8(ascii: "x"):
          found = bytes.byte(index - 1).isAlphanumeric ? nil : key(bytes, index)
        default: found = nil
        }
        if let (what, range) = found, !isPlaceholder(bytes.text(range)) {
          return (what, bytes.text(range))
        }
        index += 1
      }
      return nil
    }
  }

  // MARK: - Keys

  /// How a key begins, how many characters follow at least and at most, and whether they are capitals and
  /// digits alone.
  private struct Form {
    let name: String
    let prefix: StaticString
    let count: ClosedRange<Int>
    var isUpper = false
  }

  private static let forms: [Form] = [
    Form(name: "an AWS key", prefix: "AKIA", count: 16...16, isUpper: true),
    Form(name: "an AWS key", prefix: "ASIA", count: 16...16, isUpper: true),
    Form(name: "a Google key", prefix: "AIza", count: 35...35),
    Form(name: "a GitHub token", prefix: "ghp_", count: 36...255),
    Form(name: "a GitHub token", prefix: "gho_", count: 36...255),
    Form(name: "a GitHub token", prefix: "ghu_", count: 36...255),
    Form(name: "a GitHub token", prefix: "ghs_", count: 36...255),
    Form(name: "a GitHub token", prefix: "ghr_", count: 36...255),
    Form(name: "a GitHub token", prefix: "github_pat_", count: 50...255),
    Form(name: "a GitLab token", prefix: "glpat-", count: 20...64),
    Form(name: "a Hugging Face token", prefix: "hf_", count: 30...64),
    Form(name: "an npm token", prefix: "npm_", count: 36...36),
    Form(name: "a PyPI token", prefix: "pypi-", count: 60...255),
    Form(name: "a Stripe key", prefix: "sk_live_", count: 20...255),
    Form(name: "a Stripe key", prefix: "rk_live_", count: 20...255),
    Form(name: "an OpenAI key", prefix: "sk-", count: 20...255),
    Form(name: "a SendGrid key", prefix: "SG.", count: 60...80),
    Form(name: "a Slack token", prefix: "xoxb-", count: 20...255),
    Form(name: "a Slack token", prefix: "xoxp-", count: 20...255),
    Form(name: "a Slack token", prefix: "xoxa-", count: 20...255),
    Form(name: "a Slack token", prefix: "xoxr-", count: 20...255),
    Form(name: "a Slack token", prefix: "xoxs-", count: 20...255),
  ]

  private static func key(
    _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int
  ) -> (String, Range<Int>)? {
    if bytes.hasPrefix("eyJ", at: start) { return webToken(bytes, start) }
    for form in forms where bytes.hasPrefix(form.prefix, at: start) {
      let body = start + form.prefix.utf8CodeUnitCount
      var end = body
      while end < bytes.count,
        form.isUpper
          ? bytes[end].isUppercase || bytes[end].isDigit
          : isKeyByte(bytes[end])
            || (form.name == "a SendGrid key" && bytes[end] == UInt8(ascii: "."))
      {
        end += 1
      }
      guard form.count.contains(end - body), !(form.isUpper && bytes.byte(end).isAlphanumeric)
      else { continue }
      // Words that are joined by hyphens have no digits among capitals.
      guard form.isUpper || Randomness.isRandom(bytes[body..<end], least: 3) else { continue }
      return (form.name, start..<end)
    }
    return nil
  }

  private static func isKeyByte(_ byte: UInt8) -> Bool {
    byte.isAlphanumeric || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
  }

  /// `header.payload.signature`, each in base64.
  private static func webToken(
    _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int
  ) -> (String, Range<Int>)? {
    var (end, dots, last) = (start, 0, start)
    while end < bytes.count, isKeyByte(bytes[end]) || bytes[end] == UInt8(ascii: ".") {
      if bytes[end] == UInt8(ascii: ".") {
        guard end - last >= 8 else { break }
        (dots, last) = (dots + 1, end + 1)
      }
      end += 1
    }
    guard dots >= 2, bytes.byte(start + 3).isAlphanumeric, end - start >= 50 else { return nil }
    return ("a web token", start..<end)
  }

  private static func privateKey(
    _ bytes: UnsafeBufferPointer<UInt8>, _ start: Int
  ) -> (String, Range<Int>)? {
    guard bytes.hasPrefix("-----BEGIN ", at: start) else { return nil }
    var end = start + 11
    while end < min(bytes.count, start + 60), bytes[end] != 0x0A, bytes[end] != UInt8(ascii: "-") {
      end += 1
    }
    let title = bytes.text((start + 11)..<end)
    guard title.hasSuffix("PRIVATE KEY") || title.hasSuffix("PRIVATE KEY BLOCK") else { return nil }
    // A key of three dots is an example.
    var (body, count) = (end, 0)
    while body < min(bytes.count, end + 400) {
      if bytes[body].isAlphanumeric { count += 1 }
      body += 1
    }
    return count >= 64 ? ("a private key", start..<end) : nil
  }

  // MARK: - Passwords

  /// `scheme://name:password@host`, of which `colon` is the first colon.
  private static func address(
    _ bytes: UnsafeBufferPointer<UInt8>, _ colon: Int
  ) -> (String, Range<Int>)? {
    guard bytes.hasPrefix("://", at: colon), bytes.byte(colon - 1).isAlphanumeric else {
      return nil
    }
    var (end, password) = (colon + 3, 0)
    while end < bytes.count, bytes[end] > 0x20, bytes[end] < 0x7F, bytes[end] != UInt8(ascii: "/"),
      bytes[end] != UInt8(ascii: "\""), bytes[end] != UInt8(ascii: "@")
    {
      if bytes[end] == UInt8(ascii: ":"), password == 0 { password = end + 1 }
      end += 1
    }
    guard bytes.byte(end) == UInt8(ascii: "@"), password > colon + 4, end - password >= 4 else {
      return nil
    }
    let value = bytes.text(password..<end)
    guard value != "password", !value.hasPrefix("$"), !value.hasPrefix("<"), !value.hasPrefix("{")
    else { return nil }
    return ("a password in an address", password..<end)
  }

  private static let passwords: [StaticString] = ["password", "passwd", "passphrase", "pwd"]
  private static let secrets: [StaticString] = [
    "secret", "token", "api_key", "apikey", "api-key", "access_key", "accesskey", "private_key",
    "auth_key", "credential",
  ]

  /// A value that looks random behind a name that says it is secret.
  private static func assignment(
    _ bytes: UnsafeBufferPointer<UInt8>, _ sign: Int
  ) -> (String, Range<Int>)? {
    let isVerb = bytes[sign] == UInt8(ascii: "s")
    guard let name = name(before: isVerb ? sign - 1 : sign, in: bytes) else { return nil }
    let isPassword = name.withUnsafeBufferPointer { name in passwords.contains { name.contains($0) }
    }
    guard
      isPassword || name.withUnsafeBufferPointer({ name in secrets.contains { name.contains($0) } })
    else { return nil }
    var start = sign + 1
    while start < bytes.count,
      bytes[start] == 0x20 || bytes[start] == UInt8(ascii: "\"")
        || bytes[start] == UInt8(ascii: "'") || bytes[start] == UInt8(ascii: "`")
    {
      start += 1
    }
    var end = start
    while end < bytes.count, bytes[end] > 0x20, bytes[end] < 0x7F, !ends.contains(bytes[end]) {
      end += 1
    }
    guard end - start >= (isPassword ? 8 : 16), !calls.contains(bytes.byte(end)),
      Randomness.isRandom(bytes[start..<end], least: isPassword ? 2.4 : 3.2)
    else { return nil }
    return ("a \(isPassword ? "password" : "secret")", start..<end)
  }

  /// "the password is ...": a value of letters and digits, as words after an "is" are not.
  private static func sentence(
    _ bytes: UnsafeBufferPointer<UInt8>, _ verb: Int
  ) -> (String, Range<Int>)? {
    guard let (what, range) = assignment(bytes, verb + 1),
      bytes[range].contains(where: \.isDigit),
      bytes[range].contains(where: { $0.isLowercase || $0.isUppercase })
    else { return nil }
    return (what, range)
  }

  private static let ends = Set("\"'`,;()[]{}<>.".utf8)
  /// What follows an expression of a program.
  private static let calls = Set("([{<".utf8)

  /// The name before a colon or an equals sign, in small letters.
  private static func name(
    before sign: Int, in bytes: UnsafeBufferPointer<UInt8>
  ) -> [UInt8]? {
    var end = sign
    while end > 0,
      bytes[end - 1] == 0x20 || bytes[end - 1] == UInt8(ascii: "\"")
        || bytes[end - 1] == UInt8(ascii: "'")
    {
      end -= 1
    }
    var start = end
    while start > 0, isKeyByte(bytes[start - 1]), end - start < 40 { start -= 1 }
    guard end - start >= 3 else { return nil }
    return bytes[start..<end].map { $0.isUppercase ? $0 | 0x20 : $0 }
  }

  /// Whether it is there for people to put their own in its place.
  private static func isPlaceholder(_ text: String) -> Bool {
    let lower = text.lowercased()
    let words = [
      "example", "xxxx", "your", "placeholder", "changeme", "redacted", "dummy", "sample", "****",
      "....", "1234567890abcdef", "abcdefgh",
    ]
    return words.contains { lower.contains($0) }
  }
}
