import LoRAGrammars
import Testing

@Suite struct StringTests {
  @Test func stringsAreJSONsStrings() throws {
    try expect(
      #"{"type": "string"}"#,
      accepts: [
        #""""#, #""a\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00""#, "\"é😀\u{7F}\u{10FFFF}\"", #""\u0041""#,
      ],
      rejects: [
        "\"a", "\"\u{1}\"", "\"\n\"", #""\x""#, #""\u12""#, #""\uD83D""#, #""\uD83Dx""#,
        #""\uDE00""#,
        #""\uD83D\u0041""#, "\"a\"b",
      ])
  }

  @Test func invalidUTF8IsNoString() throws {
    let constraint = try OutputConstraint(jsonSchema: #"{"type": "string"}"#)
    let wrong: [[UInt8]] = [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80],
      [0xF0, 0x80, 0x80, 0x80],
      [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3, 0x22],
    ]
    for bytes in wrong {
      var matcher = try GrammarMatcher(constraint.grammar)
      #expect(try matcher.advance([0x22]))
      #expect(try !matcher.advance(bytes), "\(bytes)")
    }
  }

  /// Every code point, plain and as an escape, against what the standard library writes.
  @Test func everyCharacterIsSpelledAsUTF8AndAsEscape() throws {
    let constraint = try OutputConstraint(jsonSchema: #"{"type": "string", "maxLength": 1}"#)
    let start = try GrammarMatcher(constraint.grammar)
    var matcher = start
    #expect(try matcher.advance([0x22]))
    for code in (UInt32(0)...0x10FFFF).filter({
      $0 < 0x880 || $0 % 1009 == 0 || $0 & 0xFFFF > 0xFFF8
    }) {
      guard let scalar = Unicode.Scalar(code) else { continue }
      var plain = matcher
      // A backslash escapes what follows.
      if code == 0x5C { continue }
      let mayBePlain = code >= 0x20 && code != 0x22
      #expect(try plain.advance(String(scalar).utf8 + [0x22]) == mayBePlain, "\(code)")
      var escaped = matcher
      let units = String(scalar).utf16.map { unit in
        let digits = String(unit, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      }
      #expect(try escaped.advance(units.joined().utf8), "\(code)")
      #expect(try escaped.advance([0x22]) && escaped.mayEnd, "\(code)")
    }
  }

  @Test func lengthsCountCharacters() throws {
    try expect(
      #"{"type": "string", "minLength": 2, "maxLength": 3}"#,
      accepts: ["\"ab\"", "\"é😀x\"", #""\ud83d\ude00\n""#],
      rejects: ["\"\"", "\"a\"", "\"abcd\"", #""\ud83d\ude00""#])
    try expect(
      #"{"type": "string", "minLength": 2}"#, accepts: ["\"ab\"", "\"abcdefg\""], rejects: ["\"a\""]
    )
    let long = try OutputConstraint(jsonSchema: #"{"type": "string", "maxLength": 10000}"#)
    #expect(try long.accepts("\"" + String(repeating: "é", count: 10_000) + "\""))
    #expect(try !long.allows("\"" + String(repeating: "é", count: 10_001)))
  }

  @Test func patternsMayStandAnywhere() throws {
    try expect(
      #"{"type": "string", "pattern": "a+b|^c"}"#,
      accepts: ["\"xxaab\"", "\"ab\"", "\"cxx\"", "\"ab\\n\""],
      rejects: ["\"\"", "\"xc\"", "\"a\""])
    try expect(
      #"{"type": "string", "pattern": "^\\d{2,3}$"}"#, accepts: ["\"12\"", "\"123\""],
      rejects: ["\"1\"", "\"1234\"", "\"٣٣\"", "\"12\\n\"", #""\u0031\u0032""#])
    try expect(
      #"{"type": "string", "pattern": "^\"\\\\\\/é\\n$"}"#,
      accepts: [#""\"\\/é\n""#, #""\"\\\/\u00E9\u000a""#],
      rejects: [#""\"é""#])
    // With other patterns, lengths and formats, exactly.
    try expect(
      #"{"allOf": [{"pattern": "a"}, {"pattern": "b"}], "type": "string", "maxLength": 2}"#,
      accepts: ["\"ab\"", "\"ba\""], rejects: ["\"a\"", "\"aa\"", "\"abb\""])
  }

  @Test(arguments: [
    (
      "date", ["2024-02-29", "2000-02-29", "1999-12-31"],
      ["2023-02-29", "1900-02-29", "0000-01-01", "2024-04-31"]
    ),
    ("time", ["00:00:00Z", "23:59:59.5+01:30"], ["24:00:00Z", "12:00:60Z", "12:00:00"]),
    ("date-time", ["2024-01-02T03:04:05Z"], ["2024-01-02 03:04:05Z", "2024-01-02"]),
    ("duration", ["P1D", "PT5M", "P1Y2M3DT4H5M6S", "P3W"], ["P", "PT", "1D", "P1DT"]),
    ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
    ("email", ["a.b@c-d.org"], ["a@b", "@c.org", "a b@c.org", ".a@b.org"]),
    ("hostname", ["a", "a-b.example"], ["-a", "a-", "a..b"]),
    ("ipv4", ["0.0.0.0", "255.10.99.100"], ["256.0.0.0", "01.2.3.4", "1.2.3"]),
    (
      "ipv6", ["::", "::1", "1:2:3:4:5:6:7:8", "fe80::1:2", "1:2:3:4:5:6:7::"],
      ["1:2", ":::", "1::2::3", "1:2:3:4:5:6:7:8:9"]
    ),
    ("uri", ["https://example.org:80/a/b?c=d#e"], ["example.org", "http://a b"]),
  ])
  func formats(_ name: String, _ right: [String], _ wrong: [String]) throws {
    try expect(
      #"{"type": "string", "format": "\#(name)"}"#, accepts: right.map { "\"\($0)\"" },
      rejects: wrong.map { "\"\($0)\"" })
  }
}
