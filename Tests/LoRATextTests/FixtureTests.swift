import Foundation
import LoRAJSON
import Testing

@testable import LoRAPatterns
@testable import LoRAText

/// Files written by Tests/Reference/tokenizers_fixtures.py.
enum Fixtures {
  static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("Fixtures/text").path

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)")))
  }

  static func hostileTexts() throws -> [String] {
    try #require(try json("hostile.json").arrayValue).compactMap(\.stringValue)
  }

  /// The names of all tokenizers that have expected results.
  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    return files.compactMap { file in
      file.hasSuffix(".expected.json") ? String(file.dropLast(".expected.json".count)) : nil
    }.sorted()
  }()

  static func tokenizer(_ name: String) throws -> TokenizerPipeline {
    let path = "\(directory)/\(name)"
    return try TokenizerPipeline(
      contentsOf: FileManager.default.fileExists(atPath: path) ? path : "\(path).json")
  }
}

extension JSONValue {
  var integers: [Int] { (arrayValue ?? []).compactMap(\.intValue) }
}

@Suite struct TokenizersReference {
  @Test func thereAreManyKinds() throws {
    #expect(Fixtures.names.count >= 43)
    #expect(try Fixtures.hostileTexts().count > 100)
  }

  @Test(arguments: Fixtures.names)
  func encodesAsTokenizersDoes(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let expected = try Fixtures.json("\(name).expected.json")
    let ids = try #require(expected["ids"]?.arrayValue)
    let template = (
      expected["template"]?[0]?.integers ?? [], expected["template"]?[1]?.integers ?? []
    )
    for (text, row) in zip(try Fixtures.hostileTexts(), ids) {
      let want = row.integers
      #expect(tokenizer.encode(text) == want, "\(text.debugDescription)")
      #expect(
        tokenizer.encode(text, addSpecialTokens: false)
          == Array(want.dropFirst(template.0.count).dropLast(template.1.count)),
        "\(text.debugDescription)")
      #expect(want.allSatisfy { $0 < tokenizer.vocabularySize })
    }
  }

  @Test(arguments: Fixtures.names)
  func decodesAsTokenizersDoes(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let expected = try Fixtures.json("\(name).expected.json")
    let texts = try Fixtures.hostileTexts()
    for (key, skips) in [("decoded", false), ("skipped", true)] {
      var cases: [([Int], String)] = []
      for i in texts.indices {
        let ids = expected["ids"]?[i]?.integers ?? []
        cases.append((ids, expected[key]?[i]?.stringValue ?? texts[i]))
      }
      for (i, row) in (expected["random"]?.arrayValue ?? []).enumerated() {
        cases.append((row.integers, try #require(expected["\(key)Random"]?[i]?.stringValue)))
      }
      for (ids, want) in cases {
        let text = tokenizer.decode(ids, skipSpecialTokens: skips)
        #expect(JSONValue.string(text) == .string(want), "\(ids)")
        var decoder = tokenizer.streamingDecoder(skipSpecialTokens: skips)
        var pieces = ids.map { decoder.append($0) }
        pieces.append(decoder.finish())
        #expect(JSONValue.string(pieces.joined()) == .string(want), "\(ids) streamed")
      }
    }
  }

  @Test(arguments: Fixtures.names)
  func encodesPairsAsTokenizersDoes(_ name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    let texts = try Fixtures.hostileTexts()
    for pair in try Fixtures.json("\(name).expected.json")["pairs"]?.arrayValue ?? [] {
      let (first, second) = (try #require(pair[0]?.intValue), try #require(pair[1]?.intValue))
      let encoding = tokenizer.encode(texts[first], pairedWith: texts[second])
      #expect(encoding.ids == pair[2]?.integers, "\(first), \(second)")
      #expect(encoding.types == pair[3]?.integers, "\(first), \(second)")
      let single = tokenizer.encode(texts[first], pairedWith: nil)
      #expect(single.ids == tokenizer.encode(texts[first]))
      #expect(single.types.count == single.ids.count)
    }
  }

  @Test func everyOtherKindHasPairs() throws {
    let names = try Fixtures.names.filter {
      try Fixtures.json("\($0).expected.json")["pairs"] != nil
    }
    #expect(names.count >= 13)
  }

  @Test func splitsAsOnigurumaDoes() throws {
    let fixture = try Fixtures.json("patterns.json")
    let texts = try Fixtures.hostileTexts()
    for (i, pattern) in (fixture["patterns"]?.arrayValue ?? []).enumerated() {
      let pattern = try #require(pattern.stringValue)
      let step = PreTokenizer.split(
        .expression(try RegularExpression(pattern)), .isolated, isInverted: false)
      for (k, text) in texts.enumerated() {
        let bytes = Array(text.utf8)
        let lengths = WordLengths()
        bytes.withUnsafeBufferPointer { bytes in
          WordCutter([step])?.cut(bytes, 0..<bytes.count, startsText: true, to: lengths)
        }
        #expect(
          lengths.counts == fixture["parts"]?[i]?[k]?.integers,
          "\(pattern) on \(text.debugDescription)")
      }
    }
    for pattern in fixture["refused"]?.arrayValue ?? [] {
      let pattern = try #require(pattern.stringValue)
      #expect(throws: RegularExpressionError.self, "\(pattern)") { try RegularExpression(pattern) }
    }
  }
}

private final class WordLengths: WordReceiver {
  var counts: [Int] = []

  func receive(_ word: UnsafeBufferPointer<UInt8>, _: UnsafePointer<Origin>?) {
    counts.append(word.count)
  }
}

@Suite struct UnicodeNormalizationTests {
  /// What Python's unicodedata gives (`unicodedata.normalize(form, text)`), for what code points of
  /// Unicode 9 can do: several marks, Hangul in parts, exclusions, halfwidth kana.
  @Test(
    arguments: [
      ("NFC", [0x1112, 0x1161, 0x11AB], [0xD55C]), ("NFC", [0xAC00, 0x11AB], [0xAC04]),
      ("NFC", [0xAC00, 0x11A7], [0xAC00, 0x11A7]), ("NFD", [0xAC04], [0x1100, 0x1161, 0x11AB]),
      ("NFC", [0x61, 0x323, 0x302], [0x1EAD]), ("NFC", [0x61, 0x302, 0x323], [0x1EAD]),
      ("NFD", [0x354, 0xF81], [0xF71, 0xF80, 0x354]), ("NFC", [0x958], [0x915, 0x93C]),
      ("NFC", [0x61, 0x315, 0x300, 0x5AE, 0x300], [0xE0, 0x5AE, 0x300, 0x315]),
      ("NFKC", [0xFF76, 0xFF9E], [0x30AC]), ("NFKC", [0xFB01, 0x2460], [0x66, 0x69, 0x31]),
      ("NFKD", [0x1FC1, 0x338], [0x20, 0x338, 0x308, 0x342]),
      ("NFC", [0x1D158, 0x1D165], [0x1D158, 0x1D165]),
      ("NFC", [0x11099, 0x110BA], [0x1109A]), ("NFC", [0x212B], [0xC5]),
      ("NFC", [0x3B9, 0x308, 0x301], [0x390]),
    ] as [(String, [UInt32], [UInt32])])
  func agreesWithUnicodedata(_ name: String, _ codes: [UInt32], _ expected: [UInt32]) throws {
    let form = try #require(Normalizer.UnicodeForm(rawValue: name))
    let text = String(String.UnicodeScalarView(codes.compactMap(Unicode.Scalar.init)))
    let result = String(decoding: form.normalize(Array(text.utf8)), as: UTF8.self)
    #expect(result.unicodeScalars.map(\.value) == expected)
  }
}
