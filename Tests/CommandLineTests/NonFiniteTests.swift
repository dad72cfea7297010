import Foundation
import LoRAAutograd
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import Testing

@testable import lora

/// Numbers that overflow: never written, never reported as a result.
@Suite struct NonFiniteTests {
  private let half = Fixtures.model("llama-llama3-v4-float16-sharded")
  private let grouped = Fixtures.model("llama-grouped")

  /// Runs a command that must fail with one line of error that has all of `texts`.
  private func refusal(
    _ arguments: [String], _ texts: String..., sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let outcome = try Command.start(arguments).outcome()
    #expect(outcome.status == 1, "\(outcome)", sourceLocation: sourceLocation)
    #expect(outcome.output.isEmpty, sourceLocation: sourceLocation)
    #expect(
      outcome.errors.split(separator: "\n").count { $0.hasPrefix("error: ") } == 1,
      sourceLocation: sourceLocation)
    for text in texts {
      #expect(outcome.errors.contains(text), "\(outcome.errors)", sourceLocation: sourceLocation)
    }
  }

  @Test func mergesThatOverflowLeaveNothing() throws {
    let output = try Command.temporaryFolder() + "/m"
    let merge = ["merge", "--model", half, "--adapter", half + "/adapter:1e8", "--output", output]
    try refusal(
      merge, "layer model.layers.0.", "float16's 65504", "strength 1e+08", "--dtype float32")
    #expect(Fixtures.names(in: output).isEmpty)
    _ = try Command.start(merge + ["--dtype", "float32"]).outcome()
    #expect(try ModelDirectory(path: output).entry(named: "model.norm.weight")?.dtype == .float32)

    let gguf = Fixtures.path("gguf/models/llama-quantized")
    let file = try Command.temporaryFolder() + "/m.gguf"
    try refusal(
      [
        "merge", "--model", gguf + ".gguf", "--adapter", gguf + "-adapter:1e9", "--requantize",
        "--output", file,
      ], "layer model.layers.0.", "float16's 65504", "without quantizing again")
    #expect(!FileManager.default.fileExists(atPath: file))
  }

  /// A rate that throws weights beyond float16 is refused; weights that are there are not written.
  @Test func fullTrainingBeyondTheStoredTypeLeavesNothing() throws {
    let output = try Command.temporaryFolder() + "/t"
    let train = [
      "train", "--model", half, "--data", try Fixtures.rows(), "--output", output, "--method",
      "full", "--steps", "1", "--learning-rate", "7e4", "--batch", "1",
    ]
    try refusal(train, "the learning rate is 70000.0", "at most 100")
    let model = try PretrainedModel(path: half).model
    let parameter = try #require(model.namedParameters().first).parameter
    parameter.value = Tensor(
      [Float](repeating: 1e9, count: parameter.shape.elementCount), shape: parameter.shape)
    let error = #expect(throws: FormatError.self) { try model.save(to: output, type: .float16) }
    #expect(error?.kind == .nonFinite)
    #expect(error?.description.contains("float16") == true, "\(error?.description ?? "")")
    #expect(Fixtures.names(in: output).isEmpty)
  }

  @Test func scoresAndGenerationsThatOverflowNameTheLayer() throws {
    let model = try Fixtures.modelWithTokenizer()
    let adapter = ["--adapter", grouped + "/adapter:3e38"]
    for flags in [[], ["--json"]] {
      try refusal(
        ["score", "--model", grouped, "--ids", try Fixtures.rows()] + adapter + flags,
        "layer model.layers.0.", "of its output", "smaller strength")
      try refusal(
        ["generate", "--model", model, "--prompt", "a b"] + adapter + flags,
        "layer model.layers.0.", "smaller strength")
    }
  }

  @Test func sweepsNeverCallAnOverflowBest() throws {
    let sweep = [
      "sweep", "--model", grouped, "--adapter", grouped + "/adapter", "--data", try Fixtures.rows(),
      "--steps", "3",
    ]
    let some = try Command.start(sweep + ["--to", "3e38", "--json"]).outcome()
    let json = try some.json()
    #expect(some.status == 0 && json["best"]?["strengths"]?[0]?.doubleValue == 0)
    #expect(json["settings"]?[2]?["nll"]?.isNull == true)
    #expect(!some.output.lowercased().contains("nan") && !some.output.contains("inf"))
    let table = try Command.start(sweep + ["--to", "3e38"]).outcome()
    #expect(table.output.contains("not finite") && !table.output.contains("nan"))
    try refusal(sweep + ["--from", "1e38", "--to", "3e38"], "layer model.layers.0.")
  }
}
