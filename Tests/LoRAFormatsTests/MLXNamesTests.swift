import Foundation
import LoRAJSON
import LoRATensor
import TestSupport
import Testing
@testable import LoRAArchitectures
@testable import LoRAFiles
@testable import LoRAFormats

/// MLX's files as mlx-lm of all ages has them: names, checkpoints, archives, fields.
@Suite struct MLXNamesTests {
  private static func names(_ folder: String) throws -> [String] {
    try SafetensorsFile(path: folder + "/adapters.safetensors").names.sorted()
  }

  @Test(arguments: [
    ("transformer.h.3.attn.c_attn", "model.h.3.attn.c_attn"),
    ("transformer.h.11.mlp.c_proj", "model.h.11.mlp.c_proj"),
    ("transformer.h.0.attn.q_proj", "model.h.0.attn.q_proj"),
    ("gpt_neox.layers.2.attention.query_key_value", "model.h.2.attention.query_key_value"),
    ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.q_proj"),
    ("lm_head", "lm_head"),
  ])
  func bothWays(hf: String, mlx: String) throws {
    #expect(MLXModuleNames.path(ofName: mlx, among: [mlx]) == hf)
    let types = ["gpt2", "gptj", "gpt_neox", "llama", "qwen2", "mistral"]
    #expect(types.contains { MLXModuleNames(modelType: $0).name(ofPath: hf) == mlx })
  }

  @Test func gpt2IsCalledAsThere() throws {
    let scratch = try Scratch()
    var description = DialectTests.description([
      "transformer.h.0.mlp.c_fc", "transformer.h.1.mlp.c_fc",
    ])
    description.metadata = [:]
    let peft = try PEFTAdapterFile(describing: description)
    try peft.write(to: scratch.file("peft"))
    let file = try AdapterFile(path: scratch.file("peft"))
    let notes = try file.write(as: .mlx, to: scratch.file("mlx")).notes
    #expect(notes.contains { $0.text.contains("GPT-2") })
    #expect(
      try Self.names(scratch.file("mlx")) == [
        "model.h.0.mlp.c_fc.lora_a", "model.h.0.mlp.c_fc.lora_b", "model.h.1.mlp.c_fc.lora_a",
        "model.h.1.mlp.c_fc.lora_b",
      ])
    let back = try AdapterFile(path: scratch.file("mlx"))
    #expect(back.mlxConfiguration?.keys == ["mlp.c_fc"])
    let agreement = try file.description.agreement(with: back.description, file: "")
    #expect(agreement.identicalLayers == 2)
    // StarCoder has these names too, and keeps them: its base says so, or the width of c_attn.
    let base = try scratch.model(
      "starcoder", type: "gpt_bigcode",
      (0..<2).map { ("transformer.h.\($0).mlp.c_fc.weight", [4, 3]) })
    try file.write(as: .mlx, to: scratch.file("big"), options: .init(basePath: base))
    #expect(try Self.names(scratch.file("big"))[0] == "transformer.h.0.mlp.c_fc.lora_a")
    let narrow = DialectTests.description(["transformer.h.0.attn.c_attn"])
    let (named, _) = try MLXAdapterFile.fitting(narrow)
    try named.write(to: scratch.file("narrow"))
    #expect(try Self.names(scratch.file("narrow"))[0] == "transformer.h.0.attn.c_attn.lora_a")
    // Files of this library's earlier versions.
    #expect(
      try AdapterFile(path: scratch.file("narrow")).description.layers[0].path
        == "transformer.h.0.attn.c_attn")
    expectError(.unsupported, "lm_head", "no head apart from its embedding") {
      _ = try MLXAdapterFile.fitting(DialectTests.description(["lm_head"]), modelType: "gpt2")
    }
  }

  @Test func layersThatAreNotInAllBlocksAreNamedWhole() throws {
    let (file, _) = try MLXAdapterFile.fitting(
      DialectTests.description(["model.layers.1.self_attn.q_proj"]))
    #expect(file.configuration.keys == ["model.layers.1.self_attn.q_proj"])
  }

  /// mlx-lm's folder with a checkpoint among others.
  private static func run(_ scratch: Scratch, _ extra: String = "") throws -> String {
    try scratch.write(
      "mlx/adapter_config.json",
      #"{"fine_tune_type": "lora", "model": "org/base", "num_layers": 1, "lora_parameters": {"rank": 2, "scale": 10.0, "dropout": 0.05}\#(extra)}"#
    )
    for (index, name) in ["adapters", "0000100_adapters"].enumerated() {
      try SafetensorsWriter.write(
        [
          (
            "model.layers.0.self_attn.q_proj.lora_a",
            Tensor([Float](repeating: 1 + Float(index), count: 8), shape: [4, 2])
          ),
          (
            "model.layers.0.self_attn.q_proj.lora_b",
            Tensor([Float](repeating: 2, count: 8), shape: [2, 4])
          ),
        ], to: scratch.file("mlx/\(name).safetensors"))
    }
    return scratch.file("mlx")
  }

  @Test func namedCheckpointOpensWithTheFoldersConfiguration() throws {
    let scratch = try Scratch()
    let folder = try Self.run(scratch)
    for (path, value) in [(folder, 1), (folder + "/0000100_adapters.safetensors", 2)] {
      let file = try AdapterFile(path: path)
      let change = try #require(file.description.layers[0].lowRank)
      #expect(file.format == .mlx && change.scale == 10)
      #expect(change.a == Tensor([Float](repeating: Float(value), count: 8), shape: [2, 4]))
    }
    // Without the last weights the folder names those that it has.
    try FileManager.default.removeItem(atPath: folder + "/adapters.safetensors")
    expectError(.missingFile, "0000100_adapters.safetensors", "give one of them") {
      _ = try AdapterFile(path: folder)
    }
    try FileManager.default.removeItem(atPath: folder + "/adapter_config.json")
    expectError(.missingFile, "adapter_config.json", "beside it") {
      _ = try AdapterFile(path: folder + "/0000100_adapters.safetensors")
    }
    // Another format's configuration does not describe it.
    try scratch.write("mlx/adapter_config.json", #"{"peft_type": "LORA", "r": 2}"#)
    expectError(.invalidValue, "MLX", "PEFT") {
      _ = try AdapterFile(path: folder + "/0000100_adapters.safetensors")
    }
  }

  @Test func peftCheckpointOfAnotherNameOpensToo() throws {
    let scratch = try Scratch()
    let folder = try scratch.peft(
      "peft", #""target_modules": ["q_proj"]"#, layers: ["model.layers.0.self_attn.q_proj"])
    try FileManager.default.moveItem(
      atPath: folder + "/adapter_model.safetensors", toPath: folder + "/step-100.safetensors")
    let file = try AdapterFile(path: folder + "/step-100.safetensors")
    #expect(file.format == .peft && file.description.layers[0].lowRank?.scale == 4)
    expectError(.missingFile, "step-100.safetensors") { _ = try AdapterFile(path: folder) }
  }

  @Test func baseAndDropoutSurviveEveryFormat() throws {
    let scratch = try Scratch()
    let mlx = try AdapterFile(path: Self.run(scratch))
    let expected = AdapterFile.Provenance(baseModelName: "org/base", dropout: 0.05)
    #expect(mlx.provenance == expected)
    try mlx.write(as: .peft, to: scratch.file("peft"))
    let peft = try AdapterFile(path: scratch.file("peft"))
    #expect(peft.provenance == expected)
    #expect(peft.peftConfiguration?.baseModelName == "org/base")
    #expect(peft.peftConfiguration?.dropout == 0.05)
    try peft.write(as: .mlx, to: scratch.file("mlx-2"))
    let again = try AdapterFile(path: scratch.file("mlx-2"))
    #expect(again.mlxConfiguration?.baseModelName == "org/base")
    #expect(again.mlxConfiguration?.dropout == 0.05)
    // GGUF has a field for the base alone.
    let base = GGUFBase(
      architecture: "llama", headCount: 1, keyValueHeadCount: 1, headSize: 4, hasOutputHead: true)
    var described = peft.description
    described.metadata = peft.provenance.added(to: described.metadata, for: .gguf)
    try GGUFAdapterFile.write(described, base: base, to: scratch.file("a.gguf"))
    #expect(
      try AdapterFile(path: scratch.file("a.gguf")).provenance
        == .init(baseModelName: "org/base"))
    #expect(
      AdapterFile.Provenance(metadata: [
        "general.base_model.0.name": "Base 1B",
        "general.base_model.0.repo_url": "https://huggingface.co/org/base-1b",
      ]).baseModelName == "org/base-1b")
    // Image formats.
    let image = DialectTests.description(["unet.mid_block.attentions.0.proj_in"], alpha: 4)
    let diffusers = DiffusersAdapterFile(description: image)
    try diffusers.write(to: scratch.file("d.safetensors"))
    var file = try AdapterFile(path: scratch.file("d.safetensors"))
    file.provenance = expected
    for format in [AdapterFormat.kohya, .lycoris, .diffusers, .peft] {
      let path = scratch.file("\(format)-image" + (format.isFolder ? "" : ".safetensors"))
      try file.write(as: format, to: path)
      #expect(try AdapterFile(path: path).provenance == expected, "\(format)")
    }
  }

  @Test func configurationOfBothFormatsIsReadAsTheWeightsSay() throws {
    let scratch = try Scratch()
    let both =
      #"{"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 3.0}, "peft_type": "LORA", "r": 2, "lora_alpha": 8, "target_modules": ["q_proj"], "base_model_name_or_path": "org/base"}"#
    let layer = "model.layers.0.self_attn.q_proj"
    try scratch.write("mlx/adapter_config.json", both)
    try scratch.weights(
      "mlx/adapters.safetensors", ["\(layer).lora_a": [4, 2], "\(layer).lora_b": [2, 4]])
    let mlx = try AdapterFile(path: scratch.file("mlx"))
    #expect(mlx.format == .mlx && mlx.description.layers[0].lowRank?.scale == 3)
    #expect(mlx.provenance.baseModelName == "org/base")
    let peft = try scratch.peft("peft", #""target_modules": ["q_proj"]"#, layers: [layer])
    try scratch.write("peft/adapter_config.json", both)
    let file = try AdapterFile(path: peft)
    #expect(file.format == .peft && file.description.layers[0].lowRank?.scale == 4)
    try scratch.weights(
      "peft/adapters.safetensors", ["\(layer).lora_a": [4, 2], "\(layer).lora_b": [2, 4]])
    expectError(.invalidValue, "'peft_type'", "weights of both") { _ = try AdapterFile(path: peft) }
  }

  @Test func scaleOfOlderVersionsIsTold() throws {
    let scratch = try Scratch()
    func notes(_ text: String) throws -> [AdapterNote] {
      let configuration = try MLXAdapterConfiguration(parsing: Array(text.utf8))
      return [configuration.noteOfScale].compactMap { $0 }
    }
    _ = scratch
    let parameters = #""lora_parameters": {"rank": 8, "alpha": 16, "scale": 10.0, "dropout": 0.0}"#
    let note = try #require(try notes(#"{"lora_layers": 16, \#(parameters)}"#).first)
    #expect(note.text.contains("20.0") && note.text.contains("10.0"))
    #expect(try notes(#"{"lora_layers": 16, "use_dora": false, \#(parameters)}"#).isEmpty)
    #expect(try notes(#"{"num_layers": 16, "fine_tune_type": "lora", \#(parameters)}"#).isEmpty)
    let dora = try MLXAdapterConfiguration(
      parsing: Array(#"{"use_dora": true, \#(parameters)}"#.utf8))
    #expect(dora.method == .dora)
  }

  // MARK: Archives

  /// By NumPy 2: lora_a of float32, [3, 2], from -0.5 in steps of 0.25, lora_b of float16, [2, 4],
  /// from -3 in steps of 1; once by savez, once by savez_compressed.
  private static let archives = [
    "UEsDBC0AAAAAAAAAIQAUlJkk//////////8qABQAbW9kZWwubGF5ZXJzLjAuc2VsZl9hdHRuLnFfcHJvai5sb3JhX2EubnB5AQAQAJgAAAAAAAAAmAAAAAAAAACTTlVNUFkBAHYAeydkZXNjcic6ICc8ZjQnLCAnZm9ydHJhbl9vcmRlcic6IEZhbHNlLCAnc2hhcGUnOiAoMywgMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgCgAAAL8AAIC+AAAAAAAAgD4AAAA/AABAP1BLAwQtAAAAAAAAACEApd1DDP//////////KgAUAG1vZGVsLmxheWVycy4wLnNlbGZfYXR0bi5xX3Byb2oubG9yYV9iLm5weQEAEACQAAAAAAAAAJAAAAAAAAAAk05VTVBZAQB2AHsnZGVzY3InOiAnPGYyJywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDIsIDQpLCB9ICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAoAwgDAALwAAAA8AEAAQgBEUEsBAi0DLQAAAAAAAAAhABSUmSSYAAAAmAAAACoAAAAAAAAAAAAAAIABAAAAAG1vZGVsLmxheWVycy4wLnNlbGZfYXR0bi5xX3Byb2oubG9yYV9hLm5weVBLAQItAy0AAAAAAAAAIQCl3UMMkAAAAJAAAAAqAAAAAAAAAAAAAACAAfQAAABtb2RlbC5sYXllcnMuMC5zZWxmX2F0dG4ucV9wcm9qLmxvcmFfYi5ucHlQSwUGAAAAAAIAAgCwAAAA4AEAAAAA",
    "UEsDBC0AAAAIAAAAIQAUlJkk//////////8qABQAbW9kZWwubGF5ZXJzLjAuc2VsZl9hdHRuLnFfcHJvai5sb3JhX2EubnB5AQAQAJgAAAAAAAAAWgAAAAAAAACb7BfqGxDJyFDGUK2eklqcXKRupaBuk2airqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RrGOgpGmjoKtQpkAy4GBob9DAwN+xjAoMEOSNgzMDjYAwBQSwMELQAAAAgAAAAhAKXdQwz//////////yoAFABtb2RlbC5sYXllcnMuMC5zZWxmX2F0dG4ucV9wcm9qLmxvcmFfYi5ucHkBABAAkAAAAAAAAABXAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqSuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6CiaaOgq1CmQDLoZDDAcY9jAwMNgwODA4MbgAAFBLAQItAy0AAAAIAAAAIQAUlJkkWgAAAJgAAAAqAAAAAAAAAAAAAACAAQAAAABtb2RlbC5sYXllcnMuMC5zZWxmX2F0dG4ucV9wcm9qLmxvcmFfYS5ucHlQSwECLQMtAAAACAAAACEApd1DDFcAAACQAAAAKgAAAAAAAAAAAAAAgAG2AAAAbW9kZWwubGF5ZXJzLjAuc2VsZl9hdHRuLnFfcHJvai5sb3JhX2IubnB5UEsFBgAAAAACAAIAsAAAAGkBAAAAAA==",
  ]

  private static func archive(_ index: Int) throws -> [UInt8] {
    [UInt8](try #require(Data(base64Encoded: archives[index])))
  }

  @Test(arguments: [0, 1])
  func archiveIsRead(index: Int) throws {
    let scratch = try Scratch()
    let path = try scratch.write("run/adapters.npz", Self.archive(index))
    for place in [path, scratch.file("run")] {
      let file = try AdapterFile(path: place)
      #expect(file.format == .mlx && file.assumesScale)
      let change = try #require(file.description.layers[0].lowRank)
      #expect(file.description.layers[0].path == "model.layers.0.self_attn.q_proj")
      #expect(change.scale == 20)
      #expect(change.a == Tensor([-0.5, 0, 0.5, -0.25, 0.25, 0.75] as [Float], shape: [2, 3]))
      #expect(change.b == Tensor([-3, 1, -2, 2, -1, 3, 0, 4] as [Float], shape: [4, 2]))
      #expect(file.notes.contains { $0.text.contains("20.0") && $0.text.contains("--alpha") })
    }
    let told = try AdapterFile(path: path, options: .init(alpha: 16))
    #expect(told.description.layers[0].lowRank?.scale == 8 && !told.assumesScale)
    try scratch.write(
      "run/adapter_config.json", #"{"lora_parameters": {"rank": 2, "scale": 4.0}}"#)
    let configured = try AdapterFile(path: scratch.file("run"))
    #expect(configured.description.layers[0].lowRank?.scale == 4 && !configured.assumesScale)
    // By content, not by name.
    let other = try scratch.write("weights", Self.archive(index))
    #expect(try AdapterFormat(detecting: other) == .mlx)
  }

  @Test func damagedArchivesAreRefused() throws {
    let scratch = try Scratch()
    let whole = try Self.archive(0)
    let cut = try scratch.write("cut.npz", Array(whole.dropLast(30)))
    expectError(.truncated, "no table of contents") { _ = try AdapterFile(path: cut) }
    var bytes = whole
    bytes[200] ^= 1
    let changed = try scratch.write("changed.npz", bytes)
    expectError(.malformed, "checksum") { _ = try AdapterFile(path: changed) }
    // PyTorch's files are archives too.
    let text = String(decoding: whole, as: Unicode.ASCII.self)
    #expect(!text.isEmpty)
    let pickle = try scratch.write("model.pt", [0x50, 0x4B, 0x03, 0x04, 0, 0, 0, 0, 0, 0])
    expectError(.unsupported, "pickle") { _ = try AdapterFile(path: pickle) }
    // Whatever is changed in either: an error, or the same numbers.
    var random = SplitMix(state: 7)
    for round in 0..<400 {
      let damaged = mutated(try Self.archive(round % 2), using: &random)
      let path = try scratch.write("damaged.npz", damaged)
      do {
        let file = try AdapterFile(path: path)
        let change = try #require(file.description.layers[0].lowRank)
        #expect(change.a.firstNonFiniteIndex() == nil)
      } catch is FormatError {}
    }
  }

  @Test func arraysOfOtherKinds() throws {
    func array(_ header: String, _ data: [UInt8]) throws -> Tensor {
      let text = Array(header.utf8)
      return try NPYArray(
        [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(text.count), 0] + text + data, file: "f",
        name: "n"
      ).tensor
    }
    let data: [UInt8] = [0x80, 0x3F, 0x00, 0x40, 0x40, 0x40, 0x80, 0x40, 0xA0, 0x40, 0xC0, 0x40]
    let c = try array("{'descr': '|V2', 'fortran_order': False, 'shape': (2, 3), }", data)
    #expect(c.dtype == .bfloat16)
    #expect(c.converted(to: .float32) == Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3]))
    let fortran = try array("{'descr': '<V2', 'fortran_order': True, 'shape': (2, 3), }", data)
    #expect(
      fortran.converted(to: .float32) == Tensor([1, 3, 5, 2, 4, 6] as [Float], shape: [2, 3]))
    expectError(.unsupported, "pickled") {
      _ = try array("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", [0])
    }
    expectError(.typeMismatch, "'<i4'") {
      _ = try array("{'descr': '<i4', 'fortran_order': False, 'shape': (3,), }", data)
    }
    expectError(.shapeMismatch, "[2, 4]") {
      _ = try array("{'descr': '<f2', 'fortran_order': False, 'shape': (2, 4), }", data)
    }
    expectError(.malformed, "overflows") {
      _ = try array(
        "{'descr': '<f2', 'fortran_order': False, 'shape': (9223372036854775807, 4), }", data)
    }
    for header in ["", "{", "{'descr': }", "{'descr': '<f2'}", "[1]", "{'shape': (1}"] {
      expectError(.malformed) { _ = try array(header, data) }
    }
  }
}
