import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAFormats
import LoRATensor
import Testing

@Suite("Model directories")
struct ModelDirectoryTests {
  static let single = "models/qwen2-untied"
  static let sharded = "models/llama-linear-sharded"

  @Test("one file and shards")
  func open() throws {
    let one = try ModelDirectory(path: Fixtures.path(Self.single))
    #expect(one.modelType == "qwen2")
    #expect(one.files.count == 1)
    #expect(try one.configuration().architecture == .qwen2)
    let many = try ModelDirectory(path: Fixtures.path(Self.sharded))
    #expect(many.files.count == 3)
    let configuration = try many.configuration()
    guard case .linear = configuration.rotary.scaling else {
      Issue.record("\(configuration.rotary)")
      return
    }
    let embedding = try many.tensor(named: "model.embed_tokens.weight")
    #expect(embedding.shape == [configuration.vocabularySize, configuration.hiddenSize])
    for name in many.tensorNames {
      #expect(try many.tensor(named: name).shape == many.entry(named: name)?.shape)
    }
    #expect(configuration.eosTokenIDs == [2])
    #expect(try many.generationConfiguration().eosTokenIDs == [2, 7])
    expectError(.missingTensor, "tensor 'nothing'") { _ = try many.tensor(named: "nothing") }
  }

  @Test("every configuration of the fixtures is read")
  func fixtures() throws {
    let models = Fixtures.path("models")
    for name in try FileManager.default.contentsOfDirectory(atPath: models) {
      let path = "\(models)/\(name)"
      guard FileManager.default.fileExists(atPath: "\(path)/config.json") else { continue }
      let directory = try ModelDirectory(path: path)
      _ = try directory.configuration()
      _ = try directory.generationConfiguration()
    }
  }

  @Test("a folder that is no model")
  func noModel() throws {
    let scratch = try Scratch()
    expectError(.missingFile, "the folder does not exist") {
      _ = try ModelDirectory(path: scratch.file("none"))
    }
    try scratch.write("file", "")
    expectError(.unreadable, "not a folder") { _ = try ModelDirectory(path: scratch.file("file")) }
    expectError(.missingFile, "config.json") { _ = try ModelDirectory(path: scratch.path) }
    try scratch.write("config.json", #"{"model_type": "mamba"}"#)
    expectError(.missingFile, "model.safetensors", "'config.json'") {
      _ = try ModelDirectory(path: scratch.path)
    }
    try scratch.write("pytorch_model.bin", "")
    expectError(.unsupported, "pytorch_model.bin", "save_pretrained") {
      _ = try ModelDirectory(path: scratch.path)
    }
    try SafetensorsWriter.write([], to: scratch.file("model.safetensors"))
    let directory = try ModelDirectory(path: scratch.path)
    #expect(directory.modelType == "mamba")
    expectError(.unsupported, "'mamba'", "'llama', 'mistral', 'ministral', 'mixtral'") {
      _ = try directory.configuration()
    }
  }

  /// A copy of the sharded model, damaged by `body`, which gets its folder and its index's text.
  private func damaged(_ body: (String, String) throws -> String?) throws -> Scratch {
    let scratch = try Scratch()
    let folder = try scratch.copy(fixture: Self.sharded, as: "model")
    let index = "model/model.safetensors.index.json"
    let text = String(decoding: try bytes(of: scratch.file(index)), as: UTF8.self)
    if let changed = try body(folder, text) {
      #expect(changed != text)
      try FileManager.default.removeItem(atPath: scratch.file(index))
      try scratch.write(index, changed)
    }
    return scratch
  }

  private func expectOpening(
    _ kind: FormatError.Kind, _ text: String, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: (String, String) throws -> String?
  ) throws {
    let scratch = try damaged(body)
    expectError(kind, text, sourceLocation: sourceLocation) {
      _ = try ModelDirectory(path: scratch.file("model"))
    }
  }

  @Test("shards and an index that disagree")
  func shards() throws {
    let second = "model-00002-of-00003.safetensors"
    try expectOpening(.missingFile, "\(second): the shard does not exist") { folder, _ in
      try FileManager.default.removeItem(atPath: "\(folder)/\(second)")
      return nil
    }
    try expectOpening(.truncated, second) { folder, _ in
      let content = try bytes(of: "\(folder)/\(second)")
      try FileManager.default.removeItem(atPath: "\(folder)/\(second)")
      try Data(content.dropLast(100)).write(to: URL(filePath: "\(folder)/\(second)"))
      return nil
    }
    try expectOpening(.missingFile, "absent.safetensors") { _, index in
      index.replacing(second, with: "absent.safetensors", maxReplacements: 1)
    }
    try expectOpening(.missingTensor, "which lacks it") { _, index in
      index.replacing(second, with: "model-00001-of-00003.safetensors", maxReplacements: 1)
    }
    try expectOpening(.missingTensor, "tensor 'ghost'") { _, index in
      index.replacing("\"weight_map\": {", with: "\"weight_map\": {\"ghost\": \"\(second)\",")
    }
    try expectOpening(.unexpectedTensor, "tensor 'model.norm.weight'") { _, index in
      index.replacing(/,?\s*"model\.norm\.weight": "[^"]*"/, with: "")
    }
    for name in ["../model.safetensors", "/etc/passwd", "..", "a/b", ""] {
      try expectOpening(.invalidValue, "'\(name)' is not the name of a file") { _, index in
        index.replacing(second, with: name, maxReplacements: 1)
      }
    }
    try expectOpening(.typeMismatch, "expected a file's name") { _, index in
      index.replacing("\"\(second)\"", with: "5", maxReplacements: 1)
    }
    try expectOpening(.missingKey, "'weight_map'") { _, index in
      index.replacing("weight_map", with: "map")
    }
  }

  @Test("a written model is read again, or nothing of it is there")
  func write() throws {
    let scratch = try Scratch()
    let source = try ModelDirectory(path: Fixtures.path(Self.sharded))
    let tensors = try source.tensorNames.map { (name: $0, tensor: try source.tensor(named: $0)) }
    let folder = scratch.file("new/model")
    try ModelDirectory.write(
      tensors, configuration: source.configuration().encoded(),
      generation: source.generationConfiguration().encoded(),
      otherFiles: [("tokenizer.json", Array("{}".utf8))], to: folder)
    let copy = try ModelDirectory(path: folder)
    #expect(try copy.configuration() == source.configuration())
    #expect(try copy.generationConfiguration() == source.generationConfiguration())
    #expect(Set(copy.tensorNames) == Set(source.tensorNames))
    for (name, tensor) in tensors { #expect(try copy.tensor(named: name) == tensor) }
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json",
      ])
    #expect(throws: (any Error).self) {
      try ModelDirectory.write(
        tensors, configuration: [], otherFiles: [("config.json/tokenizer.json", [])],
        to: scratch.file("other"))
    }
    #expect(scratch.names == ["new"])
  }

  @Test(
    "the stories model",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func stories() throws {
    let directory = try ModelDirectory(
      path: try #require(Fixtures.shared) + "/models/stories260k")
    let configuration = try directory.configuration()
    #expect(configuration.hiddenSize == 64 && configuration.tiesWordEmbeddings)
    let count = try directory.tensorNames.reduce(0) {
      $0 + (try directory.tensor(named: $1).elementCount)
    }
    #expect(count == 260_032)
  }
}
