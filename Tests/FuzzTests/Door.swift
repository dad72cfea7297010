import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRAText

/// A way for files into the library, and whole files to damage.
struct Door: Sendable {
  /// What the door is called.
  let name: String
  /// Folders or files of Tests/Fixtures.
  let sources: [String]
  /// Whether a file is damaged; others stay as they are.
  var damages: @Sendable (_ name: String) -> Bool = { _ in true }
  /// Reads what lies at the path, and uses what it got.
  let open: @Sendable (_ path: String) throws -> Void
}

extension Door {
  static let safetensors = Door(
    name: "safetensors",
    sources: ["formats/types.safetensors", "formats/float8.safetensors", "ops/ops.safetensors"]
  ) { path in
    for access in [SafetensorsFile.Access.mapped, .copied] {
      let file = try SafetensorsFile(path: path, access: access)
      for name in file.names { _ = try? file.tensor(named: name).firstNonFiniteIndex() }
    }
  }

  static let gguf = Door(name: "gguf", sources: files("gguf", suffix: ".gguf")) { path in
    let file = try GGUFFile(path: path)
    for entry in file.entries { _ = try? file.tensor(named: entry.name).firstNonFiniteIndex() }
  }

  static let models = Door(
    name: "models", sources: folders("models"), damages: { !$0.hasPrefix("expected") }
  ) { path in
    let model = try PretrainedModel(path: path).languageModel
    use(model)
  }

  static let adapters = Door(
    name: "adapters", sources: folders("peft") + ["formats/adapter"]
  ) { path in
    let file = try PEFTAdapterFile(path: path)
    _ = file.configuration.encoded()
  }

  static let attached = Door(
    name: "attached", sources: ["models/llama-grouped/adapter"]
  ) { path in
    let model = try PretrainedModel(path: fixture("models/llama-grouped")).languageModel
    try model.loadAdapter(from: path, allowsNoEffect: true)
    use(model)
  }

  static let quantized = Door(
    name: "quantized", sources: files("gguf/models", suffix: ".gguf")
  ) { path in
    let pretrained = try PretrainedModel(path: path)
    let tokenizer = try pretrained.tokenizer()
    _ = tokenizer.decode(tokenizer.encode("Once upon a time, 12 été\n\t🙂 <s></s>"))
    use(try pretrained.languageModel)
  }

  static let ggufAdapters = Door(name: "ggufAdapters", sources: ["gguf/adapter.gguf"]) { path in
    let base = GGUFBase(
      architecture: "llama", headCount: 4, keyValueHeadCount: 2, headSize: 6, hasOutputHead: true)
    let file = try GGUFAdapterFile(path: path, base: base)
    _ = file.description.hasNoEffect
  }

  static let dialects = Door(
    name: "dialects",
    sources: files("dialects", suffix: "sd15.safetensors")
      + files("dialects", suffix: "sdxl.safetensors")
      + ["dialects/lycoris.safetensors", "dialects/diffusers-old.safetensors"]
  ) { path in
    let file = try AdapterFile(path: path)
    _ = file.description.hasNoEffect
  }

  static let configurations = Door(
    name: "configurations", sources: files("models", named: "config.json")
  ) { path in
    let bytes = Array(try Data(contentsOf: URL(filePath: path)))
    let configuration = try ModelConfiguration(parsing: bytes)
    _ = configuration.encoded()
  }

  static let recipes = Door(name: "recipes", sources: files("peft", named: "adapter_config.json")) {
    path in
    let recipe = try PEFTAdapterConfiguration(path: path)
    _ = recipe.matches(path: "model.layers.0.self_attn.q_proj")
    _ = recipe.scale(forPath: "model.layers.0.self_attn.q_proj")
    _ = recipe.encoded()
  }

  static let json = Door(
    name: "json", sources: ["formats/configurations.json", "formats/peft.json"]
  ) { path in
    let value = try JSONValue(parsing: Array(try Data(contentsOf: URL(filePath: path))))
    _ = try JSONValue(parsing: value.encodedBytes(pretty: true))
  }

  static let tokenizers = Door(
    name: "tokenizers",
    sources: [
      "text/gpt2.json", "text/llama-prepend.json", "text/llama3.json", "text/gpt2-files",
      "text/bert.json", "text/xlm-roberta.json", "text/unigram-bytes.json", "text/words.json",
      "text/openai.json", "text/bert-files",
    ],
    damages: { !$0.contains("expected") }
  ) { path in
    let tokenizer = try TokenizerPipeline(contentsOf: path)
    let ids = tokenizer.encode("Once upon a time, 12 été\n\t🙂 <s></s>")
    _ = tokenizer.decode(ids)
    let pair = tokenizer.encode("ｅ\u{301} 日本\r\n", pairedWith: "it's \u{7} [SEP]")
    _ = tokenizer.decode(pair.ids, skipSpecialTokens: false)
  }

  static let rows = Door(name: "rows", sources: ["training/full-tied.safetensors"]) { path in
    _ = try TokenSequences("\(path)#ids")
  }

  /// Passes a few tokens through a model that was opened in spite of the damage.
  private static func use(_ model: any PretrainedLanguageModel) {
    guard model.vocabularySize > 0, model.maximumPositions > 2 else { return }
    let tokens = Tensor([0, model.vocabularySize - 1], shape: [1, 2])
    _ = withoutGradients { model(tokens).value.firstNonFiniteIndex() }
  }

  /// The file in which the process that opens it says how far it got.
  var log: String {
    FileManager.default.temporaryDirectory.appending(path: "lora-fuzz-\(name).log").path
  }

  static func fixture(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "Fixtures/\(name)").path
  }

  /// The folders in a folder of fixtures.
  static func folders(_ name: String) -> [String] {
    let manager = FileManager.default
    let names = (try? manager.contentsOfDirectory(atPath: fixture(name))) ?? []
    return names.sorted().filter { !$0.contains(".") }.map { "\(name)/\($0)" }
  }

  /// The files in a folder of fixtures whose names end so.
  static func files(_ folder: String, suffix: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: fixture(folder))) ?? []
    return names.sorted().filter { $0.hasSuffix(suffix) }.map { "\(folder)/\($0)" }
  }

  /// The files of one name, one from each folder in a folder of fixtures.
  static func files(_ folder: String, named file: String) -> [String] {
    folders(folder).map { "\($0)/\(file)" }.filter {
      FileManager.default.fileExists(atPath: fixture($0))
    }
  }
}
