import LoRAText
import LoRATraining
import Testing

/// Texts and pairs as examples.
@Suite struct TextTests {
  private let a = 97
  private let b = 98
  private let c = 99
  private let d = 100
  private let e = 101

  /// A token a letter, but one for "xy"; ids are code points, 1 begins and 2 ends a sequence.
  struct Letters: Tokenizer {
    var vocabularySize: Int { 300 }
    var beginningOfSequence: Int? = 1
    var endOfSequence: Int? = 2
    var addsEnd = false

    func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
      var ids: [Int] = []
      for scalar in text.unicodeScalars {
        if scalar == "y", ids.last == 120 { ids.removeLast() }
        ids.append(scalar == "y" && text.contains("xy") ? 256 : Int(scalar.value))
      }
      guard addSpecialTokens else { return ids }
      let first = beginningOfSequence.map { [$0] } ?? []
      return first + ids + (addsEnd ? [2] : [])
    }

    func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
      ids.map { token(of: $0) ?? "" }.joined()
    }
    func id(of token: String) -> Int? { encode(token, addSpecialTokens: false).first }
    func token(of id: Int) -> String? {
      id == 256 ? "xy" : UnicodeScalar(id).map { String(Character($0)) }
    }
  }

  @Test func packedExamplesPredictEveryTokenOnce() throws {
    let data = try TokenDataSet(
      texts: ["abc", "de"], tokenizer: Letters(), sequenceLength: 4)
    let stream = [1, a, b, c, 2, 1, d, e, 2]
    #expect(data.examples.flatMap(\.targets) == Array(stream.dropFirst()))
    #expect(data.examples.map(\.tokens) == [[1, a, b, c], [2, 1, d, e]])
    let longer = try TokenDataSet(
      texts: ["abc", "de", "e"], tokenizer: Letters(), sequenceLength: 5)
    #expect(longer.examples.map(\.tokens.count) == [5, 5, 1])
  }

  @Test func separateExamplesHoldOneTextEach() throws {
    let data = try TokenDataSet(
      texts: ["abc", "d"], tokenizer: Letters(), sequenceLength: 4, packing: .separate)
    #expect(data.examples.map(\.tokens) == [[1, a, b, c], [1, d]])
    #expect(data.examples.map(\.targets) == [[a, b, c, 2], [d, 2]])
    #expect(throws: TrainingError.exampleTooLong(example: 0, length: 4, limit: 3)) {
      try TokenDataSet(
        texts: ["abc", "d"], tokenizer: Letters(), sequenceLength: 3, packing: .separate)
    }
  }

  @Test func tokenizersWithoutSpecialTokens() throws {
    let plain = Letters(beginningOfSequence: nil, endOfSequence: nil)
    let data = try TokenDataSet(
      texts: ["ab", "c"], tokenizer: plain, sequenceLength: 9, packing: .packed)
    #expect(data.examples == [TrainingExample(sequence: [a, b, c])])
    #expect(throws: TrainingError.emptyData(source: "a.txt")) {
      try TokenDataSet(texts: [], tokenizer: plain, sequenceLength: 9, source: "a.txt")
    }
    #expect(throws: TrainingError.emptyData(source: "the texts")) {
      try TokenDataSet(texts: ["", "a"], tokenizer: plain, sequenceLength: 9)
    }
    #expect(throws: TrainingError.self) {
      try TokenDataSet(texts: ["ab"], tokenizer: plain, sequenceLength: 0)
    }
  }

  @Test(arguments: [false, true]) func onlyCompletionsCount(addsEnd: Bool) throws {
    let data = try TokenDataSet(
      pairs: [PromptCompletion(prompt: "ab", completion: "cd")],
      tokenizer: Letters(addsEnd: addsEnd), sequenceLength: 8)
    #expect(data.examples[0].tokens == [1, a, b, c, d])
    #expect(data.examples[0].targets == [-100, -100, c, d, 2])
  }

  @Test func aTokenNeverSpansPromptAndCompletion() throws {
    let data = try TokenDataSet(
      pairs: [PromptCompletion(prompt: "ax", completion: "yb")], tokenizer: Letters(),
      sequenceLength: 8)
    #expect(data.examples[0].tokens == [1, a, 120, 121, b])
    #expect(data.examples[0].targets == [-100, -100, 121, b, 2])
    #expect(throws: TrainingError.exampleTooLong(example: 0, length: 5, limit: 4)) {
      try TokenDataSet(
        pairs: [PromptCompletion(prompt: "ab", completion: "cd")], tokenizer: Letters(),
        sequenceLength: 4)
    }
  }
}
