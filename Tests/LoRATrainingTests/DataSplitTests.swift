import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAModels
import LoRATemplates
import LoRATensor
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Which examples are kept from training, and how often the others come.
@Suite struct DataSplitTests {
  private struct Example: SplittableExample, Hashable {
    var splitKey: String
    var number = 0
  }

  private static let questions = (0..<24).map {
    Example(splitKey: "Question \($0): wo ist die Straße?")
  }

  private func kept(_ split: DataSplit, of examples: [Example] = questions) throws -> [String] {
    try split.divide(examples).validation.map(\.splitKey)
  }

  /// The sides by the same hashes in Python: a later version must not move what an earlier one kept.
  @Test(arguments: [
    ("25%", UInt64(0), [1, 3, 5, 7, 8, 10, 11, 12, 18]),
    ("25%", 1, [0, 1, 3, 4, 7, 8, 11, 14, 16, 17, 18, 19]), ("5", 0, [1, 5, 7, 8, 10]),
  ])
  func theSidesAreFixed(size: String, seed: UInt64, held: [Int]) throws {
    #expect(
      try kept(DataSplit(size, seed: seed)) == held.map { Self.questions[$0].splitKey })
  }

  @Test func aShareDependsOnNothingElse() throws {
    let split = try DataSplit(.fraction(0.25))
    let held = Set(try kept(split))
    #expect(Set(try kept(split, of: Self.questions.reversed())) == held)
    let more = (0..<500).map { Example(splitKey: "Another one, \($0)") } + Self.questions
    let grown = Set(try kept(split, of: more))
    #expect(grown.intersection(Self.questions.map(\.splitKey)) == held)
    #expect(abs(grown.count - 131) < 30, "\(grown.count) of 524")
  }

  /// Neither case nor white space brings one prompt onto two sides.
  @Test func relativesStayTogether() throws {
    let family = Self.questions.flatMap { question in
      [
        question, Example(splitKey: " " + question.splitKey.uppercased() + "\n", number: 1),
        Example(splitKey: question.splitKey.replacing(" ", with: "\u{3000}\t"), number: 2),
      ]
    }
    // "ß" is no small letter of "SS".
    let same = family.filter { !$0.splitKey.contains("STRASSE") }
    for size in ["25%", "7"] {
      let held = try DataSplit(size).divide(same).validation
      #expect(held.count.isMultiple(of: 2))
      #expect(Set(held.map { $0.splitKey.filter(\.isNumber) }).count * 2 == held.count)
    }
  }

  @Test(arguments: ["0%", "100%", "0", "-3", "", "5 %x", "nan%", "0.1"])
  func aWrongSizeIsRefused(size: String) {
    let error = #expect(throws: TrainingError.self) { try DataSplit(size) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("'\(size)'; expected a share above 0 %"))
  }

  @Test func aSideMustNotBeEmpty() throws {
    let same = (0..<5).map { Example(splitKey: "One prompt", number: $0) }
    let split = try DataSplit(.count(2))
    #expect(
      throws: TrainingError.emptySplit(source: "a.jsonl", examples: 5, groups: 1, held: 5)
    ) {
      try split.divide(same, source: "a.jsonl")
    }
    let error = #expect(throws: TrainingError.self) {
      try DataSplit(.fraction(1e-9)).divide(Self.questions)
    }
    #expect(
      "\(error.map { "\($0)" } ?? "")".contains("0 of its 24 examples would be for validation"))
  }

  // MARK: - Weights

  /// The copies by the same hashes in Python.
  @Test func weightsRepeatAndSample() throws {
    let half = [2, 4, 9, 10, 11, 13, 14, 17, 19, 20, 22, 23]
    func numbers(_ weight: Double) throws -> [Int] {
      let examples = Self.questions.indices.map {
        Example(splitKey: Self.questions[$0].splitKey, number: $0)
      }
      let selection = try DataSelection([WeightedFile("a", weight: weight)]) { _ in examples }
      return selection.training[0].examples.map(\.number)
    }
    #expect(try numbers(0.5) == half)
    #expect(try numbers(1) == Array(0..<24))
    #expect(try numbers(2) == (0..<24).flatMap { [$0, $0] })
    #expect(
      try numbers(2.5)
        == (0..<24).flatMap { Array(repeating: $0, count: half.contains($0) ? 3 : 2) })
  }

  @Test(arguments: [0, -1, 1001, Double.nan, .infinity])
  func aWrongWeightIsRefused(weight: Double) {
    let error = #expect(throws: TrainingError.self) { try WeightedFile("b.jsonl", weight: weight) }
    #expect("\(error.map { "\($0)" } ?? "")".contains("the weight of b.jsonl"))
  }

  @Test func aWeightThatLeavesNothingIsRefused() throws {
    let files = [try WeightedFile("b.jsonl", weight: 1e-6)]
    let error = #expect(throws: TrainingError.self) {
      try DataSelection(files) { _ in Self.questions }
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("the weight of b.jsonl is 1e-06"))
  }

  /// Examples that are kept come once, whatever the weight of their file.
  @Test func whatIsKeptComesOnce() throws {
    let files = [try WeightedFile("a", weight: 3), try WeightedFile("b")]
    let selection = try DataSelection(files, split: DataSplit("25%")) { path in
      path == "a" ? Self.questions : [Example(splitKey: "an own one"), Self.questions[1]]
    }
    #expect(selection.validation.map(\.source) == ["a", "b"])
    #expect(selection.validation.map(\.examples.count) == [9, 1])
    #expect(selection.training.map(\.examples.count) == [3 * (24 - 9), 1])
  }

  // MARK: - Files for language models

  private let tokenizer: TokenizerPipeline
  private let model: any LanguageModel

  init() throws {
    tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: tokenizer.vocabularySize, tiesWordEmbeddings: true,
      maximumPositions: 256
    ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
  }

  private func file(_ name: String, _ lines: [String]) throws -> String {
    let path = try ScratchFolder.make() + "/" + name
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
    return path
  }

  private func reader(_ length: Int = 128) throws -> DataReader {
    try DataReader(
      for: model, options: DataOptions(sequenceLength: length),
      chatFormat: {
        ChatFormat(
          tokenizer: tokenizer,
          template: try ChatTemplate(
            "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
          ))
      }, tokenizer: { tokenizer })
  }

  private func texts(_ data: TokenDataSet) -> [String] {
    data.examples.map { tokenizer.decode($0.sequence, skipSpecialTokens: true) }
  }

  @Test func oneQuestionIsOnOneSideInEveryForm() throws {
    let chats = (0..<40).flatMap { number -> [String] in
      let question = "What is \(number) plus one?"
      return [
        ##"{"messages": [{"role": "user", "content": "\##(question)"}, {"role": "assistant", "content": "A\##(number)"}]}"##,
        ##"{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "\##(question.uppercased())"}, {"role": "assistant", "content": "B\##(number)"}, {"role": "user", "content": "Sure?"}, {"role": "assistant", "content": "Yes"}]}"##,
      ]
    }
    let path = try file("chats.jsonl", chats)
    let (training, validation, _) = try reader().read(
      [WeightedFile(path)], split: DataSplit("30%"))
    let kept = texts(try #require(validation))
    #expect(kept.count.isMultiple(of: 2) && (10...40).contains(kept.count))
    #expect(training.exampleCount + kept.count == 80)
    for number in 0..<40 {
      let isKept = ["A", "B"].map { side in kept.contains { $0.contains("\(side)\(number)\n") } }
      #expect(isKept[0] == isKept[1], "question \(number)")
    }
  }

  /// The pieces of a record that is split have its key, those of a text file each its own.
  @Test func piecesOfARecordStayTogether() throws {
    let records = (0..<30).map { number in
      let words = (0..<40).map { "w\(number)x\($0)" }.joined(separator: " ")
      return ##"{"text": "\##(words)"}"##
    }
    let path = try file("texts.jsonl", records)
    let (training, validation, _) = try reader(32).read(
      [WeightedFile(path)], split: DataSplit("40%"))
    let places = { (data: TokenDataSet) in
      Set((0..<data.exampleCount).map { data.place(of: $0) })
    }
    let kept = try #require(validation)
    #expect(kept.exampleCount > places(kept).count)
    #expect(places(kept).isDisjoint(with: places(training)))
    #expect(places(kept).count + places(training).count == 30)
    let text = try file("text.txt", records)
    let (some, others, _) = try reader(32).read([WeightedFile(text)], split: DataSplit("20%"))
    let whole = try reader(32).read(text).data
    #expect(some.exampleCount + (others?.exampleCount ?? 0) == whole.exampleCount)
    #expect(others?.exampleCount ?? 0 > 0)
  }

  /// Files one behind the other, each as often as its weight says: the tokens of each alone.
  @Test func filesAreJoined() throws {
    let first = try file(
      "a.jsonl", (0..<6).map { ##"{"prompt": "a\##($0)", "completion": " yes"}"## })
    let second = try file("b.jsonl", [#"{"text": "Ada wrote it."}"#, #"{"text": "So it is."}"#])
    let chats = try file(
      "c.jsonl",
      [
        #"{"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "R", "weight": 0.5}]}"#
      ])
    let files = [
      try WeightedFile(first), try WeightedFile(second, weight: 2), try WeightedFile(chats),
    ]
    let joined = try reader().read(files).training
    let parts = try [first, second, second, chats].map { try reader().read($0).data }
    let wanted =
      parts[0].examples + parts[1].examples.flatMap { [$0, $0] } + parts[3].examples
    #expect(joined.examples == wanted)
    #expect(joined.place(of: 8) == "\(second), line 2")
    let batch = joined.batch(of: [0, 10])
    let weights = try #require(batch.weights).scalars(as: Float.self)
    #expect(weights.contains(0.5) && weights[0] == 1)
    #expect(joined.targetWeight(of: [10]) * 2 == Double(joined.targetCount(of: [10])))
  }
}
