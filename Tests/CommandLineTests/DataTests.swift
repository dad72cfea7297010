import Foundation
import LoRAJSON
import Testing

/// Data files and texts of any length through the command line.
@Suite struct DataTests {
  private func train(
    _ name: String, _ content: String, _ more: String...
  ) throws -> Command.Outcome {
    let model = try Fixtures.modelWithTokenizer()
    let data = try Fixtures.file(name, content)
    let output = try Command.temporaryFolder() + "/a"
    return try Command.start(
      ["train", "--model", model, "--data", data, "--output", output, "--steps", "1"] + more
    ).outcome()
  }

  @Test(arguments: [
    ("a.TXT", "Abc def."), ("A.JSONL", "{\"text\":\"Abc\"}"), ("a.Json", "[{\"text\":\"Abc\"}]"),
    ("a.csv", "prompt;completion\n\"Abc;\nd\";e\n"), ("a.TSV", "text\tn\nAbc\t1\n"),
    ("a.ndjson", "\u{FEFF}{\"prompt\":\"A\",\"completion\":\"b\"}\r\n"), ("data", "Abc def"),
    ("a.json", "{\"text\":\"Abc\"}\n{\"text\":\"d\"}\n"), ("a.jsonl", "[3,4,5]\n[6,7]\n"),
  ])
  func readsEveryForm(name: String, content: String) throws {
    let outcome = try train(name, content)
    #expect(outcome.status == 0, "\(outcome.errors)")
  }

  @Test func whatIsSaid() throws {
    let blank = try train("a.jsonl", "\n\n\n{\"text\":\"Abc\"}\n\n{\"text\":\"\"}\n")
    #expect(blank.status == 0 && blank.errors.contains("nothing to predict was left out (line 6)"))
    let both = "{\"prompt\":\"A\",\"completion\":\"b\",\"text\":\"c\"}\n"
    let ambiguous = try train("a.jsonl", both + both)
    #expect(ambiguous.status == 0 && ambiguous.errors.contains("'text'"))
    #expect(ambiguous.errors.components(separatedBy: "'text'").count == 2, "said once")
    let long = "{\"text\":\"\(String(repeating: "Abc ", count: 40))\"}\n"
    let split = try train("a.jsonl", "{\"text\":\"A\"}\n" + long)
    #expect(
      split.errors.contains(
        "1 example longer than 65 tokens (64 positions) was split into 3 (line 2)"))
    let error = try train("a.jsonl", "{\"text\":\"A\"}\n" + long, "--long-rows", "error")
    #expect(error.status == 1 && error.errors.contains("line 2: it has 162 tokens"))
    #expect(error.errors.contains("--long-rows"))
    let skip = try train("a.jsonl", "{\"text\":\"A\"}\n" + long, "--long-rows", "skip")
    #expect(skip.errors.contains("was left out (line 2)"))
    #expect(try train("a.txt", "Abc", "--long-rows", "some").status == 64)
    let parquet = try train("a.parquet", "PAR1....")
    #expect(parquet.status == 1 && parquet.errors.contains("read_parquet"))
  }

  @Test func aTextOfAnyLengthIsScoredByWindows() throws {
    let model = try Fixtures.modelWithTokenizer()
    let text = try Fixtures.file("a.txt", String(repeating: "Abc def. ", count: 30))
    let plain = try Command.run("score", "--model", model, "--text", text)
    #expect(plain.status == 1 && plain.errors.contains("--window 64 --stride 32"))
    for (options, tokens) in [
      (["--window", "64", "--stride", "32"], 269), (["--stride", "7"], 269),
      (["--window", "9"], 269), (["--window", "64", "--stride", "64"], 265),
    ] {
      let result = try Command.start(
        ["score", "--model", model, "--text", text, "--json", "--per-token"] + options
      ).outcome().json()
      #expect(result["tokens"]?.intValue == tokens, "\(options)")
      #expect(result["documents"]?[0]?["token_nlls"]?.arrayValue?.count == tokens)
      let (nll, perplexity) = (result["nll"]?.doubleValue, result["perplexity"]?.doubleValue)
      #expect(abs(exp(nll ?? 0) - (perplexity ?? 0)) < 1e-6 * exp(nll ?? 0))
    }
    let wide = try Command.run("score", "--model", model, "--text", text, "--window", "65")
    #expect(wide.status == 1 && wide.errors.contains("at most"))
    let apart = try Command.run(
      "score", "--model", model, "--text", text, "--window", "8", "--stride", "9")
    #expect(apart.status == 64 && apart.errors.contains("--stride is 9; it must be 1 to 8"))
  }

  @Test func theSameTextWithOtherLineEndsScoresTheSame() throws {
    let model = try Fixtures.modelWithTokenizer()
    func score(_ text: String) throws -> String {
      let file = try Fixtures.file("a.txt", text)
      return try Command.succeed("score", "--model", model, "--text", file, "--json").output
    }
    let plain = try score("Abc\ndef")
    #expect(try score("\u{FEFF}Abc\r\ndef") == plain && score("Abc\rdef") == plain)
  }
}
