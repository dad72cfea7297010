import Foundation
import LoRAJSON
import LoRATraining
import Testing

@testable import lora

/// Which examples `lora train` learns from: `--validation`, several `--data` with weights, and `--map`.
@Suite(.serialized) struct DataSelectionTests {
  private let encoder = Fixtures.path("sentences/mean-normalized")

  /// A number in the letters that the tiny model knows.
  private func word(_ number: Int) -> String {
    String("\(number)".compactMap(\.wholeNumberValue).map { Array("abcdefghij")[$0] })
  }

  private func questions(_ name: String, _ count: Int) throws -> String {
    try Fixtures.file(
      name,
      (0..<count).map { #"{"ask": "q\#(word($0))", "say": " a\#(word($0))"}"# + "\n" }.joined())
  }

  private func train(_ arguments: [String]) throws -> Command.Outcome {
    try Command.start(["train", "--batch", "2"] + arguments).outcome()
  }

  /// The examples that are measured on are the same ones for every seed and order, and a resumed run has them.
  @Test func whatIsKeptIsMeasuredOn() throws {
    let folder = try Command.temporaryFolder()
    let lines = try String(contentsOfFile: questions("a.jsonl", 60), encoding: .utf8)
      .split(separator: "\n")
    let data = try Fixtures.file("b.jsonl", lines.joined(separator: "\n") + "\n")
    let turned = try Fixtures.file("c.jsonl", lines.reversed().joined(separator: "\n") + "\n")
    let flags = ["--map", "prompt=ask,completion=say", "--validation", "20%", "--json"]
    let model = try Fixtures.modelWithTokenizer()
    func run(_ data: String, _ name: String, _ more: String...) throws -> Command.Outcome {
      try train(
        ["--model", model, "--data", data, "--output", "\(folder)/\(name)", "--steps", "6"] + flags
          + more)
    }
    let first = try run(
      data, "1", "--eval-every", "2", "--patience", "2", "--checkpoint-every", "1")
    #expect(first.status == 0, "\(first.errors)")
    #expect(first.errors.contains("are for validation, "), "\(first.errors)")
    let before = try #require(try first.json()["eval_nll_before"]?.doubleValue)
    let second = try run(turned, "2", "--seed", "9")
    #expect(
      try second.json()["eval_nll_before"]?.doubleValue.map { abs($0 - before) < 1e-5 } == true)
    let other = try run(data, "3", "--validation-seed", "1")
    #expect(
      try other.json()["eval_nll_before"]?.doubleValue.map { abs($0 - before) > 1e-5 } == true)
    let resumed = try Command.succeed("train", "--resume", "\(folder)/1", "--json")
    #expect(try resumed.json()["finished"] == true)
    let nothing = try run(data, "4", "--validation-seed", "1", "--validation", "0.001%")
    #expect(
      nothing.status == 1
        && nothing.errors.contains("0 of its 60 examples would be for validation"))
  }

  @Test func everyTaskKeepsExamples() throws {
    let texts = try String(contentsOfFile: encoder + "/texts.jsonl", encoding: .utf8)
    let labelled = try Fixtures.file(
      "l.jsonl",
      texts.replacing("\"text\"", with: "\"said\"").replacing("\"label\"", with: "\"intent\""))
    let tags = try Fixtures.file(
      "t.jsonl",
      (0..<12).map { #"{"w": ["w\#($0)", "b"], "t": ["X", "O"]}"# + "\n" }.joined())
    let folder = try Command.temporaryFolder()
    for (task, data, map, measure) in [
      ("classification", labelled, "text=said,label=intent", "accuracy"),
      ("embedding", labelled, "text=said,label=intent", "recall_at_1"),
      ("token-classification", tags, "tokens=w,tags=t", "accuracy"),
    ] {
      let outcome = try train([
        "--task", task, "--model", encoder, "--data", data + ":2", "--map", map, "--validation",
        "4", "--steps", "1", "--output", "\(folder)/\(task)", "--json",
      ])
      #expect(outcome.status == 0, "\(task): \(outcome.errors)")
      #expect(outcome.errors.contains("4 examples of \(data) are for validation, 16 examples to"))
      #expect(try outcome.json()["eval_\(measure)_after"]?.doubleValue != nil)
    }
    let found = try Command.succeed(
      "classify", "--model", encoder, "--adapter", folder + "/classification", "--data", labelled,
      "--map", "text=said,label=intent", "--json")
    #expect(try found.json()["accuracy"]?.doubleValue != nil)
    let vectors = try Command.succeed(
      "embed", "--model", encoder, "--data", labelled, "--map", "text=said")
    #expect(vectors.output.split(separator: "\n").count == 12)
    let useless = try Command.run(
      "classify", "--model", encoder, "--adapter", folder, "--text", "a", "--map", "text=said")
    #expect(useless.status == 64 && useless.errors.contains("--map names fields of --data"))
  }

  @Test func preferencesAsMessages() throws {
    let data = try Fixtures.file(
      "p.jsonl",
      (0..<12).map { number in
        #"{"q": [{"role": "user", "content": "q\#(word(number))"}], "good": [{"role": "assistant", "content": "yes"}], "bad": [{"role": "assistant", "content": "no"}]}"#
          + "\n"
      }.joined())
    let template = try Fixtures.file(
      "t.jinja",
      "{% for m in messages %}{{ m.role }} {{ m.content }}\n{% endfor %}"
        + "{% if add_generation_prompt %}assistant {% endif %}")
    let folder = try Command.temporaryFolder()
    let flags = [
      "--task", "preference", "--model", try Fixtures.modelWithTokenizer(), "--data", data, "--map",
      "prompt=q,chosen=good,rejected=bad", "--steps", "2", "--validation", "3",
    ]
    let outcome = try train(flags + ["--chat-template", template, "--output", folder + "/a"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    #expect(Fixtures.names(in: folder + "/a").contains("chat_template.jinja"))
    let without = try train(flags + ["--output", folder + "/b"])
    #expect(
      without.status == 1 && without.errors.contains("line 1: the model's template does not take"))
  }

  @Test func weightsOfFiles() throws {
    let folder = try Command.temporaryFolder()
    let (a, b) = (try questions("a.jsonl", 10), try questions("b.jsonl", 10))
    let flags = [
      "--model", try Fixtures.modelWithTokenizer(), "--map", "prompt=ask,completion=say",
      "--epochs", "1", "--json",
    ]
    let outcome = try train(
      flags + ["--data", a, "--data", b + ":2.0", "--output", folder + "/out"])
    #expect(try outcome.json()["steps"]?.intValue == 15, "\(outcome.errors)")
    for (weight, words, status) in [
      ("0", "the weight '0' of \(a) is no number above 0", Int32(64)),
      ("-1", "the weight '-1' of \(a)", 64), ("x", "the weight 'x' of \(a)", 64),
      ("1e-9", "the weight of \(a) is 1e-09", 1),
    ] {
      let wrong = try train(flags + ["--data", "\(a):\(weight)", "--output", folder + "/no"])
      #expect(wrong.status == status && wrong.errors.contains(words), "\(wrong.errors)")
    }
    // A tensor's name stands before the weight; a file's own name may hold a colon.
    let tensor = try WeightedFile(argument: "ids.safetensors#train:0.5")
    #expect(tensor.path == "ids.safetensors#train" && tensor.weight == 0.5)
    let colon = try Fixtures.file("a:2", "x")
    #expect(try WeightedFile(argument: colon).weight == 1)
    #expect(try WeightedFile(argument: "no:2/b.jsonl").path == "no:2/b.jsonl")
    let missing = try train(
      flags + ["--data", a, "--data", "no.jsonl", "--output", folder + "/no"])
    #expect(missing.status == 1 && missing.errors.contains("no.jsonl"))
  }

  /// The first examples of each file, with the file's name; half of a file may be none of its first.
  @Test func filesAreShown() throws {
    let (a, b) = (try questions("a.jsonl", 3), try questions("b.jsonl", 9))
    let shown = try Command.succeed(
      "data", "show", a, b + ":2", "--model", try Fixtures.modelWithTokenizer(), "--map",
      "prompt=ask,completion=say", "--rows", "2")
    for place in ["\(a), line 1:", "\(a), line 2:", "\(b), line 1:"] {
      #expect(shown.output.contains(place), "\(shown.output)")
    }
    #expect(shown.errors.contains("17 further examples"), "\(shown.errors)")
  }

  /// A template that asks for the date is told that of the run's beginning when it goes on.
  @Test func theDateOfARunStays() throws {
    let data = try Fixtures.file(
      "c.jsonl",
      (0..<6).map {
        #"{"messages": [{"role": "user", "content": "\#(word($0))"}, {"role": "assistant", "content": "b"}]}"#
          + "\n"
      }.joined())
    let plain = try Fixtures.file(
      "p.jinja",
      "{{ 'a' * (strftime_now('%S') | int + 1) }}\n{% for m in messages %}{{ m.role }} {{ m.content }}\n"
        + "{% endfor %}")
    let output = try Command.temporaryFolder() + "/run"
    let running = try Command.start([
      "train", "--model", try Fixtures.modelWithTokenizer(), "--data", data, "--chat-template",
      plain,
      "--output", output, "--steps", "60", "--checkpoint-every", "1", "--batch", "1",
    ])
    while running.process.isRunning {
      if Fixtures.names(in: output).contains("lora-run-00000002.safetensors") { break }
      usleep(2000)
    }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    let recipe = output + "/lora-run.json"
    var text = try String(contentsOfFile: recipe, encoding: .utf8)
    let start = try #require(text.firstRange(of: "\"--template-date\","))
    let date = try #require(text[start.upperBound...].firstMatch(of: /20\d\d-\d\d-\d\dT[\d:]{8}/))
    let begun = text
    text.replace(
      date.output, with: date.output.hasSuffix("00") ? "2026-12-01T00:00:30" : "2026-12-01T00:00:00"
    )
    try Fixtures.write(text, to: recipe)
    let other = try Command.run("train", "--resume", output)
    #expect(other.status == 1 && other.errors.contains("the saved run is of"), "\(other.errors)")
    try Fixtures.write(begun, to: recipe)
    let resumed = try Command.run("train", "--resume", output)
    #expect(resumed.status == 0, "\(resumed.errors)")
    let wrong = try Command.run(
      "data", "show", data, "--model", try Fixtures.modelWithTokenizer(), "--template-date", "soon")
    #expect(wrong.status == 64 && wrong.errors.contains("'soon' is no date"))
  }

  @Test(arguments: [
    (["--validation", "5%", "--eval-data", "x"], "--validation and --eval-data say both"),
    (["--validation", "half"], "--validation is 'half'; expected a share above 0 %"),
    (["--validation-seed", "1"], "--validation-seed makes no sense without --validation"),
    (["--map", "prompt=a", "--task", "classification"], "labelled texts and pairs is prompt=a"),
  ])
  func wrongOptions(options: [String], words: String) throws {
    let outcome = try train(
      [
        "--model", encoder, "--data", encoder + "/texts.jsonl", "--output",
        try Command.temporaryFolder() + "/a",
      ] + options)
    #expect(outcome.status == (options[0] == "--map" ? 1 : 64))
    #expect(outcome.errors.contains(words), "\(outcome.errors)")
  }
}
