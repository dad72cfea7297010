import Foundation
import LoRAFormats
import LoRAJSON
import LoRATensor
import Testing

@Suite struct ConvertTests {
  private static let adapter = Fixtures.model("llama-grouped") + "/adapter"

  private static func nll(_ adapter: String, ids: String) throws -> Double {
    try Command.succeed(
      "score", "--model", Fixtures.model("llama-grouped"), "--adapter", adapter, "--ids", ids,
      "--json"
    ).json()["nll"]?.doubleValue ?? .nan
  }

  /// Adapters that were made on a model's body alone are used and written by the model's names.
  @Test func namesOfABodyBecomeTheModels() throws {
    let (adapter, ids) = (Fixtures.path("bodies/llama"), try Fixtures.sequences())
    let expected = try Self.nll(adapter, ids: ids)
    let model = Fixtures.model("llama-grouped")
    let bare = try Command.succeed("score", "--model", model, "--ids", ids, "--json").json()
    #expect(abs((bare["nll"]?.doubleValue ?? 0) - expected) > 1e-3)
    let output = try Command.temporaryFolder() + "/peft"
    let converted = try Command.succeed(
      "convert", "--input", adapter, "--base", model, "--to", "peft", "--output", output)
    #expect(converted.errors.contains("names of layers lack 'model.'"))
    #expect(
      try PEFTAdapterFile(path: output).description.layers.allSatisfy {
        $0.path.hasPrefix("model.layers.")
      })
    #expect(try abs(Self.nll(output, ids: ids) - expected) < 1e-12)
    let scored = try Command.succeed(
      "score", "--model", model, "--adapter", adapter, "--ids", ids)
    #expect(scored.errors.contains("names of layers lack 'model.'"))
    let trained = output + "-trained"
    _ = try Command.succeed(
      "train", "--model", model, "--init-adapter", adapter, "--data", ids, "--output", trained,
      "--steps", "1", "--learning-rate", "1e-12")
    #expect(try abs(Self.nll(trained, ids: ids) - expected) < 1e-6)
  }

  /// PEFT's factors of `gate_up_proj` are one, GGUF files have two tensors.
  @Test(arguments: ["mixtral-v4-bfloat16", "qwen3-moe-v4"])
  func gateAndUpOfExpertsBecomeTwoTensors(name: String) throws {
    let output = try Command.temporaryFolder() + "/adapter.gguf"
    let model = Fixtures.model(name)
    let adapter = model + "/adapter"
    let result = try Command.succeed(
      "convert", "--input", adapter, "--to", "gguf", "--base", model, "--output", output, "--json"
    ).json()
    let layers = result["layers"]?.intValue ?? 0
    #expect(layers > 0 && result["identical_layers"]?.intValue == layers)
    let nlls = try [adapter, output].map { path in
      try Command.succeed(
        "score", "--model", model, "--adapter", path, "--ids",
        model + "/expected.safetensors#ids", "--json"
      ).json()["nll"]?.doubleValue ?? .nan
    }
    // Products of both at once are summed in another order.
    #expect(abs(nlls[0] - nlls[1]) < 1e-6)
  }

  @Test func everyTextFormatComputesTheSame() throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    let model = Fixtures.model("llama-grouped")
    let expected = try Self.nll(Self.adapter, ids: ids)
    let bare = try Command.succeed("score", "--model", model, "--ids", ids, "--json").json()
    #expect(abs((bare["nll"]?.doubleValue ?? 0) - expected) > 1e-3)
    var input = Self.adapter
    // Around: each from the one before.
    for (format, name) in [
      ("mlx", "mlx"), ("peft", "peft"), ("gguf", "adapter.gguf"), ("lycoris", "l.safetensors"),
      ("mlx", "mlx-2"), ("gguf", "adapter-2.gguf"), ("peft", "peft-2"),
    ] {
      let output = folder + "/" + name
      let result = try Command.succeed(
        "convert", "--input", input, "--to", format, "--output", output, "--base", model, "--json"
      ).json()
      #expect(result["to"]?.stringValue == format)
      let layers = result["layers"]?.intValue ?? 0
      #expect(layers > 0 && result["identical_layers"]?.intValue == layers, "\(format)")
      #expect(result["greatest_difference"]?.doubleValue == 0)
      #expect(result["notes"]?.arrayValue?.isEmpty == true)
      #expect(try abs(Self.nll(output, ids: ids) - expected) < 1e-12, "\(format)")
      input = output
    }
    // The factors of the last are those of the first, bit for bit.
    let first = try PEFTAdapterFile(path: Self.adapter).description
    let last = try PEFTAdapterFile(path: input).description
    #expect(first.layers.count == last.layers.count)
    for (a, b) in zip(first.layers, last.layers) {
      #expect(a.path == b.path && a.lowRank?.scale == b.lowRank?.scale)
      #expect(a.lowRank?.a == b.lowRank?.a && a.lowRank?.b == b.lowRank?.b)
    }
    // The oldest format lacks its alpha.
    let loralib = folder + "/loralib.safetensors"
    let text = try Command.succeed(
      "convert", "--input", Self.adapter, "--to", "loralib", "--output", loralib
    ).output
    let alpha = try #require(first.layers.first?.lowRank?.alpha)
    #expect(text.contains("read it with \(alpha)"))
    let refused = try Command.run(
      "convert", "--input", loralib, "--to", "peft", "--output", folder + "/p3")
    #expect(refused.status == 1 && refused.errors.contains("--alpha"))
    #expect(!FileManager.default.fileExists(atPath: folder + "/p3"))
    _ = try Command.succeed(
      "convert", "--input", loralib, "--to", "peft", "--alpha", "\(alpha)", "--output",
      folder + "/p3")
    #expect(try abs(Self.nll(folder + "/p3", ids: ids) - expected) < 1e-12)
  }

  @Test func writesAModelfile() throws {
    let folder = try Command.temporaryFolder()
    let model = Fixtures.model("llama-grouped")
    let arguments = [
      "convert", "--input", Self.adapter, "--to", "gguf", "--base", model, "--ollama-modelfile",
      "--output", folder + "/support.gguf",
    ]
    #expect(try Command.start(arguments).outcome().status == 0)
    let text = try String(contentsOfFile: folder + "/Modelfile", encoding: .utf8)
    #expect(text.contains("FROM \(model)") && text.contains("ADAPTER ./support.gguf"))
    let again = try Command.start(arguments).outcome()
    #expect(again.status == 1 && again.errors.contains("it exists"))
    #expect(try Command.start(arguments + ["--force"]).outcome().status == 0)
    try Fixtures.write("a note", to: folder + "/Modelfile")
    let note = try Command.start(arguments + ["--force"]).outcome()
    #expect(note.status == 1 && note.errors.contains("Modelfile: it exists and is no Modelfile"))
    // The flag takes no path: the adapter's decides.
    #expect(note.errors.contains("give another --output"), "\(note.errors)")
    let usage = try Command.run(
      "convert", "--input", Self.adapter, "--to", "mlx", "--ollama-modelfile", "--output", "x")
    #expect(usage.status == 64)
    let unknown = try Command.run(
      "convert", "--input", Self.adapter, "--to", "onnx", "--output", "x")
    #expect(unknown.status == 64 && unknown.errors.contains("lycoris"))
  }

  @Test func imageAdaptersGoAround() throws {
    let folder = try Command.temporaryFolder()
    let source = Fixtures.path("dialects/kohya-sdxl.safetensors")
    var input = source
    for (format, name) in [
      ("diffusers", "d.safetensors"), ("peft", "p"), ("kohya", "k.safetensors"),
    ] {
      let result = try Command.succeed(
        "convert", "--input", input, "--to", format, "--output", folder + "/" + name, "--json"
      ).json()
      #expect(result["identical_layers"] == result["layers"])
      input = folder + "/" + name
    }
    let refused = try Command.run(
      "convert", "--input", source, "--to", "mlx", "--output", folder + "/mlx")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("layer '") && refused.errors.contains("MLX files cannot hold"))
    #expect(!FileManager.default.fileExists(atPath: folder + "/mlx"))
    let same = try Command.run("convert", "--input", source, "--to", "kohya", "--output", source)
    #expect(same.status == 1 && same.errors.contains("the output is the input"))
  }

  @Test func refusesWhatDoesNotFitTheBase() throws {
    let folder = try Command.temporaryFolder()
    let model = Fixtures.model("llama-grouped")
    var file = try AdapterFile(path: Self.adapter)
    // The same numbers, read the wrong way round: [in, r] and [r, out] of a square layer fit
    // each other.
    file.description.layers = [
      .init(
        path: "model.layers.0.self_attn.q_proj", a: .zeros([32, 4]), b: .zeros([4, 32]),
        alpha: 1, scale: 1)
    ]
    try LoralibAdapterFile(description: file.description).write(
      to: folder + "/transposed.safetensors")
    func convert(_ path: String) throws -> Command.Outcome {
      try Command.run(
        "convert", "--input", path, "--alpha", "1", "--to", "mlx", "--base", model, "--output",
        folder + "/out")
    }
    let transposed = try convert(folder + "/transposed.safetensors")
    #expect(transposed.status == 1 && transposed.errors.contains("lie transposed"))
    let shown = try Command.succeed(
      "inspect", folder + "/transposed.safetensors", "--alpha", "1")
    #expect(shown.output.contains("may lie transposed"))
    file.description.layers[0].path = "wrapped.model.layers.0.self_attn.q_proj"
    try LoralibAdapterFile(description: file.description).write(to: folder + "/prefix.safetensors")
    let prefix = try convert(folder + "/prefix.safetensors")
    #expect(
      prefix.status == 1 && prefix.errors.contains("it has 'model.layers.0.self_attn.q_proj'"))
    #expect(prefix.errors.contains("prefix"))
    #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
  }
}
