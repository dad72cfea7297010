import Foundation
import LoRAJSON
import Testing

/// `lora eval --metric label`: classifiers, and language models.
@Suite struct LabelMetricTests {
  private let encoder = Fixtures.path("sentences/mean-normalized")
  private var data: String { encoder + "/texts.jsonl" }

  private func train(_ folder: String, _ options: String...) throws {
    _ = try Command.start(
      [
        "train", "--task", "classification", "--model", encoder, "--data", data, "--output",
        folder, "--batch", "4", "--learning-rate", "0.01",
      ] + options
    ).outcome()
  }

  @Test func classifiersSideBySide() throws {
    let folder = try Command.temporaryFolder()
    try train(folder + "/good", "--epochs", "30")
    try train(folder + "/poor", "--steps", "1", "--head-learning-rate", "1e-9")
    let result = try Command.succeed(
      "eval", "--model", encoder, "--adapter", folder + "/poor", "--adapter", folder + "/good",
      "--data", data, "--metric", "label", "--json"
    ).json()
    #expect(result["metric"]?.stringValue == "label" && result["examples"]?.intValue == 12)
    let candidates = try #require(result["candidates"]?.arrayValue)
    // The model has no head of its own: there is no base to compare with.
    #expect(candidates.map { $0["name"]?.stringValue } == [folder + "/poor", folder + "/good"])
    #expect(candidates[1]["score"]?.doubleValue == 1 && candidates[1]["macro_f1"]?.doubleValue == 1)
    #expect(candidates[1]["difference"]?.doubleValue ?? 0 > 0)
    for (candidate, folder) in zip(candidates, ["/poor", "/good"]) {
      let found = try Command.succeed(
        "classify", "--model", encoder, "--adapter",
        "\(try #require(candidate["name"]?.stringValue))",
        "--data", data, "--json"
      ).json()
      #expect(found["accuracy"]?.doubleValue == candidate["score"]?.doubleValue, "\(folder)")
    }
    let poor = candidates[0]
    let wrong = poor["confusions"]?.arrayValue?.reduce(0) { $0 + ($1["count"]?.intValue ?? 0) } ?? 0
    #expect(wrong > 0 && 12 - wrong == Int((poor["score"]?.doubleValue ?? 0) * 12 + 0.5))
    #expect(poor["labels"]?.arrayValue?.map { $0["support"]?.intValue ?? 0 }.reduce(0, +) == 12)
    let table = try Command.succeed(
      "eval", "--model", encoder, "--adapter", folder + "/good", "--data", data, "--metric", "label"
    )
    #expect(table.output.contains("accuracy") && table.output.contains("macro F1"))
    let shots = try Command.run(
      "eval", "--model", encoder, "--adapter", folder + "/good", "--data", data, "--metric",
      "label", "--shots", "1")
    #expect(shots.status == 1 && shots.errors.contains("leave out --shots and --control"))
  }

  /// A model that learned to answer with labels; one begins another, and only its end tells them apart.
  @Test func aLanguageModelByLikelihood() throws {
    let folder = try Command.temporaryFolder()
    let model = try Fixtures.modelWithTokenizer()
    let lines = ["a b", "c d", "e f", "g h"].flatMap { word in
      [("x \(word)", "ab"), ("y \(word)", "abab"), ("z \(word)", "c")].map { text, label in
        #"{"said": "\#(text)", "intent": "\#(label)"}"# + "\n"
      }
    }
    let data = try Fixtures.file("l.jsonl", lines.joined())
    _ = try Command.succeed(
      "train", "--model", model, "--data", data, "--map", "prompt=said,completion=intent",
      "--epochs", "60", "--batch", "6", "--learning-rate", "0.02", "--output", folder + "/a")
    for map in ["prompt=said,completion=intent", "text=said,label=intent"] {
      let result = try Command.succeed(
        "eval", "--model", model, "--adapter", folder + "/a", "--data", data, "--map", map,
        "--metric", "label", "--json"
      ).json()
      let learned = try #require(result["candidates"]?[1])
      #expect(learned["score"]?.doubleValue == 1, "\(map): \(learned["confusions"] ?? .null)")
      #expect(
        learned["labels"]?.arrayValue?.map { $0["label"]?.stringValue } == ["ab", "abab", "c"])
      #expect(try #require(result["candidates"]?[0]?["score"]?.doubleValue) < 1)
    }
  }

  @Test func whatAreNoLabels() throws {
    let model = try Fixtures.modelWithTokenizer()
    let words = ["a", "b", "c", "d", "e", "f", "g", "h"]
    let different = try Fixtures.file(
      "d.jsonl",
      words.map { #"{"prompt": "\#($0)", "completion": "\#($0)\#($0)"}"# + "\n" }.joined())
    let same = try Fixtures.file(
      "s.jsonl", words.map { #"{"prompt": "\#($0)", "completion": "b"}"# + "\n" }.joined())
    for (data, words) in [
      (different, "8 examples have 8 different answers, which are no labels"),
      (same, "all of its examples have the label 'b'"),
    ] {
      let outcome = try Command.run(
        "eval", "--model", model, "--data", data, "--metric", "label")
      #expect(outcome.status == 1 && outcome.errors.contains(words), "\(outcome.errors)")
    }
    let answers = try Command.run(
      "eval", "--model", model, "--data", same, "--metric", "label", "--stop", "x")
    #expect(answers.status == 64 && answers.errors.contains("generates no answers"))
  }
}
