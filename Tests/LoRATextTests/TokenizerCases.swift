import Foundation
import LoRAJSON
import LoRAText
import Testing

/// What Tests/Reference/tokenizers_fuzz.py or sentencepiece_models.py wrote of many texts, where `LORA_TOKENIZER_CASES` names the
/// folder.
private enum Cases {
  static let directory = ProcessInfo.processInfo.environment["LORA_TOKENIZER_CASES"]

  static let names: [String] = {
    let files = directory.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0) } ?? []
    return files.filter { $0.hasSuffix(".jsonl") }.map { String($0.dropLast(6)) }.sorted()
  }()
}

@Suite struct TokenizerCases {
  @Test(
    .enabled(if: Cases.directory != nil, "needs cases that tokenizers_fuzz.py wrote"),
    arguments: Cases.names)
  func areAsTokenizersHasThem(_ name: String) throws {
    let path = "\(try #require(Cases.directory))/\(name)"
    let isSentencePiece = FileManager.default.fileExists(atPath: "\(path).model")
    let tokenizer = try TokenizerPipeline(
      contentsOf: isSentencePiece ? "\(path).model" : "\(path).json")
    let lines = try Data(contentsOf: URL(fileURLWithPath: "\(path).jsonl")).split(separator: 0x0A)
    #expect(!lines.isEmpty)
    for line in lines {
      let entry = try JSONValue(parsing: line)
      let ids = try #require(entry["ids"]).integers
      if let text = entry["text"]?.stringValue {
        let encoding = tokenizer.encode(text, pairedWith: entry["second"]?.stringValue)
        #expect(encoding.ids == ids, "\(text.debugDescription)")
        if let types = entry["types"] {
          #expect(encoding.types == types.integers, "\(text.debugDescription)")
        } else {
          #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
        }
        if let offsets = entry["offsets"] {
          let aligned = tokenizer.encodeAligned(
            text, pairedWith: entry["second"]?.stringValue)
          #expect(aligned.ids == ids, "\(text.debugDescription)")
          #expect(
            aligned.offsets.flatMap { [$0.lowerBound, $0.upperBound] } == offsets.integers,
            "\(text.debugDescription)")
          #expect(
            JSONValue.array(aligned.tokens.map { .string($0) }) == entry["tokens"],
            "\(text.debugDescription)")
        }
      }
      if let decoded = entry["decoded"], case .bool(let skips)? = entry["skip"] {
        let text = tokenizer.decode(ids, skipSpecialTokens: skips)
        #expect(JSONValue.string(text) == decoded, "\(ids)")
      }
    }
  }
}
