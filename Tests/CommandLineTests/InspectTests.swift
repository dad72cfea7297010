import Foundation
import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRATensor
import Testing

@Suite struct InspectTests {
  @Test func showsAnAdapter() throws {
    let path = Fixtures.model("llama-grouped") + "/adapter"
    let result = try Command.succeed("inspect", path, "--json").json()
    let adapter = try PEFTAdapterFile(path: path)
    #expect(result["kind"]?.stringValue == "adapter")
    #expect(result["rank"]?.intValue == adapter.configuration.rank)
    let layers = try #require(result["layers"]?.arrayValue)
    #expect(layers.count == adapter.description.layers.count)
    for (shown, layer) in zip(layers, adapter.description.layers) {
      #expect(shown["path"]?.stringValue == layer.path)
      let change = try #require(layer.lowRank)
      #expect(shown["shape"]?[0]?.intValue == change.outputSize)
      #expect(shown["shape"]?[1]?.intValue == change.inputSize)
      #expect(shown["scale"]?.doubleValue == change.scale)
      #expect(shown["zero_effect"]?.boolValue == false)
      let norm = change.b.matrixProduct(with: change.a).sumOfSquares().squareRoot() * change.scale
      #expect(abs((shown["norm"]?.doubleValue ?? 0) - norm) < 1e-5 * norm)
    }
    let text = try Command.succeed("inspect", path).output
    #expect(text.contains("model.layers.1.mlp.down_proj"))
  }

  @Test func comparesWithTheBase() throws {
    let model = Fixtures.model("llama-grouped")
    let result = try Command.succeed(
      "inspect", model + "/adapter", "--base", model, "--json"
    ).json()
    let directory = try ModelDirectory(path: model)
    for layer in try #require(result["layers"]?.arrayValue) {
      let path = try #require(layer["path"]?.stringValue)
      let weight = try directory.tensor(named: path + ".weight").converted(to: .float32)
      let whole = weight.sumOfSquares().squareRoot()
      let norm = try #require(layer["norm"]?.doubleValue)
      let relative = try #require(layer["relative_norm"]?.doubleValue)
      #expect(relative > 0 && abs(relative - norm / whole) < 1e-12)
    }
    let text = try Command.succeed("inspect", model + "/adapter", "--base", model).output
    #expect(text.contains("relative"))
    let wrong = try Command.run(
      "inspect", Fixtures.path("dialects/kohya-sd15.safetensors"), "--base", model)
    #expect(wrong.status == 1 && wrong.errors.contains("no such layer"))
  }

  @Test func showsEveryFormat() throws {
    for (name, format, method) in [
      ("kohya-sdxl", "kohya", "lora"), ("diffusers-old", "diffusers", "lora"),
      ("lycoris", "lycoris", "dora+loha+lokr+lora"),
    ] {
      let path = Fixtures.path("dialects/\(name).safetensors")
      let result = try Command.succeed("inspect", path, "--json").json()
      #expect(result["format"]?.stringValue == format)
      #expect(result["method"]?.stringValue == method)
      let layers = try #require(result["layers"]?.arrayValue)
      let file = try AdapterFile(path: path)
      #expect(layers.count == file.description.layers.count)
      #expect(layers.allSatisfy { ($0["norm"]?.doubleValue ?? 0) > 0 })
      let text = try Command.succeed("inspect", path).output
      #expect(text.contains(try #require(file.description.layers.last).path))
      if format == "kohya" { #expect(text.contains("made with: networks.lora")) }
    }
  }

  @Test func namesLayersWithoutEffect() throws {
    let adapter = try PEFTAdapterFile(path: Fixtures.model("llama-grouped") + "/adapter")
    var changed = adapter
    var change = try #require(changed.description.layers[0].lowRank)
    change.b = .zeros(change.b.shape)
    changed.description.layers[0].change = change
    let folder = try Command.temporaryFolder()
    try changed.write(to: folder)
    let result = try Command.succeed("inspect", folder, "--json").json()
    #expect(result["zero_effect_layers"]?.intValue == 1)
    #expect(result["layers"]?[0]?["zero_effect"]?.boolValue == true)
    #expect(result["layers"]?[0]?["norm"]?.doubleValue == 0)
    #expect(try Command.succeed("inspect", folder).output.contains("no effect"))
  }

  @Test func showsAModel() throws {
    let model = try Fixtures.modelWithTokenizer()
    let result = try Command.succeed("inspect", model, "--json").json()
    #expect(result["kind"]?.stringValue == "model")
    #expect(result["architecture"]?.stringValue == "llama")
    #expect(result["configuration"]?["hidden_size"]?.intValue == 32)
    #expect(result["tokenizer"]?["bos"]?.intValue == 1)
    #expect(result["tokenizer"]?["vocabulary"]?.intValue == 45)
    let directory = try ModelDirectory(path: model)
    #expect(result["tensors"]?.arrayValue?.count == directory.tensorNames.count)
    #expect(try Command.succeed("inspect", model).output.contains("begins with 1 '<s>'"))
  }

  @Test(arguments: ["models/llama-grouped", "encoders/bert-classifier", "models/gpt2-tied"])
  func showsWhatTrainingCosts(name: String) throws {
    let path = Fixtures.path(name)
    let training = try #require(
      try Command.succeed("inspect", path, "--json").json()["training"])
    let model = try PretrainedModel(path: path)
    try model.model.inject(LoRA(rank: 8), into: .allLinear)
    let parameters = model.model.adapterParameters(named: "default")
      .reduce(0) { $0 + $1.parameter.shape.elementCount }
    #expect(training["parameters"]?.intValue == parameters)
    let memory = try #require(training["memory"]?.arrayValue)
    #expect(memory.map { $0["length"]?.intValue } == [model.configuration.maximumPositions])
    let bytes = try #require(memory[0]["bytes"]?.intValue)
    let predicted = TrainingWorkload(
      model.model, training: .adapter("default"),
      batchSize: 1, length: model.configuration.maximumPositions)
    #expect(abs(bytes - predicted.memory.total) < predicted.memory.total / 50)
    #expect(
      try Command.succeed("inspect", path).output.contains(
        "training a LoRA of rank 8 on all linear layers: "))
  }

  @Test func showsAClassifiersLabels() throws {
    let model = Fixtures.path("encoders/bert-classifier")
    let configuration = try #require(
      try Command.succeed("inspect", model, "--json").json()["configuration"])
    #expect(
      configuration["labels"]?.arrayValue?.map(\.stringValue) == ["no", "perhaps", "yes"])
    #expect(
      try Command.succeed("inspect", model).output.contains("head of 3 labels: no, perhaps, yes"))
    let language = Fixtures.model("llama-grouped")
    let none = try Command.succeed("inspect", language, "--json").json()["configuration"]
    #expect(none?["labels"] == .null)
    #expect(try Command.succeed("inspect", language).output.contains("head of its own"))
    let encoder = Fixtures.path("encoders/bert-body")
    #expect(try Command.succeed("inspect", encoder).output.contains("no head"))
  }

  /// A tokenizer of another kind is no reason not to show the model.
  @Test func showsAModelWithAnUnsupportedTokenizer() throws {
    let model = try Fixtures.copy("llama-grouped")
    try Fixtures.write(
      #"{"model": {"type": "Syllable", "vocab": {"[UNK]": 0}}}"#, to: model + "/tokenizer.json")
    let result = try Command.succeed("inspect", model, "--json").json()
    #expect(
      result["tokenizer"]?["unsupported"]?.stringValue?.contains("Syllable") == true)
    #expect(result["tensors"]?.arrayValue?.isEmpty == false)
    #expect(try Command.succeed("inspect", model).output.contains("tokenizer: not supported"))
  }

  @Test func showsAnUnknownArchitecture() throws {
    let model = try Fixtures.copy("llama-grouped")
    let path = model + "/config.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try Fixtures.write(text.replacing("\"llama\"", with: "\"mamba2\""), to: path)
    let result = try Command.succeed("inspect", model, "--json").json()
    #expect(result["architecture"]?.stringValue == "mamba2")
    #expect(result["unsupported"]?.stringValue?.contains("not supported") == true)
  }

  @Test func showsAFile() throws {
    let path = Fixtures.model("llama-grouped") + "/expected.safetensors"
    let result = try Command.succeed("inspect", path, "--json").json()
    #expect(result["kind"]?.stringValue == "safetensors")
    let tensors = result["tensors"]?.arrayValue ?? []
    #expect(tensors.contains { $0["name"]?.stringValue == "ids" && $0["dtype"] == "I64" })
    #expect(try Command.run("inspect", Fixtures.path("models")).status == 1)
    #expect(try Command.run("inspect", "/nowhere").status == 1)
  }
}

@Suite struct BenchTests {
  @Test func measuresTraining() throws {
    for method in ["lora", "full"] {
      let result = try Command.succeed(
        "bench", "train", "--model", Fixtures.model("llama-grouped"), "--sequence-length", "16",
        "--rank", "4", "--steps", "2", "--method", method, "--json"
      ).json()
      for key in ["tokens_per_second", "step_seconds", "peak_rss_bytes", "threads"] {
        #expect((result[key]?.doubleValue ?? 0) > 0, "\(key)")
      }
      #expect((result["trainable_parameters"]?.intValue ?? 0) > 0)
      #expect(result["loss"]?.arrayValue?.count == 2)
      #expect(result["kernels"]?.stringValue?.contains("OpenBLAS") == true)
    }
  }

  @Test func measuresGeneration() throws {
    let result = try Command.succeed(
      "bench", "generate", "--model", Fixtures.model("llama-grouped"), "--prompt-tokens", "20",
      "--max-tokens", "6", "--json"
    ).json()
    for key in ["prefill_tokens_per_second", "decode_tokens_per_second", "peak_rss_bytes"] {
      #expect((result[key]?.doubleValue ?? 0) > 0, "\(key)")
    }
    let tooLong = try Command.run(
      "bench", "generate", "--model", Fixtures.model("llama-grouped"), "--json")
    #expect(tooLong.status == 1)
    #expect(tooLong.output.isEmpty)
  }
}

/// Data files, as `lora inspect` sees them.
@Suite struct InspectDataTests {
  private func inspect(_ name: String, _ text: String) throws -> JSONValue {
    let path = try Fixtures.file(name, text)
    let shown = try Command.succeed("inspect", path)
    #expect(!shown.output.isEmpty)
    return try Command.succeed("inspect", path, "--json").json()
  }

  @Test func examplesAndLengthsAreCounted() throws {
    let rows = try inspect("rows", "[[1, 5, 9], [2, 41]]")
    #expect(rows["rows"]?.intValue == 2 && rows["greatest_id"]?.intValue == 41)
    #expect(rows["lengths"]?["least"]?.intValue == 2 && rows["lengths"]?["mean"] == .number(2.5))

    let lines = try inspect(
      "d.jsonl", "{\"text\": \"abc\"}\n\n{\"text\": \"é\", \"more\": [1, 2]}\n")
    #expect(lines["rows"]?.intValue == 2)
    #expect(lines["fields"]?[0]?["lengths"]?["least"]?.intValue == 1)
    #expect(lines["fields"]?[1]?["rows"]?.intValue == 1)

    let table = try inspect("t.csv", "prompt,completion\r\n\"a, \"\"b\"\"\nc\",x\r\n\r\nd,yy\r\n")
    #expect(table["rows"]?.intValue == 2)
    #expect(table["fields"]?[0]?["lengths"]?["greatest"]?.intValue == 8)
    #expect(table["fields"]?[1]?["name"]?.stringValue == "completion")

    let text = try inspect("t.txt", "One line\nand another\n")
    #expect(text["rows"]?.intValue == 2 && text["characters"]?.intValue == 21)
  }

  /// The library decides what a file is and which examples are wrong, here as in training.
  @Test func itReadsAsTrainingDoes() throws {
    for (name, content, kind, rows) in [
      ("l.json", "[{\"text\":\"a\"},\n{\"text\":\"b\"}]", "objects, in a list", 2),
      ("l.jsonl", "[1,2]\n[3,4,5]\n", "token sequences", 2),
      ("c.data", "id;text\n1;a\n", "a table", 1),
      ("d.jsonl.bak", "[1,2]\n[3,4]\n", "token sequences", 2),
      ("t.md", "[x] y\r\nz\r\n", "text", 2),
      ("e.txt", "{\"text\":\"a\"}\n", "text", 1),
      ("q.csv", "\u{FEFF}question,answer\na,b\n", "a table", 1),
      ("config", "{\n\"a\": 1,\n\"b\": 2}\n", "a JSON object", 1),
    ] {
      let found = try inspect(name, content)
      #expect(found["kind"]?.stringValue == kind, "\(name): \(found)")
      #expect(found["rows"]?.intValue == rows, "\(name): \(found)")
    }
    let named = try Command.succeed("inspect", try Fixtures.file("c.data", "id;text\n1;a\n"))
    #expect(named.output.contains("note: the name says no format; it is read as a table"))
    for (name, content, words) in [
      ("c.csv", "text,id\na,1\nb\n", "line 3: it has 1 field"),
      ("l.jsonl", "[1,-2]\n", "line 1"),
      ("m.jsonl", "{\"text\":\"a\"}\n[1]\n", "1 object and 1 sequence of"),
      ("n.jsonl", "3\n", "found an integer"), ("b.txt", " \n", "it holds no example"),
    ] {
      let outcome = try Command.run("inspect", try Fixtures.file(name, content))
      #expect(outcome.status == 1 && outcome.errors.contains(words), "\(name): \(outcome.errors)")
    }
  }

  @Test func brokenDataNameTheirLine() throws {
    let path = try Fixtures.file("d.jsonl", "{\"text\": \"a\"}\n\n{\"text\": }\n")
    let outcome = try Command.run("inspect", path)
    #expect(outcome.status == 1 && outcome.errors.contains("line 3: it is not JSON"))
  }

  @Test func layersOfAnAdapterAreGrouped() throws {
    let shown = try Command.succeed("inspect", Fixtures.model("llama-grouped") + "/adapter")
    #expect(shown.output.contains("in 2 blocks (0 to 1): LoRA of rank 4, scale 2"))
  }
}
