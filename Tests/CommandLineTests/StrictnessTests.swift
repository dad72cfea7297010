import Foundation
import LoRAFiles
import LoRATensor
import Testing

/// Every command reads adapters equally strictly: what one refuses, all refuse, for the same reason.
@Suite struct StrictnessTests {
  private static let tied = Fixtures.model("llama-tied-v4")
  private static let untied = Fixtures.model("llama-grouped")

  /// A copy of an adapter, that of `model` or one beside a GGUF file, changed.
  private func adapter(
    of model: String, replacing text: (String, String)? = nil,
    _ change: (String, Tensor) -> Tensor = { $1 }
  ) throws -> String {
    let folder = try Command.temporaryFolder() + "/adapter"
    let source =
      model.hasSuffix(".gguf") ? model.dropLast(".gguf".count) + "-adapter" : model + "/adapter"
    try FileManager.default.copyItem(atPath: String(source), toPath: folder)
    let path = folder + "/adapter_model.safetensors"
    let file = try SafetensorsFile(path: path, access: .copied)
    let tensors = try file.names.map { name in
      (name: name, tensor: change(name, try file.tensor(named: name)))
    }
    try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: path)
    if let text {
      let path = folder + "/adapter_config.json"
      let old = try String(contentsOfFile: path, encoding: .utf8)
      #expect(old.contains(text.0), "\(old)")
      try Fixtures.write(old.replacing(text.0, with: text.1), to: path)
    }
    return folder
  }

  /// What every command that reads an adapter beside its base says of this one.
  private func refusals(_ adapter: String, _ model: String) throws -> [String] {
    let ids = try Fixtures.sequences()
    let output = try Command.temporaryFolder() + "/out"
    let commands: [[String]] = [
      ["score", "--model", model, "--adapter", adapter, "--ids", ids],
      ["merge", "--model", model, "--adapter", adapter, "--output", output],
      ["sweep", "--model", model, "--adapter", adapter, "--data", ids],
      [
        "train", "--model", model, "--init-adapter", adapter, "--data", ids, "--output", output,
        "--steps", "1",
      ],
      ["convert", "--input", adapter, "--base", model, "--to", "peft", "--output", output],
      ["inspect", adapter, "--base", model],
      ["combine", "--adapter", adapter, "--base", model, "--type", "cat", "--output", output],
      ["reduce", "--adapter", adapter, "--base", model, "--rank", "1", "--output", output],
    ]
    return try commands.map { arguments in
      let message = try FailureTests().failure(arguments)
      #expect(!FileManager.default.fileExists(atPath: output))
      return message
    }
  }

  /// The head of a model whose head is its embedding is a layer like any, also where its weight is
  /// not stored.
  @Test(arguments: [tied, Fixtures.path("gguf/models/qwen2-float16.gguf")])
  func aTargetedHeadThatIsTheEmbeddingNeedsItsFactors(model: String) throws {
    let folder = try adapter(
      of: model, replacing: (#""target_modules": ["#, #""target_modules": ["lm_head", "#))
    for message in try refusals(folder, model) {
      #expect(message.contains("layer 'lm_head'") && message.contains("no factors for it"))
    }
  }

  @Test func factorsOfAConvolutionFitNoLinearLayer() throws {
    let folder = try adapter(of: Self.untied) { _, tensor in
      tensor.reshaped(to: [tensor.shape[0], tensor.shape[1], 1, 1])
    }
    for message in try refusals(folder, Self.untied) {
      #expect(message.hasPrefix("error: \(folder): layer"), "\(message)")
      #expect(message.contains("layers.0.") && message.contains("a convolution"), "\(message)")
    }
  }

  /// What a file repeats of its base, and what it replaces, is held against the base.
  @Test func copiesAndReplacementsFitTheBase() throws {
    let model = Fixtures.path("conformance/llama/model")
    func refused(
      _ name: String, _ part: String, _ words: [String], _ change: (Tensor) -> Tensor
    ) throws {
      let folder = try Command.temporaryFolder() + "/adapter"
      try FileManager.default.copyItem(
        atPath: Fixtures.path("conformance/llama/\(name)"), toPath: folder)
      let path = folder + "/adapter_model.safetensors"
      let file = try SafetensorsFile(path: path, access: .copied)
      let tensors = try file.names.map { name in
        let tensor = try file.tensor(named: name)
        return (name: name, tensor: name.hasSuffix(part) ? change(tensor) : tensor)
      }
      try SafetensorsWriter.write(tensors, metadata: ["format": "pt"], to: path)
      for message in try refusals(folder, model) {
        #expect(words.contains(where: message.contains), "\(message)")
      }
    }
    let copy = "embed_tokens.base_layer.weight"
    try refused("embedding", copy, ["repeats it as [16, 64]", "a copy of [16, 64]"]) {
      $0.transposed()
    }
    try refused("embedding", copy, ["other numbers than"]) { $0.scaled(by: 2) }
    try refused(
      "saved-embedding", "embed_tokens.weight",
      ["replaces it by [16, 64]", "for its 'weight', found [16, 64]"]
    ) { $0.transposed() }
  }

  /// The tensor that is wrong is named, with the shape that it should have and the one that it has.
  @Test(arguments: [("lora_A", "[4, inputs]"), ("lora_B", "[outputs, 4]")])
  func theWrongFactorIsNamed(part: String, expected: String) throws {
    let (rank, name) = (4, "layers.1.self_attn.q_proj.\(part).weight")
    func changed(_ change: @escaping (Tensor) -> Tensor) throws -> [String] {
      try refusals(
        adapter(of: Self.untied) { $0.hasSuffix(name) ? change($1) : $1 }, Self.untied)
    }
    let deep = try changed { $0.reshaped(to: [$0.shape[0], $0.shape[1], 1]) }
    let wide = try changed { tensor in
      .concatenated([tensor, tensor], axis: tensor.shape[0] == rank ? 0 : 1)
    }
    for message in deep + wide {
      #expect(message.contains("\(name)': expected \(expected)"), "\(message)")
      #expect(message.contains("found ["), "\(message)")
    }
  }
}
