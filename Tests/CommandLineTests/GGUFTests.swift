import Foundation
import LoRAFiles
import LoRAJSON
import Testing

@testable import lora

/// GGUF files on the command line: scored, merged into, looked at.
@Suite struct GGUFCommandTests {
  private static func path(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/gguf/models/\(name)").path
  }

  private static let name = "llama-quantized"

  private func nll(_ model: String, _ more: String...) throws -> Double {
    let ids = Self.path(Self.name + ".safetensors#ids")
    let result = try Command.start(["score", "--model", model, "--ids", ids, "--json"] + more)
      .outcome().json()
    return try #require(result["nll"]?.doubleValue)
  }

  private func merge(_ output: String, _ more: String...) throws -> JSONValue {
    try Command.start(
      [
        "merge", "--model", Self.path(Self.name + ".gguf"), "--adapter",
        Self.path(Self.name + "-adapter"), "--output", output, "--json",
      ] + more
    ).outcome().json()
  }

  @Test func mergesIntoAFile() throws {
    let base = Self.path(Self.name + ".gguf")
    let adapted = try nll(base, "--adapter", Self.path(Self.name + "-adapter"))
    #expect(try abs(adapted - nll(base)) > 0.01)
    let folder = try Command.temporaryFolder()
    let result = try merge(folder + "/float.gguf")
    #expect(result["requantized"] == nil)
    #expect(try abs(nll(folder + "/float.gguf") - adapted) < 1e-4)
    let directory = try Command.start(
      [
        "merge", "--model", base, "--adapter", Self.path(Self.name + "-adapter"), "--output",
        folder + "/directory",
      ]
    ).outcome()
    #expect(directory.status == 0 && directory.errors.isEmpty)
    #expect(try abs(nll(folder + "/directory") - adapted) < 1e-4)
    // The tokenizer is the one within the file.
    let text = ["--text", folder + "/text.txt"]
    try Data("hello, world!  and the <|user|> thing, caf\u{e9}\n".utf8).write(
      to: URL(filePath: folder + "/text.txt"))
    let scored = try ["\(folder)/directory", "\(folder)/float.gguf"].map { model in
      try Command.start(["score", "--model", model, "--json"] + text).outcome().json()["tokens"]
    }
    #expect(scored[0] != nil && scored[0] == scored[1])

    let (before, after) = (
      try GGUFFile(path: base), try GGUFFile(path: folder + "/float.gguf")
    )
    #expect(after.keyValues == before.keyValues)
    #expect(after.names == before.names)
    let touched = ["attn_q", "attn_k", "attn_output", "ffn_down"]
    for name in before.names {
      if touched.contains(where: { name.hasSuffix("\($0).weight") }) {
        #expect(after.entry(named: name)?.type == .f32)
      } else {
        #expect(try after.tensor(named: name) == before.tensor(named: name))
      }
    }
  }

  @Test func requantizesAndSaysWhatItLost() throws {
    let base = Self.path(Self.name + ".gguf")
    let adapted = try nll(base, "--adapter", Self.path(Self.name + "-adapter"))
    let file = try Command.temporaryFolder() + "/small.gguf"
    let result = try merge(file, "--requantize")
    let layers = try #require(result["requantized"]?.arrayValue)
    #expect(layers.count == 8)
    for layer in layers {
      let (from, to) = (layer["from"]?.stringValue, layer["to"]?.stringValue)
      let error = try #require(layer["relative_error"]?.doubleValue)
      #expect(to == (from == "q4_0" ? "q4_0" : "q8_0"))
      #expect(to == "q4_0" ? error > 0.03 && error < 0.15 : error > 1e-3 && error < 0.01)
      #expect((layer["largest_error"]?.doubleValue ?? 0) > 0)
    }
    let worst = layers.compactMap { $0["relative_error"]?.doubleValue }.max()
    #expect(result["largest_relative_error"]?.doubleValue == worst)
    let after = try GGUFFile(path: file)
    #expect(after.entry(named: "blk.0.attn_q.weight")?.type == .q8_0)
    #expect(after.entry(named: "blk.0.ffn_down.weight")?.type == .q4_0)
    #expect(after.entry(named: "blk.0.ffn_up.weight")?.type == .q5_0)
    // Near what was merged, and not the base.
    let merged = try nll(file)
    #expect(abs(merged - adapted) < 0.1 && abs(merged - adapted) > 1e-6)
  }

  @Test func refusesWhatCannotBeWritten() throws {
    let folder = try Command.temporaryFolder()
    let adapter = Self.path(Self.name + "-adapter")
    let base = ["--model", Self.path(Self.name + ".gguf"), "--adapter", adapter]
    let outcome = try Command.start(
      ["merge"] + base + ["--output", folder + "/x", "--requantize"]
    ).outcome()
    #expect(outcome.status != 0)
    #expect(outcome.errors.contains(".gguf"))
    let typed = try Command.start(
      ["merge"] + base + ["--output", folder + "/x.gguf", "--dtype", "q8_0"]
    ).outcome()
    #expect(typed.status != 0)
    #expect(typed.errors.contains("GGUF --model"))
    #expect(!FileManager.default.fileExists(atPath: folder + "/x.gguf"))
  }

  // MARK: Of a folder

  @Test func convertsAFolder() throws {
    let folder = try Command.temporaryFolder()
    let model = Fixtures.model("qwen2-untied")
    let file = folder + "/model.gguf"
    let result = try Command.succeed(
      "convert", "--input", model, "--to", "gguf", "--output", file, "--json"
    ).json()
    #expect(result["to"]?.stringValue == "gguf" && result["dtype"]?.stringValue == "float32")
    // The fixture has no tokenizer, which the file then lacks too.
    #expect(result["warnings"]?.arrayValue?.count == 1)
    let ids = model + "/expected.safetensors#ids"
    let scores = try [model, file].map { path in
      try Command.succeed("score", "--model", path, "--ids", ids, "--json").json()["nll"]
    }
    #expect(scores[0] != nil && scores[0] == scores[1])
    let small = folder + "/small.gguf"
    _ = try Command.succeed(
      "convert", "--input", model, "--to", "gguf", "--dtype", "q8_0", "--output", small)
    #expect(try GGUFFile(path: small).entry(named: "token_embd.weight")?.type == .q8_0)
    #expect(try GGUFFile(path: small).entry(named: "output_norm.weight")?.type == .f32)
    // Nothing is replaced unasked.
    let again = try Command.start(
      ["convert", "--input", model, "--to", "gguf", "--output", small]
    ).outcome()
    #expect(again.status != 0 && again.errors.contains("--force"))
  }

  @Test func mergesAFolderIntoAFile() throws {
    let folder = try Command.temporaryFolder()
    let model = Fixtures.model("llama-grouped")
    let merge = ["merge", "--model", model, "--adapter", model + "/adapter", "--output"]
    for output in ["merged", "merged.gguf"] {
      #expect(try Command.start(merge + [folder + "/" + output]).outcome().status == 0)
    }
    _ = try Command.succeed(
      "convert", "--input", folder + "/merged", "--to", "gguf", "--output",
      folder + "/converted.gguf")
    let files = try ["merged.gguf", "converted.gguf"].map { try GGUFFile(path: "\(folder)/\($0)") }
    #expect(files[0].names == files[1].names)
    for name in files[0].names {
      #expect(try files[0].tensor(named: name) == files[1].tensor(named: name), "\(name)")
    }
  }

  @Test func refusesModelsThatFilesCannotHold() throws {
    let folder = try Command.temporaryFolder()
    for (model, word) in [
      ("opt-untied", "'opt'"), ("gptj-tied", "'gptj'"), ("gemma2-windows", "attention.scale"),
    ] {
      let outcome = try Command.start(
        [
          "convert", "--input", Fixtures.model(model), "--to", "gguf", "--output",
          folder + "/x.gguf",
        ]
      ).outcome()
      #expect(outcome.status == 1 && outcome.errors.contains(word), "\(model): \(outcome.errors)")
    }
    let other = try Command.start(
      ["convert", "--input", Fixtures.model("llama-grouped"), "--to", "peft", "--output"]
        + [folder + "/x"]
    ).outcome()
    #expect(other.status != 0 && other.errors.contains("--to gguf"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
  }

  @Test func inspects() throws {
    let result = try Command.succeed("inspect", Self.path(Self.name + ".gguf"), "--json").json()
    #expect(result["kind"]?.stringValue == "GGUF model")
    #expect(result["architecture"]?.stringValue == "llama")
    #expect(result["key_values"]?["llama.block_count"]?.intValue == 2)
    #expect((result["training"]?["parameters"]?.intValue ?? 0) > 0)
    #expect(result["unsupported"] == nil)
    #expect(result["key_values"]?["tokenizer.ggml.tokens"]?["count"]?.intValue == 320)
    let tensors = try #require(result["tensors"]?.arrayValue)
    #expect(tensors.count == 21)
    let query = tensors.first { $0["name"]?.stringValue == "blk.0.attn_q.weight" }
    #expect(query?["type"]?.stringValue == "Q4_K")
    #expect(query?["shape"]?.arrayValue?.compactMap(\.intValue) == [64, 256])
    let lines = try Command.succeed("inspect", Self.path(Self.name + ".gguf")).output
    #expect(lines.contains("GGUF model, version 3, llama: 21 tensors"))
    #expect(lines.contains("tokenizer.ggml.scores: [320 values]"))
    #expect(lines.contains("blk.1.attn_v.weight"))
  }
}
