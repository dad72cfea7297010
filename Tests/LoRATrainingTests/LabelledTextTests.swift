import LoRAFiles
import LoRAModels
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Files of labelled texts, and the examples that they become.
@Suite struct LabelledTextTests {
  private func file(_ text: String, _ name: String = "a.jsonl") throws -> String {
    let path = try ScratchFolder.make() + "/" + name
    try AtomicFile.write(Array(text.utf8), to: path)
    return path
  }

  private func tokenizer() throws -> any Tokenizer {
    try TokenizerPipeline(contentsOf: Fixtures.path("sentences/cls"))
  }

  @Test func recordsOfEveryFormat() throws {
    let lines = try LabelledText.read(
      file(
        """
        {"text": "a", "label": "x"}

        {"text": "b", "text_pair": "c", "label": 3, "id": 7}
        {"text": "d", "label": ["x", "y"]}
        {"text": "e", "label": []}
        {"text": "f"}
        """))
    #expect(
      lines == [
        LabelledText("a", labels: [.name("x")], line: 1),
        LabelledText("b", second: "c", labels: [.number(3)], line: 3),
        LabelledText("d", labels: [.name("x"), .name("y")], isList: true, line: 4),
        LabelledText("e", labels: [], isList: true, line: 5), LabelledText("f", line: 6),
      ])
    let list = try LabelledText.read(file(#"[{"text": "a", "label": "x"}]"#, "a.json"))
    #expect(list == [LabelledText("a", labels: [.name("x")], line: 1)])
    let table = try LabelledText.read(file("Label,text\nx,\"a, b\"\n,c\n", "a.csv"))
    #expect(
      table == [LabelledText("a, b", labels: [.name("x")], line: 2), LabelledText("c", line: 3)])
    #expect(try LabelledText.read(file("a\n\nb\n", "a.txt")).map(\.line) == [1, 3])
  }

  @Test(arguments: [
    (#"{"label": "x"}"#, "line 1: expected the field 'text'; found 'label'"),
    (#"{"text": 3, "label": "x"}"#, "expected a string as 'text'"),
    (#"{"text": "a", "label": ""}"#, "the label is empty"),
    (#"{"text": "a", "label": -1}"#, "expected a name, or a number from 0"),
    (#"{"text": "a", "label": 1.5}"#, "expected a name, or a number from 0"),
    (#"{"text": "a", "label": ["x", "x"]}"#, "a label occurs twice"),
    (#"["a", "x"]"#, "expected {\"text\": ..., \"label\": ...}"), ("", "it holds no examples"),
  ])
  func damagedRecords(text: String, problem: String) throws {
    let path = try file(text)
    let error = try #require(#expect(throws: FormatError.self) { try LabelledText.read(path) })
    #expect("\(error)".contains(problem), "\(error)")
  }

  @Test func labelsOfExamples() throws {
    func labels(_ text: String) throws -> LabelSet {
      let path = try file(text)
      return try LabelSet(of: try LabelledText.read(path), file: path)
    }
    let names = try labels(#"{"text": "a", "label": "y"}"# + "\n" + #"{"text": "b", "label": "x"}"#)
    #expect(names == LabelSet(names: ["x", "y"]))
    let numbers = try labels(#"{"text": "a", "label": 2}"#)
    #expect(numbers.names == ["LABEL_0", "LABEL_1", "LABEL_2"] && !numbers.isMultiLabel)
    #expect(try labels(#"{"text": "a", "label": ["z"]}"#).isMultiLabel)
    for (second, problem) in [
      (#"{"text": "b"}"#, "line 2: it has no 'label'"),
      (#"{"text": "b", "label": 1}"#, "some labels are names, others are numbers"),
      (#"{"text": "b", "label": ["x"]}"#, "'label' is a list, and on line 1 it is one label"),
    ] {
      let error = try #require(
        #expect(throws: FormatError.self) {
          try labels(#"{"text": "a", "label": "x"}"# + "\n" + second)
        })
      #expect("\(error)".contains(problem), "\(error)")
    }
  }

  /// What transformers 5.23 makes of them with truncation=True, max_length=limit.
  @Test func longPairsAreCutAsByTransformers() throws {
    let (a, b) = ("where is my parcel and when will it arrive please", "my card was stolen")
    let tokenizer = try tokenizer()
    let expected: [(String, String?, ids: [Int], types: [Int])] = [
      (
        a, b, [2, 13, 11, 12, 14, 50, 34, 35, 3, 12, 15, 30, 31, 3],
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]
      ),
      (a, b, [2, 13, 11, 12, 14, 3, 12, 15, 30, 3], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]),
      (a, b, [2, 13, 11, 12, 3, 12, 15, 3], [0, 0, 0, 0, 0, 1, 1, 1]),
      (b, a, [2, 12, 15, 30, 3, 13, 11, 12, 14, 3], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
      (a, nil, [2, 13, 11, 12, 14, 3], [0, 0, 0, 0, 0, 0]),
    ]
    for (first, second, ids, types) in expected {
      let (encoding, isCut) = try tokenizer.encode(
        first, pairedWith: second, limit: ids.count, file: "f", line: 1)
      #expect(encoding == TypedEncoding(ids: ids, types: types) && isCut)
    }
    let error = try #require(
      #expect(throws: FormatError.self) {
        try tokenizer.encode(a, pairedWith: b, limit: 4, file: "f", line: 7)
      })
    #expect("\(error)".contains("line 7: the tokenizer puts 3 tokens round a text"))
  }

  @Test func longExamples() throws {
    let texts = [
      LabelledText("my card", labels: [.name("x")], line: 1),
      LabelledText("where is my parcel", labels: [.name("y")], line: 2),
    ]
    func encoding(_ choice: LongExamples) throws -> (data: LabelledDataSet, notes: [String]) {
      try LabelledDataSet.encoding(
        texts, labels: LabelSet(names: ["x", "y"]), tokenizer: tokenizer(), longest: 4,
        longExamples: choice, source: "f")
    }
    let cut = try encoding(.truncate)
    #expect(cut.data.examples.map(\.tokens.count) == [4, 4] && cut.data.examples[1].labels == [1])
    #expect(cut.notes == ["1 example was longer than 4 tokens and cut, the first on line 2"])
    #expect(try encoding(.skip).data.exampleCount == 1)
    let error = try #require(#expect(throws: FormatError.self) { try encoding(.error) })
    #expect("\(error)".contains("line 2: the example has more than 4 tokens"))
    #expect(throws: TrainingError.self) { try encoding(.split) }
    let unknown = try #require(
      #expect(throws: FormatError.self) {
        try LabelledDataSet.encoding(
          texts, labels: LabelSet(names: ["x", "z"]), tokenizer: tokenizer(), longest: 9)
      })
    #expect("\(unknown)".contains("the label 'y' is not one of the model's 2"))
  }
}
