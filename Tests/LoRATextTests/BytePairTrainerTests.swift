import Foundation
import LoRAJSON
import Testing

@testable import LoRAText

@Suite struct BytePairTrainerTests {
  private static let documents = [
    "low low low low low lower lower newest newest newest newest newest newest",
    "widest widest widest 1234 1234 1234<s>low</s>", "héllo wörld\n\thello  hello",
  ]
  private static let trainer = BytePairTrainer(
    vocabularySize: 300, specialTokens: ["<s>", "</s>"], beginningOfSequence: "<s>",
    endOfSequence: "</s>")

  @Test func learnsTheMostFrequentPairsFirst() throws {
    let trained = try BytePairTrainer(vocabularySize: 259).train(on: ["ab ab ab abc abc"])
    let model = try JSONValue(parsing: trained.definition)["model"]
    // "ab" five times; then "Ġab" four (before "abc" two), then "Ġabc" or "Ġ a b c": once more.
    #expect(model?["merges"]?.arrayValue == [["a", "b"], ["Ġ", "ab"], ["Ġab", "c"]])
    #expect(trained.tokenizer.vocabularySize == 259)
    #expect(trained.tokenizer.encode("ab abc") == [256, 258])
  }

  @Test func givesBackWhatItWasGiven() throws {
    let tokenizer = try Self.trainer.train(on: Self.documents).tokenizer
    #expect(tokenizer.beginningOfSequence == 0)
    #expect(tokenizer.endOfSequence == 1)
    for text in Self.documents + ["日本語 \u{0} 🙂", ""] {
      let ids = tokenizer.encode(text)
      #expect(ids.first == 0)
      #expect(tokenizer.decode(Array(ids.dropFirst()), skipSpecialTokens: false) == text)
    }
    // Digits are never joined, spaces belong to words.
    #expect(tokenizer.encode("1234", addSpecialTokens: false).count == 4)
    #expect(tokenizer.id(of: "Ġlow") != nil)
  }

  @Test func isDeterministic() throws {
    let first = try Self.trainer.train(on: Self.documents)
    let second = try Self.trainer.train(on: Self.documents.reversed())
    #expect(first.definition == second.definition)
  }

  @Test func writesWhatItReads() throws {
    let trained = try Self.trainer.train(on: Self.documents)
    let directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("lora-trainer-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    try trained.write(toDirectory: directory.path)
    let tokenizer = try TokenizerPipeline(contentsOf: directory.path)
    #expect(tokenizer.beginningOfSequence == 0)
    #expect(tokenizer.endOfSequence == 1)
    for text in Self.documents { #expect(tokenizer.encode(text) == trained.tokenizer.encode(text)) }
    #expect(throws: TokenizerError.self) {
      try trained.write(toDirectory: directory.path + "/absent")
    }
  }

  @Test func refusesWhatCannotBe() {
    #expect(throws: TokenizerError.self) {
      try BytePairTrainer(vocabularySize: 255).train(on: ["a"])
    }
    #expect(throws: TokenizerError.self) {
      try BytePairTrainer(vocabularySize: 300).train(on: [""])
    }
    #expect(throws: TokenizerError.self) {
      try BytePairTrainer(vocabularySize: 300, specialTokens: ["a", "a"]).train(on: ["a"])
    }
    #expect(throws: TokenizerError.self) {
      try BytePairTrainer(vocabularySize: 300, endOfSequence: "</s>").train(on: ["a"])
    }
  }
}
