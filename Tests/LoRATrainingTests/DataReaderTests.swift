import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRAText
import LoRATraining
import Testing

/// From files to examples: what becomes of long ones and of those without anything to predict.
@Suite struct DataReaderTests {
  /// A token a byte; 1 begins a text and 2 ends it.
  private struct Bytes: Tokenizer {
    let vocabularySize = 256
    let beginningOfSequence: Int? = 1
    var endOfSequence: Int? = 2
    func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
      (addSpecialTokens ? [1] : []) + text.utf8.map(Int.init)
    }
    func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
      String(decoding: ids.filter { $0 > 2 }.map { UInt8($0) }, as: UTF8.self)
    }
    func id(of token: String) -> Int? { token.utf8.first.map(Int.init) }
    func token(of id: Int) -> String? { String(UnicodeScalar(UInt8(id))) }
  }

  /// Examples as text: what is read and what is learned of it, "Q:a>b$" learning "b$" being "Q:a|b$".
  private func read(
    _ name: String, _ content: String, length: Int, _ longExamples: LongExamples? = nil,
    tokenizer: Bytes = Bytes()
  ) throws -> (examples: [String], report: DataReport) {
    let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID())-\(name)").path
    try Data(content.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    let model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: 128, tiesWordEmbeddings: true, maximumPositions: 64
    ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
    let reader = try DataReader(
      for: model, options: DataOptions(sequenceLength: length, longExamples: longExamples)
    ) { tokenizer }
    let (data, report) = try reader.read(path)
    let examples = data.examples.map { example in
      let given = example.targets.prefix { $0 < 0 }.count
      let ids = example.tokens + example.targets.suffix(1)
      let letters = ids.map { $0 == 1 ? "^" : $0 == 2 ? "$" : Bytes().token(of: $0) ?? "" }
      return given == 0
        ? letters.joined()
        : letters[...given].joined() + "|" + letters[(given + 1)...].joined()
    }
    return (examples, report)
  }

  @Test func recognizedFieldsAreNoted() throws {
    let (examples, report) = try read(
      "a.jsonl", "{\"question\":\"q\",\"answer\":\"abc\"}\n", length: 64, .truncate)
    #expect(examples.count == 1 && examples[0].hasSuffix("|abc$"), "\(examples)")
    #expect(report.notes.first?.hasPrefix("'question' is read as") == true)
  }

  private static let texts = """
    {"text":"abc"}
    {"text":"abcdefghijkl"}

    {"text":""}
    {"text":"xyz"}
    """

  @Test func textsAreSplit() throws {
    let (examples, report) = try read("a.jsonl", Self.texts, length: 5)
    // Every token but the first is predicted once.
    #expect(examples == ["^abc$", "^abcde", "efghij", "jkl$", "^xyz$"])
    #expect(
      report.notes == [
        "1 example longer than 6 tokens (5 positions) was split into 3 (line 2)",
        "1 example with nothing to predict was left out (line 4)",
      ])
  }

  @Test func textsAreCutOrLeftOutIfAsked() throws {
    let (cut, report) = try read("a.jsonl", Self.texts, length: 5, .truncate)
    #expect(cut == ["^abc$", "^abcde", "^xyz$"])
    #expect(report.notes[0] == "1 example longer than 6 tokens (5 positions) was cut (line 2)")
    let (rest, skipping) = try read("a.jsonl", Self.texts, length: 5, .skip)
    #expect(rest == ["^abc$", "^xyz$"])
    #expect(
      skipping.notes[0] == "1 example longer than 6 tokens (5 positions) was left out (line 2)")
    do {
      _ = try read("a.jsonl", Self.texts, length: 5, .error)
      Issue.record("read")
    } catch let error as FormatError {
      #expect(error.kind == .invalidValue && error.subject == "line 2")
      #expect(error.problem.contains("14 tokens") && error.remedy.contains("--long-rows"))
    }
  }

  @Test func aPlainTextIsCutIntoExamples() throws {
    #expect(try read("a.txt", "abcdefgh\n", length: 4).examples == ["^abcd", "defgh", "h\n$"])
    #expect(try read("a.txt", "abcdefgh", length: 4, .truncate).examples == ["^abcd"])
    #expect(throws: FormatError.self) { try read("a.txt", "abcdefgh", length: 4, .error) }
    #expect(throws: FormatError.self) { try read("a.txt", "abcdefgh", length: 4, .skip) }
  }

  @Test func promptsLoseTheirBeginning() throws {
    let pairs = """
      {"prompt":"Q:a","completion":"b"}
      {"prompt":"Qabcdefgh:","completion":"ij"}
      {"prompt":"Q:","completion":"abcdefghijk"}
      """
    let (examples, report) = try read("a.jsonl", pairs, length: 7)
    #expect(examples == ["^Q:a|b$", "^fgh:|ij$", "^Q:|abcde"])
    #expect(report.truncated.lines == [2, 3] && report.cutCompletions.lines == [3])
    #expect(report.notes.contains { $0.contains("lost the end of its completion (line 3)") })
    let (split, _) = try read("a.jsonl", pairs, length: 7, .split)
    #expect(split == ["^Q:a|b$", "fgh:|ij$", "^Q:|abcde", "efghijk$"])
    #expect(try read("a.jsonl", pairs, length: 7, .skip).examples == ["^Q:a|b$"])
  }

  @Test func tokenSequencesAreTakenAsTheyAre() throws {
    // Longer than asked for texts, not longer than the model's positions.
    let sequences = "[[10,11,12,13,14,15,16,17],\n[20,21]]"
    #expect(try read("a.json", sequences, length: 4).examples.count == 2)
    #expect(try read("a.json", sequences, length: 4, .split).examples.count == 3)
    #expect(throws: FormatError.self) { try read("a.json", sequences, length: 4, .error) }
    for (content, place, words) in [
      ("[[1,2],\n[3]]", "example 2 (line 2)", "1 token"),
      ("[[1,2],\n\n[3,200]]", "example 2 (line 3)", "vocabulary"),
      ("[\n\(Array(repeating: 5, count: 70))]", "line 2", "70 tokens"),
    ] {
      do {
        _ = try read("a.json", content, length: 4)
        Issue.record("\(content) was read")
      } catch let error as FormatError {
        #expect(error.subject.contains(place) && error.problem.contains(words), "\(error)")
      }
    }
  }

  /// An example of one token more than positions is no long one, whatever becomes of long ones; the limit
  /// that notes and errors name is the same.
  @Test(arguments: [LongExamples.truncate, .skip, .split])
  func theLongestExampleIsNotLong(longExamples: LongExamples) throws {
    let sequences = "[[5,6,7,8,9],\n[5,6,7,8,9,10]]"
    let (_, report) = try read("a.json", sequences, length: 4, longExamples)
    #expect(report.truncated.count + report.skipped.count + report.split.count == 1)
    #expect(report.notes.count == 1)
    #expect(report.notes[0].hasPrefix("1 example longer than 5 tokens (4 positions) was "))
    let error = #expect(throws: FormatError.self) {
      try read("a.json", sequences, length: 4, .error)
    }
    #expect(error?.subject == "example 2 (line 2)")
    #expect(error?.problem.contains("6 tokens, more than the 5 (4 positions)") == true)
  }

  /// An end of texts that the model lacks is the tokenizer's fault; an id of the data is the data's.
  @Test func tokensOfTheTokenizerThatTheModelLacks() throws {
    let wrong = Bytes(endOfSequence: 200)
    for (name, content) in [
      ("a.txt", "abc"), ("a.jsonl", "{\"text\":\"abc\"}"),
      ("b.jsonl", "{\"prompt\":\"a\",\"completion\":\"b\"}"),
    ] {
      let error = #expect(throws: TrainingError.self) {
        try read(name, content, length: 9, tokenizer: wrong)
      }
      let text = error.map { "\($0)" } ?? ""
      #expect(text.hasPrefix("the tokenizer's end-of-sequence token is '"), "\(text)")
      #expect(text.contains("200; expected one of the model's vocabulary, 0 to 127"))
      #expect(text.contains("eos_token in tokenizer_config.json"))
    }
    let error = #expect(throws: TrainingError.self) { try read("a.txt", "é", length: 9) }
    #expect(error.map { "\($0)" }?.contains("use the tokenizer that belongs to the model") == true)
    #expect(throws: FormatError.self) {
      try read("a.json", "[[1,200]]", length: 9, tokenizer: wrong)
    }
  }

  /// How a file was read whose name does not say it is told.
  @Test func whatIsAssumedIsSaid() throws {
    let (_, table) = try read("c.data", "prompt,completion\nQ:,b\n", length: 9)
    #expect(table.assumedFormat == .csv && table.notes.count == 1)
    #expect(table.notes[0].contains("read as a table by its content: rename it to .txt"))
    let (_, text) = try read("q.data", "question,answer\nQ:,b\n", length: 30)
    #expect(text.assumedFormat == .text && text.notes.count == 1)
    #expect(text.notes[0].contains("read as plain text") && text.notes[0].contains(".jsonl, .json"))
    for name in ["a.txt", "a.md"] {
      let (_, report) = try read(name, "question,answer\n", length: 30)
      #expect(report.assumedFormat == nil && report.notes.isEmpty)
    }
    do {
      _ = try read("c.data", "{\"text\":\"\"}", length: 9)
      Issue.record("read")
    } catch let error as FormatError {
      #expect(
        error.problem
          == "no example is left: 1 example with nothing to predict was left out (line 1)")
    }
  }

  @Test func recordsOfOneFileHaveOneForm() throws {
    do {
      _ = try read("a.jsonl", "\n{\"text\":\"a\"}\n[1,2]", length: 9)
      Issue.record("read")
    } catch let error as FormatError {
      #expect(error.subject == "line 3" && error.problem.contains("as on line 2"))
    }
    let ambiguous = "{\"prompt\":\"a\",\"completion\":\"b\",\"text\":\"c\"}\n"
    let (examples, report) = try read("a.jsonl", ambiguous + ambiguous, length: 9)
    #expect(examples == ["^a|b$", "^a|b$"])
    #expect(report.notes.count == 1 && report.notes[0].contains("'text'"))
    #expect(report.notes[0].contains("lines 1, 2"))
  }

  @Test func nothingIsLeft() throws {
    #expect(throws: TrainingError.self) { try read("a.txt", " \n", length: 9) }
    #expect(throws: TrainingError.self) { try read("a.jsonl", "\n", length: 9) }
    do {
      _ = try read("a.jsonl", "{\"text\":\"\"}\n{\"text\":\" \"}", length: 9)
      Issue.record("read")
    } catch let error as FormatError {
      #expect(error.problem.contains("no example is left: 2 examples with nothing to predict"))
    }
    #expect(throws: TrainingError.self) { try read("a.txt", "abc", length: 65) }
    #expect(throws: TrainingError.self) { try read("a.txt", "abc", length: 0) }
  }
}
