import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

@Suite struct GenerateTests {
  @Test func streamsWhatJSONHolds() throws {
    let model = try Fixtures.modelWithTokenizer()
    let arguments = ["generate", "--model", model, "--prompt", "Abc", "--max-tokens", "12"]
    let plain = try Command.start(arguments).outcome()
    let result = try Command.start(arguments + ["--json"]).outcome().json()
    #expect(plain.status == 0)
    #expect(result["text"]?.stringValue.map { $0 + "\n" } == plain.output)
    #expect(result["prompt_tokens"]?.intValue == 4)
    let count = result["tokens"]?.arrayValue?.count ?? 0
    let stopped = result["stopped"]?.stringValue
    #expect(count == 12 ? stopped == "length" : stopped == "stop_token")
  }

  @Test func sameSeedSameText() throws {
    let model = try Fixtures.modelWithTokenizer()
    func text(seed: String) throws -> String {
      try Command.succeed(
        "generate", "--model", model, "--prompt", "Abc", "--max-tokens", "20", "--temperature",
        "1.5", "--top-k", "30", "--top-p", "0.95", "--seed", seed
      ).output
    }
    #expect(try text(seed: "1") == text(seed: "1"))
    #expect(try text(seed: "1") != text(seed: "2"))
  }

  /// The model's last position ends a generation, and is no error.
  @Test func endsAtTheLastPosition() throws {
    let model = try Fixtures.modelWithTokenizer()
    let prompt = String(repeating: "a", count: 62)
    let result = try Command.succeed(
      "generate", "--model", model, "--prompt", prompt, "--json", "--temperature", "5"
    ).json()
    #expect((result["tokens"]?.arrayValue?.count ?? 9) <= 2)
    let longer = try Command.run("generate", "--model", model, "--prompt", prompt + "aa")
    #expect(longer.status == 1)
    #expect(longer.errors.contains("64 positions"))
  }

  /// With a context it goes on, without what it has forgotten.
  @Test func goesOnBehindTheLastPosition() throws {
    let model = try Fixtures.modelWithTokenizer()
    let arguments = [
      "--model", model, "--prompt", String(repeating: "a", count: 70), "--max-tokens", "150",
      "--logit-bias", "2:-100", "--logit-bias", "12:-100", "--json",
    ]
    func run(_ more: String...) throws -> Command.Outcome {
      try Command.start(["generate"] + arguments + more).outcome()
    }
    let result = try run("--context", "40", "--keep", "3").json()
    #expect(result["tokens"]?.arrayValue?.count == 150)
    // 71 tokens, of which 3 and 18 are left; 20 more come, and so on.
    #expect(result["forgotten_tokens"]?.intValue == 50 + 20 * 7)
    #expect(try run("--context", "64").json()["tokens"]?.arrayValue?.count == 150)
    for wrong in [["--context", "1"], ["--context", "9", "--keep", "8"], ["--keep", "-1"]] {
      #expect(try Command.start(["generate"] + arguments + wrong).outcome().status == 64)
    }
    let more = try run("--context", "65")
    #expect(more.status == 1 && more.errors.contains("--context is 65; the model has 64 positions"))
  }

  @Test func namesAPromptWithoutTokens() throws {
    let model = try Fixtures.modelWithTokenizer()
    // What the template begins with is enough.
    #expect(try Command.run("generate", "--model", model, "--prompt", "").status == 0)
    let path = model + "/tokenizer.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try Fixtures.write(
      text.replacing(#"{"SpecialToken":{"id":"<s>","type_id":0}},"#, with: ""), to: path)
    let outcome = try Command.run("generate", "--model", model, "--prompt", "")
    #expect(outcome.status == 1 && outcome.errors.contains("error: --prompt '': it has no token"))
  }

  @Test func tellsWhyItEndedAndWhatWasLikely() throws {
    let model = try Fixtures.modelWithTokenizer()
    let arguments = [
      "generate", "--model", model, "--prompt", "Abc", "--max-tokens", "12", "--json",
    ]
    func run(_ more: String...) throws -> JSONValue {
      try Command.start(arguments + more).outcome().json()
    }
    let plain = try run()
    let text = try #require(plain["text"]?.stringValue)
    #expect(plain["stopped"]?.stringValue == "length" && plain["logprobs"] == nil)
    // The same by guesses.
    #expect(try run("--guesses", "4")["text"]?.stringValue == text)
    // A text ends before a string that it comes to.
    let stop = String(text.dropFirst(3).prefix(2))
    let stopped = try run("--stop", "never there", "--stop", stop)
    let end = try #require(text.utf8.split(separator: stop.utf8, maxSplits: 1).first)
    #expect(stopped["text"]?.stringValue == (text.hasPrefix(stop) ? "" : String(end)))
    #expect(stopped["stopped"]?.stringValue == "stop_string")
    // Each token's probability, and those of the likeliest, of which a greedy choice is the first.
    let likely = try #require(try run("--logprobs", "2")["logprobs"]?.arrayValue)
    #expect(likely.map { $0["id"]?.intValue } == plain["tokens"]?.arrayValue?.map(\.intValue))
    for item in likely {
      #expect(item["best"]?.arrayValue?.count == 2)
      #expect(item["best"]?.arrayValue?[0]["id"]?.intValue == item["id"]?.intValue)
      #expect(try #require(item["logprob"]?.doubleValue) <= 0)
    }
    // A bias forbids the first token.
    let first = try #require(likely[0]["id"]?.intValue)
    let other = try run("--logit-bias", "\(first):-1000")
    #expect(other["tokens"]?.arrayValue?.contains { $0.intValue == first } == false)
    // Penalties make another text.
    for penalty in ["--repetition-penalty", "--frequency-penalty", "--presence-penalty"] {
      #expect(try run(penalty, "50")["text"]?.stringValue != text)
    }
  }

  @Test func writesWhatAConstraintAllows() throws {
    let model = Fixtures.path("../../Sources/LoRAWorld/Base")
    let schema = try Fixtures.file(
      "schema.json",
      #"{"type":"object","properties":{"a":{"type":"integer","minimum":3,"maximum":7},"b":{"enum":["x","yz"]}},"required":["a","b"],"additionalProperties":false}"#
    )
    func run(_ more: String...) throws -> JSONValue {
      try Command.start(
        ["generate", "--model", model, "--prompt", "Abc", "--max-tokens", "60", "--json"] + more
      ).outcome().json()
    }
    for seed in ["1", "2", "3"] {
      let sampled = ["--temperature", "3", "--seed", seed]
      let chosen = try Command.start(
        [
          "generate", "--model", model, "--prompt", "Abc", "--json", "--choice", "yes", "--choice",
          "no",
        ]
          + sampled
      ).outcome().json()
      #expect(["yes", "no"].contains(chosen["text"]?.stringValue))
      #expect(["complete", "stop_token"].contains(chosen["stopped"]?.stringValue))
      let object = try run("--schema", schema, "--temperature", "3", "--seed", seed)
      let value = try JSONValue(parsing: object["text"]?.stringValue ?? "")
      #expect((3...7).contains(value["a"]?.intValue ?? 0), "\(object)")
      #expect(["x", "yz"].contains(value["b"]?.stringValue))
    }
    #expect(try run("--pattern", "[0-9]{4}")["text"]?.stringValue?.count == 4)
    // The same by guesses.
    #expect(
      try run("--pattern", "([a-c]{2}-){8}", "--guesses", "5")["tokens"]
        == run("--pattern", "([a-c]{2}-){8}")["tokens"])
    // Of letters alone no number can be made: the reason is told.
    let stuck = try Command.succeed(
      "generate", "--model", try Fixtures.modelWithTokenizer(), "--prompt", "a", "--schema", schema,
      "--json"
    ).json()
    #expect(stuck["stopped"]?.stringValue == "no_allowed_token" && stuck["text"]?.stringValue == "")
    let wrong = try Fixtures.file("wrong.json", #"{"type":"object","dependentSchemas":{}}"#)
    let outcome = try Command.run(
      "generate", "--model", model, "--prompt", "a", "--schema", wrong)
    #expect(outcome.status == 1 && outcome.errors.contains("dependentSchemas"), "\(outcome.errors)")
    let bytes = try Fixtures.file("bytes.json", "")
    try Data([0xFF, 0x7B, 0x7D]).write(to: URL(filePath: bytes))
    for (arguments, status, part) in [
      (["--schema", bytes], 1, "it is not text in UTF-8"),
      (["--choice", ""], 64, "--choice is an empty"),
      (["--pattern", "(a"], 1, "--pattern: expected"),
      (["--schema", try Fixtures.file("half.json", "{")], 1, "found text that is not JSON"),
    ] as [([String], Int32, String)] {
      let outcome = try Command.start(
        ["generate", "--model", model, "--prompt", "a"] + arguments
      ).outcome()
      #expect(outcome.status == status && outcome.errors.contains(part), "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
    #expect(
      try Command.run(
        "generate", "--model", model, "--prompt", "a", "--choice", "a", "--pattern", "b"
      )
      .status == 64)
  }

  @Test func refusesATokenThatTheModelLacks() throws {
    let outcome = try Command.run(
      "generate", "--model", try Fixtures.modelWithTokenizer(), "--prompt", "a", "--logit-bias",
      "9999999:1")
    #expect(outcome.status == 1 && outcome.errors.contains("logit bias"), "\(outcome.errors)")
  }

  @Test func refusesOptionsOutOfRange() throws {
    let model = try Fixtures.modelWithTokenizer()
    for flags in [
      ["--temperature", "-1"], ["--top-p", "0"], ["--top-k", "-3"],
      ["--min-p", "2"], ["--typical-p", "0"], ["--repetition-penalty", "0"],
      ["--frequency-penalty", "nan"], ["--logprobs", "-1"], ["--guesses", "-1"], ["--stop", ""],
      ["--logit-bias", "a:1"], ["--logit-bias", "3"], ["--logit-bias", "3:inf"],
    ] {
      let outcome = try Command.run(
        "generate", "--model", model, "--prompt", "a", "\(flags[0])=\(flags[1])")
      #expect(outcome.status == 64)
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.hasPrefix("error: "))
    }
  }
}

@Suite struct MergeTests {
  @Test(arguments: ["llama-grouped", "qwen2-tied-v4-bfloat16"])
  func computesWhatTheAdapterDoes(name: String) throws {
    let model = Fixtures.model(name)
    let output = try Command.temporaryFolder() + "/merged"
    let result = try Command.succeed(
      "merge", "--model", model, "--adapter", model + "/adapter:0.5", "--output", output, "--json"
    ).json()
    let type = try ModelDirectory(path: model).entry(named: "model.embed_tokens.weight")?.dtype
    #expect(result["dtype"]?.stringValue == type?.rawValue)
    let merged = try ModelDirectory(path: output)
    for tensor in merged.tensorNames { #expect(merged.entry(named: tensor)?.dtype == type) }
    func nll(_ arguments: String...) throws -> Double {
      let ids = ["--ids", model + "/expected.safetensors#ids", "--json"]
      let value = try Command.start(["score"] + arguments + ids).outcome().json()["nll"]
      return try #require(value?.doubleValue)
    }
    let difference = try abs(
      nll("--model", output) - nll("--model", model, "--adapter", model + "/adapter:0.5"))
    #expect(difference < (type == .float32 ? 1e-5 : 2e-2))
  }

  @Test func refusesTheModelsOwnFolder() throws {
    let model = try Fixtures.copy("llama-grouped")
    let before = Fixtures.names(in: model)
    let outcome = try Command.run(
      "merge", "--model", model, "--adapter", model + "/adapter", "--output", model + "/.")
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("the output is the input"))
    #expect(Fixtures.names(in: model) == before)
    #expect(try Command.run("merge", "--model", model, "--output", model + "/m").status == 64)
  }
}
