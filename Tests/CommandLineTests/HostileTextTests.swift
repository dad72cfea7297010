import Foundation
import LoRAFiles
import LoRAJSON
import LoRATensor
import Testing

@testable import lora

/// Names and metadata with escape sequences, through every command that shows them.
@Suite struct HostileTextTests {
  private static let bell = "\u{1B}]0;owned\u{7}\u{9B}2J\u{202E}\nfake: line"

  /// Nothing that a terminal obeys is in what a command printed.
  private func expectClean(
    _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Command.Outcome {
    let outcome = try Command.start(arguments).outcome()
    #expect(outcome.status == 0 || outcome.status == 1, sourceLocation: sourceLocation)
    for scalar in (outcome.output + outcome.errors).unicodeScalars {
      let isBad =
        scalar.value < 0x20 && scalar != "\n" || (0x7F...0x9F).contains(scalar.value)
        || (0x202A...0x202E).contains(scalar.value)
      #expect(
        !isBad, "\(arguments): U+\(String(scalar.value, radix: 16))", sourceLocation: sourceLocation
      )
    }
    let lines = (outcome.output + outcome.errors).split(separator: "\n")
    #expect(!lines.contains { $0.hasPrefix("fake") }, sourceLocation: sourceLocation)
    return outcome
  }

  @Test func filesThatAreLookedAt() throws {
    let folder = try Command.temporaryFolder()
    let tensors = folder + "/t.safetensors"
    try SafetensorsWriter.write(
      [("w\(Self.bell)", Tensor([Float(1)]))], metadata: ["k\(Self.bell)": "v\(Self.bell)"],
      to: tensors)
    for flags in [[], ["--json"]] {
      let shown = try expectClean(["inspect", tensors] + flags)
      #expect(shown.status == 0 && shown.output.contains("owned"))
    }
    let gguf = folder + "/m"
    try GGUFWriter.write(
      [
        .init(key: "general.architecture", value: .string("llama\(Self.bell)")),
        .init(key: "x\(Self.bell)", value: .strings(["y\(Self.bell)"])),
      ], tensors: [.init(name: "w\u{1B}\n", tensor: Tensor([Float(1)]))], to: gguf)
    for flags in [[], ["--json"]] {
      #expect(try expectClean(["inspect", gguf] + flags).status == 0)
      #expect(
        try expectClean(["score", "--model", gguf, "--ids", try Fixtures.sequences()] + flags)
          .status
          == 1)
    }
  }

  @Test func modelsAndAdaptersThatAreRefused() throws {
    let ids = try Fixtures.sequences()
    let escaped = #"\u001b]0;owned\u0007\u009b2J\u202e\nfake: line"#
    for (old, new) in [
      (#""llama""#, #""\#(escaped)""#), (#""silu""#, #""\#(escaped)""#),
      (#""hidden_size": 32"#, #""hidden_size": "\#(escaped)""#),
    ] {
      let model = try Fixtures.copy("llama-grouped")
      let path = model + "/config.json"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.contains(old))
      try Fixtures.write(text.replacing(old, with: new), to: path)
      for flags in [[], ["--json"]] {
        let outcome = try expectClean(["score", "--model", model, "--ids", ids] + flags)
        #expect(outcome.status == 1)
        // A long value is not quoted.
        #expect(outcome.errors.contains("owned") || outcome.errors.contains("found a string"))
        #expect(outcome.errors.split(separator: "\n").count == 1)
      }
    }
    let adapter = try Command.temporaryFolder() + "/a"
    try FileManager.default.copyItem(
      atPath: Fixtures.model("llama-grouped") + "/adapter", toPath: adapter)
    let path = adapter + "/adapter_config.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try Fixtures.write(
      text.replacing(#""llama-grouped""#, with: #""\#(escaped)""#)
        .replacing(#""q_proj""#, with: #""q_proj", "\#(escaped)""#), to: path)
    for flags in [[], ["--json"]] {
      _ = try expectClean(["inspect", adapter] + flags)
      _ = try expectClean(
        ["score", "--model", Fixtures.model("llama-grouped"), "--adapter", adapter, "--ids", ids]
          + flags)
    }
    _ = try expectClean(["score", "--model", "/no\(Self.bell)", "--ids", ids])
    _ = try expectClean(["inspect", "/no\(Self.bell)"])
  }

  /// A model's own text goes to a pipe as it is.
  @Test func generatedTextIsNotTouchedInAPipe() throws {
    let model = try Fixtures.modelWithTokenizer()
    let plain = try Command.start(
      ["generate", "--model", model, "--prompt", "ab", "--max-tokens", "8"]
    ).outcome()
    let json = try Command.start(
      ["generate", "--model", model, "--prompt", "ab", "--max-tokens", "8", "--json"]
    ).outcome().json()
    #expect(plain.output == (json["text"]?.stringValue ?? "") + "\n")
  }
}
