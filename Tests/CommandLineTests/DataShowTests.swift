import Foundation
import LoRAJSON
import Testing

/// `lora data show` for each task: what a model sees, and what of it is learned.
@Suite struct DataShowTests {
  private let encoder = Fixtures.path("sentences/mean-normalized")

  private func rows(_ arguments: String...) throws -> [JSONValue] {
    let outcome = try Command.start(["data", "show"] + arguments + ["--json"]).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    return try outcome.json()["rows"]?.arrayValue ?? []
  }

  private func ids(_ value: JSONValue?) -> [Int] {
    (value?.arrayValue ?? []).compactMap(\.intValue)
  }

  @Test func labels() throws {
    let data = try Fixtures.file(
      "a.jsonl",
      """
      {"text":"lost card","label":"card"}
      {"text":"where is my package","label":"delivery"}
      {"text":"hello there","label":"other"}

      """)
    let shown = try Command.succeed(
      "data", "show", data, "--task", "classification", "--model", encoder, "--rows", "2")
    #expect(shown.output.contains("\(data), line 2: "), "\(shown.output)")
    #expect(shown.output.contains("\nlabel: ⟦card⟧\n"), "\(shown.output)")
    #expect(shown.errors.contains("1 further example"))
    let row = try rows(data, "--task", "classification", "--model", encoder)[1]
    #expect(row["labels"] == ["delivery"])
    // The tokens that the tokenizer makes, special ones included.
    let tokens = try Command.succeed(
      "tokenize", "--model", encoder, "--text", "where is my package", "--json"
    ).json()
    #expect(row["ids"] == tokens["ids"] && !ids(row["ids"]).isEmpty)
    let short = try rows(
      data, "--task", "classification", "--model", encoder, "--sequence-length", "4",
      "--long-rows", "skip")
    #expect(short.count == 2 && short.allSatisfy { ids($0["ids"]).count <= 4 })
  }

  @Test func labelsOfWords() throws {
    let data = try Fixtures.file(
      "a.conll", "block O\nmy O\ncard B-THING\n\nlost O\npackage B-THING\n\n")
    let shown = try Command.succeed(
      "data", "show", data, "--task", "token-classification", "--model", encoder, "--rows", "1")
    #expect(shown.output.contains(", 3 learned\n"), "\(shown.output)")
    #expect(shown.output.contains("my ⟦O⟧\ncard ⟦B-THING⟧\n"), "\(shown.output)")
    let row = try #require(
      try rows(data, "--task", "token-classification", "--model", encoder).last)
    let (tokens, targets) = (ids(row["ids"]), ids(row["targets"]))
    #expect(tokens.count == targets.count && targets.count { $0 >= 0 } == 2)
    // A label's number among the sorted names, and -100 elsewhere.
    #expect(targets.filter { $0 >= 0 } == [1, 0] && targets.first == -100)
    let names = try #require(row["labels"]?.arrayValue)
    #expect(zip(names, targets).allSatisfy { ($0 == .null) == ($1 < 0) })
  }

  @Test func pairs() throws {
    let data = try Fixtures.file(
      "a.jsonl",
      """
      {"text":"lost card","text_pair":"my card"}
      {"text":"where is my package","text_pair":"package number"}

      """)
    let shown = try Command.succeed(
      "data", "show", data, "--task", "embedding", "--model", encoder, "--rows", "1")
    #expect(shown.output.contains("\nclose to: ⟦"), "\(shown.output)")
    let row = try #require(try rows(data, "--task", "embedding", "--model", encoder).first)
    for (value, text) in [(row, "lost card"), (try #require(row["second"]), "my card")] {
      let tokens = try Command.succeed(
        "tokenize", "--model", encoder, "--text", text, "--json"
      ).json()
      #expect(value["ids"] == tokens["ids"])
    }
    let labelled = try Fixtures.file(
      "b.jsonl",
      [("lost card", "a"), ("my card", "a"), ("hello", "b"), ("hello there", "b")].map {
        #"{"text":"\#($0.0)","label":"\#($0.1)"}"# + "\n"
      }.joined())
    let labels = try rows(labelled, "--task", "embedding", "--model", encoder, "--rows", "4")
    #expect(labels.map { $0["label"]?.stringValue } == ["a", "a", "b", "b"])
  }

  @Test func preferences() throws {
    let model = try Fixtures.modelWithTokenizer()
    let data = try Fixtures.file(
      "a.jsonl",
      """
      {"prompt":"abc","chosen":" def","rejected":" gab, gab"}
      {"prompt":"dad","chosen":" cab","rejected":" had"}

      """)
    let shown = try Command.succeed(
      "data", "show", data, "--task", "preference", "--model", model, "--rows", "1")
    #expect(shown.output.contains("\nchosen: ⟦ def"), "\(shown.output)")
    #expect(shown.output.contains("\nrejected: ⟦ gab, gab"), "\(shown.output)")
    let row = try #require(try rows(data, "--task", "preference", "--model", model).first)
    // Each row is the one that lora data show makes of the prompt with that completion.
    for (name, completion) in [("chosen", " def"), ("rejected", " gab, gab")] {
      let pair = try Fixtures.file(
        "b.jsonl", #"{"prompt":"abc","completion":"\#(completion)"}"# + "\n")
      let text = try #require(try rows(pair, "--model", model).first)
      #expect(row[name]?["ids"] == text["ids"] && row[name]?["targets"] == text["targets"])
      let targets = ids(row[name]?["targets"])
      #expect(targets.contains(-100))
    }
  }

  /// Several files, each with its own first examples; a plain text, of which all is learned.
  @Test func filesAndTexts() throws {
    let model = try Fixtures.modelWithTokenizer()
    let text = try Fixtures.file("a.txt", "abc def\n\ngab had ice\n")
    let shown = try Command.succeed("data", "show", text, "--model", model)
    #expect(shown.output.contains("abc def") && shown.output.contains("⟦"), "\(shown.output)")
    let folder = try Command.temporaryFolder()
    for name in ["a", "b"] {
      try Fixtures.write(
        (1...3).map { #"{"text":"hello \#(name)","label":"\#($0)"}"# + "\n" }.joined(),
        to: "\(folder)/\(name).jsonl")
    }
    let labelled = try Command.succeed(
      "data", "show", folder + "/a.jsonl", folder + "/b.jsonl", "--task", "classification",
      "--model", encoder, "--rows", "1")
    for name in ["a", "b"] {
      #expect(labelled.output.contains("\(folder)/\(name).jsonl, line 1: "), "\(labelled.output)")
    }
    #expect(labelled.errors.contains("4 further examples"))
  }

  @Test(arguments: [
    (
      ["--task", "classification", "--use-template", "never"], 64,
      "--use-template is for --task text"
    ),
    (["--task", "preference"], 1, "chosen"), (["--task", "embedding"], 1, "text_pair"),
    (["--task", "token-classification"], 1, "line 1"),
  ])
  func errors(options: [String], status: Int32, words: String) throws {
    let data = try Fixtures.file("a.jsonl", #"{"text":"lost card"}"# + "\n")
    let outcome = try Command.start(["data", "show", data, "--model", encoder] + options).outcome()
    #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
  }
}
