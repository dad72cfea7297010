import Foundation
import LoRAAutograd
import LoRAFiles
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

  /// A copy of the adapter with this alpha, and its B times `factor`.
  private func adapter(alpha: String, factor: Float = 1) throws -> String {
    let folder = try Command.temporaryFolder() + "/adapter"
    try FileManager.default.copyItem(atPath: grouped + "/adapter", toPath: folder)
    let configuration = folder + "/adapter_config.json"
    var object = try #require(
      try JSONValue(parsing: String(contentsOfFile: configuration, encoding: .utf8)).objectValue)
    object["lora_alpha"] = try JSONValue(parsing: alpha)
    try Fixtures.write(
      String(decoding: JSONValue.object(object).encodedBytes(), as: UTF8.self), to: configuration)
    let weights = folder + "/adapter_model.safetensors"
    let file = try SafetensorsFile(path: weights, access: .copied)
    let tensors = try file.names.map { name in
      let tensor = try file.tensor(named: name).converted(to: .float32)
      return (name: name, tensor: name.contains("lora_B") ? tensor.scaled(by: factor) : tensor)
    }
    try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: weights)
    return folder
  }

  @Test func scalesBeyondFloat32AreRefusedByAll() throws {
    let folder = try adapter(alpha: "1e308")
    let output = try Command.temporaryFolder() + "/out"
    for command in [
      ["convert", "--input", folder, "--to", "mlx", "--output", output],
      ["convert", "--input", folder, "--to", "peft", "--output", output],
      ["combine", "--adapter", folder, "--type", "cat", "--output", output],
      ["reduce", "--adapter", folder, "--rank", "1", "--output", output],
      ["inspect", folder],
      ["score", "--model", grouped, "--adapter", folder, "--ids", try Fixtures.sequences()],
    ] {
      try refusal(command, "its scale is", "e+307, beyond float32's 3.4028235e+38")
    }
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  /// Where float32 makes 0 of the scale the adapter does nothing, and that is said.
  @Test func scalesThatFloat32LosesHaveNoEffect() throws {
    let folder = try adapter(alpha: "1e-50")
    try refusal(
      ["score", "--model", grouped, "--adapter", folder, "--ids", try Fixtures.sequences()],
      "every contribution of the adapter is zero")
    let inspected = try Command.succeed("inspect", folder).output
    #expect(inspected.contains("the adapter has no effect") && inspected.contains("e-51"))
  }

  @Test func productsBeyondFloat32AreTold() throws {
    let folder = try adapter(alpha: "1e20", factor: 1e20)
    let output = try Command.temporaryFolder() + "/out"
    let words = "is beyond float32's 3.4028235e+38, as in"
    let converted = try Command.succeed(
      "convert", "--input", folder, "--to", "mlx", "--output", output)
    #expect(converted.errors.contains(words), "\(converted.errors)")
    let inspected = try Command.succeed("inspect", folder)
    #expect(inspected.errors.contains(words) && inspected.output.contains("overflows"))
    // Large, and within: no digits without end.
    let large = try Command.succeed("inspect", adapter(alpha: "8", factor: 1e25))
    #expect(!large.errors.contains("beyond") && !large.output.contains("overflows"))
    let digits = large.output.split { !"0123456789".contains($0) }.map(\.count).max() ?? 0
    #expect(digits < 20 && large.output.contains("e+25"), "\(large.output)")
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
      "train", "--model", half, "--data", try Fixtures.sequences(), "--output", output, "--method",
      "full", "--steps", "1", "--learning-rate", "7e4", "--batch", "1",
    ]
    try refusal(train, "the learning rate is 70000.0", "at most 100")
    let model = try PretrainedModel(path: half).languageModel
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
        ["score", "--model", grouped, "--ids", try Fixtures.sequences()] + adapter + flags,
        "layer model.layers.0.", "of its output", "smaller strength")
      try refusal(
        ["generate", "--model", model, "--prompt", "a b"] + adapter + flags,
        "layer model.layers.0.", "smaller strength")
    }
  }

  @Test func sweepsNeverCallAnOverflowBest() throws {
    let sweep = [
      "sweep", "--model", grouped, "--adapter", grouped + "/adapter", "--data",
      try Fixtures.sequences(),
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
