import Foundation
import LoRAGrammars
import LoRAJSON
import Testing

/// Answers the requests that Tests/Reference/grammars.py writes, where `LORA_GRAMMAR_CASES` names
/// the folder; the script judges the answers.
@Suite struct GrammarCases {
  static let directory = ProcessInfo.processInfo.environment["LORA_GRAMMAR_CASES"]

  @Test(.enabled(if: directory != nil, "set LORA_GRAMMAR_CASES to answer a script's requests"))
  func answersRequests() throws {
    let folder = URL(fileURLWithPath: try #require(Self.directory))
    let listing = try JSONValue(
      parsing: try Data(contentsOf: folder.appendingPathComponent("vocabulary.json")))
    let runner = CaseRunner(
      vocabulary: TokenVocabulary(
        tokens: try #require(listing["tokens"]?.arrayValue).map { bytes($0.stringValue ?? "") },
        endTokens: Set(try #require(listing["end"]?.arrayValue).compactMap(\.intValue))))
    let requests = try Data(contentsOf: folder.appendingPathComponent("requests.jsonl"))
    var answers: [UInt8] = []
    for line in requests.split(separator: UInt8(ascii: "\n")) {
      answers += runner.answer(try JSONValue(parsing: line, maximumDepth: 512)).encodedBytes()
      answers.append(UInt8(ascii: "\n"))
    }
    try Data(answers).write(to: folder.appendingPathComponent("answers.jsonl"))
  }

  private func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = Array(hexadecimal.utf8)
    return stride(from: 0, to: digits.count - 1, by: 2).map {
      UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16) ?? 0
    }
  }
}
