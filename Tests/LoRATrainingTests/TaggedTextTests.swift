import Foundation
import LoRAFiles
import LoRAJSON
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Files of words with tags, and the examples that they become.
@Suite struct TaggedTextTests {
  private func file(_ text: String, _ name: String = "a.jsonl") throws -> String {
    let path = try ScratchFolder.make() + "/" + name
    try AtomicFile.write(Array(text.utf8), to: path)
    return path
  }

  @Test func recordsOfEveryFormat() throws {
    let lines = try TaggedText.read(
      file(
        """
        {"tokens": ["a", "b"], "tags": ["O", "B-PER"], "pos_tags": [1, 2]}

        {"words": ["c"], "ner_tags": [3]}
        {"tokens": ["d"], "labels": ["O"], "tags": null}
        {"tokens": ["e"]}
        {"text": "f g"}
        """))
    #expect(
      lines == [
        TaggedText(["a", "b"], tags: [.name("O"), .name("B-PER")], line: 1),
        TaggedText(["c"], tags: [.number(3)], line: 3),
        TaggedText(["d"], tags: [.name("O")], line: 4), TaggedText(["e"], line: 5),
        TaggedText(text: "f g", line: 6),
      ])
    #expect(
      try TaggedText.read(file(#"[{"tokens": ["a"], "tags": ["O"]}]"#, "a.json"))
        == [TaggedText(["a"], tags: [.name("O")], line: 1)])
    let conll = "-DOCSTART- -X- O\n\nEU NNP B-ORG\nrejects VBZ O\n\n\nPeter\tNNP  B-PER\r\n"
    let sentences = [
      TaggedText(["EU", "rejects"], tags: [.name("B-ORG"), .name("O")], line: 3),
      TaggedText(["Peter"], tags: [.name("B-PER")], line: 7),
    ]
    #expect(try TaggedText.read(file(conll, "a.conll")) == sentences)
    #expect(try TaggedText.read(file(conll, "a.txt")) == sentences)
    #expect(
      try TaggedText.read(file("a\nb\n\nc\n", "a.txt"))
        == [TaggedText(["a", "b"], line: 1), TaggedText(["c"], line: 4)])
  }

  @Test(arguments: [
    (#"{"tags": ["O"]}"#, "a.jsonl", "line 1: expected the field 'tokens'; found 'tags'"),
    (#"{"text": "a", "tags": ["O"]}"#, "a.jsonl", "expected the field 'tokens'"),
    (#"{"tokens": "a", "tags": ["O"]}"#, "a.jsonl", "expected a list as 'tokens'"),
    (#"{"tokens": [1], "tags": ["O"]}"#, "a.jsonl", "expected strings in 'tokens'"),
    (#"{"tokens": [], "tags": []}"#, "a.jsonl", "'tokens' is empty"),
    (
      #"{"tokens": ["a", "b"], "ner_tags": ["O"]}"#, "a.jsonl",
      "line 1: 'tokens' has 2 elements, and 'ner_tags' has 1"
    ),
    (
      #"{"tokens": ["a"], "tags": ["O"], "ner_tags": [0]}"#, "a.jsonl",
      "both 'tags' and 'ner_tags' are there"
    ),
    (#"{"tokens": ["a"], "words": ["a"]}"#, "a.jsonl", "both 'tokens' and 'words' are there"),
    (#"{"tokens": ["a"], "tags": [""]}"#, "a.jsonl", "the label is empty"),
    (#"{"tokens": ["a"], "tags": [-1]}"#, "a.jsonl", "a number from 0, as 'tags'"),
    (#"["a"]"#, "a.jsonl", "expected {\"tokens\": [...], \"tags\": [...]}"),
    ("", "a.jsonl", "it holds no examples"), ("\n\n", "a.conll", "it holds no examples"),
    ("a O\nb\n", "a.conll", "line 2: expected as many columns as on line 1, 2; found 1"),
    ("tokens,tags\na,O\n", "a.csv", "a table has no lists of words"),
  ])
  func damagedRecords(text: String, name: String, problem: String) throws {
    let path = try file(text, name)
    let error = try #require(#expect(throws: FormatError.self) { try TaggedText.read(path) })
    #expect("\(error)".contains(problem), "\(error)")
  }

  @Test func labelsOfExamples() throws {
    func labels(_ text: String) throws -> LabelSet {
      let path = try file(text)
      return try LabelSet(of: try TaggedText.read(path), file: path)
    }
    let first = #"{"tokens": ["a", "b"], "tags": ["O", "B-PER"]}"# + "\n"
    #expect(
      try labels(first + #"{"tokens": ["c"], "tags": ["B-LOC"]}"#)
        == LabelSet(names: ["B-LOC", "B-PER", "O"]))
    #expect(
      try labels(#"{"tokens": ["c"], "tags": [2]}"#).names == ["LABEL_0", "LABEL_1", "LABEL_2"])
    for (second, problem) in [
      (#"{"tokens": ["b"]}"#, "line 2: it has no 'tags'"),
      (#"{"text": "b"}"#, "line 2: it is a text without 'tokens'"),
      (#"{"tokens": ["b"], "tags": [1]}"#, "some labels are names, others are numbers"),
    ] {
      let error = try #require(
        #expect(throws: FormatError.self) { try labels(first + second) })
      #expect("\(error)".contains(problem), "\(error)")
    }
  }

  /// What tokenizers make of words (`is_split_into_words`), and where each begins.
  @Test(arguments: [
    "bert", "bert-cased", "gpt2", "gpt2-prefix", "llama-prepend", "metaspace-always-split",
    "metaspace-first-split",
  ])
  func wordsAreEncodedAsByTokenizers(name: String) throws {
    let cases = try JSONValue(
      parsing: Array(Data(contentsOf: URL(filePath: Fixtures.path("tokens/words.json")))))
    let folder = try ScratchFolder.make()
    try FileManager.default.copyItem(
      atPath: Fixtures.path("text/\(name).json"), toPath: folder + "/tokenizer.json")
    let encoder = WordEncoder(try TokenizerPipeline(contentsOf: folder))
    let texts = try #require(cases[name]?.arrayValue)
    #expect(texts.count == 4)
    for text in texts {
      let words = try #require(text["words"]?.arrayValue).compactMap(\.stringValue)
      let encoding = try encoder.encode(words, limit: 512, file: "a", line: 1)
      #expect(encoding.ids == text["ids"]?.arrayValue?.compactMap(\.intValue), "\(words)")
      #expect(encoding.starts == text["starts"]?.arrayValue?.map(\.intValue), "\(words)")
      #expect(!encoding.isCut)
    }
  }

  @Test func examplesOfWords() throws {
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("sentences/cls"))
    let labels = LabelSet(names: ["B-X", "O"])
    // "parcels" is parcel ##s; \u{200B} is nothing.
    let texts = [
      TaggedText(
        ["my", "parcels", "\u{200B}", "arrived"],
        tags: [.name("O"), .name("B-X"), .name("B-X"), .number(1)], line: 1),
      TaggedText(["card"], tags: [.name("B-X")], line: 2),
    ]
    func encoded(
      _ longest: Int, _ choice: LongExamples = .truncate, _ texts: [TaggedText] = texts
    ) throws -> (examples: [TaggedDataSet.Example], notes: [String]) {
      let (data, notes) = try TaggedDataSet.encoding(
        texts, labels: labels, tokenizer: tokenizer, longest: longest, longExamples: choice,
        source: "tags")
      return (data.examples, notes)
    }
    func ids(_ tokens: String...) throws -> [Int] {
      try tokens.map { try #require(tokenizer.id(of: $0)) }
    }
    let (examples, notes) = try encoded(32)
    #expect(
      examples == [
        .init(
          tokens: try ids("[CLS]", "my", "parcel", "##s", "arrived", "[SEP]"),
          labels: [-100, 1, 0, -100, 1, -100]),
        .init(tokens: try ids("[CLS]", "card", "[SEP]"), labels: [-100, 0, -100]),
      ])
    #expect(notes == ["1 word has no token, as what was cut off, and is not learned"])
    let (short, cut) = try encoded(4)
    #expect(
      short[0]
        == .init(tokens: try ids("[CLS]", "my", "parcel", "[SEP]"), labels: [-100, 1, 0, -100]))
    #expect(
      cut == [
        "1 example was longer than 4 tokens and cut, the first on line 1",
        "2 words have no token, as what was cut off, and are not learned",
      ])
    let (kept, _) = try encoded(4, .skip)
    #expect(kept.count == 1)
    func problem(_ body: () throws -> Void) -> String {
      do { try body() } catch { return "\(error)" }
      return ""
    }
    #expect(problem { _ = try encoded(4, .error) }.contains("the example has more than 4 tokens"))
    #expect(problem { _ = try encoded(4, .split) }.contains("error, truncate or skip"))
    #expect(problem { _ = try encoded(2) }.contains("puts 2 tokens round a text"))
    let unknown = [TaggedText(["card"], tags: [.name("B-Y")], line: 7)]
    #expect(
      problem { _ = try encoded(9, .truncate, unknown) }
        .contains("line 7: the label 'B-Y' is not one of the model's 2"))
    let nothing = [TaggedText(["\u{200B}"], tags: [.name("O")], line: 8)]
    #expect(
      problem { _ = try encoded(9, .truncate, nothing) }
        .contains("line 8: the tokenizer makes no token of any of its words"))
    #expect(
      problem { _ = try encoded(9, .truncate, [TaggedText(text: "a", line: 3)]) }
        .contains("line 3: it is a text without 'tokens'"))
  }
}
