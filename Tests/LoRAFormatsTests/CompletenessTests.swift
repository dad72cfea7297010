import Foundation
import LoRATensor
import Testing
@testable import LoRAFiles
@testable import LoRAFormats

/// An adapter that lacks what its configuration targets is refused wherever there is a base, and told
/// of where there is none.
@Suite struct CompletenessTests {
  private static func layers(_ names: [String], blocks: Range<Int>) -> [String] {
    blocks.flatMap { block in names.map { "model.layers.\(block).self_attn.\($0)" } }
  }

  private static func base(_ scratch: Scratch, extra: String = "") throws -> String {
    try scratch.model(
      "base",
      layers(["q_proj", "k_proj", "v_proj"], blocks: 0..<3).map { ($0 + ".weight", [4, 4]) } + [
        ("model.embed_tokens.weight", [9, 4]), ("model.norm.weight", [4]),
        ("lm_head.weight", [9, 4]),
      ], extra: extra)
  }

  private static let fields = #""target_modules": ["q_proj", "v_proj"]"#

  @Test func lackingLayerIsRefusedWithBaseAndToldWithout() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    let all = Self.layers(["q_proj", "v_proj"], blocks: 0..<3)
    let whole = try scratch.peft("whole", Self.fields, layers: all)
    #expect(try AdapterFile(path: whole, options: .init(basePath: base)).notes.isEmpty)
    #expect(try AdapterFile(path: whole).notes.isEmpty)
    // One layer in the middle, a whole block at the end, all of one kind.
    let lacking: [(String, [String])] = [
      ("one", all.filter { $0 != "model.layers.1.self_attn.q_proj" }),
      ("block", Self.layers(["q_proj", "v_proj"], blocks: 0..<2)),
      ("kind", Self.layers(["v_proj"], blocks: 0..<3)),
    ]
    for (name, layers) in lacking {
      let adapter = try scratch.peft(name, Self.fields, layers: layers)
      expectError(.missingTensor, "self_attn.q_proj", "adapter_config.json targets it") {
        _ = try AdapterFile(path: adapter, options: .init(basePath: base))
      }
    }
    // Without a base the first can be seen, the others may be as the model is.
    let note = try #require(try AdapterFile(path: scratch.file("one")).notes.first)
    #expect(note.layer == "model.layers.1.self_attn.q_proj" && note.text.contains("incomplete"))
    #expect(try AdapterFile(path: scratch.file("block")).notes.isEmpty)
    #expect(try AdapterFile(path: scratch.file("kind")).notes.isEmpty)
  }

  @Test func modelsWhoseBlocksDifferAreNoHoles() throws {
    func holes(_ paths: [String]) -> [String] {
      DialectTests.description(paths).holes { _ in true }
    }
    func attention(_ blocks: [Int]) -> [String] {
      blocks.map { "model.layers.\($0).self_attn.q_proj" }
    }
    let feedForward = (0..<8).map { "model.layers.\($0).mlp.up_proj" }
    // A hybrid with attention in every fourth block.
    #expect(holes(feedForward + attention([3, 7])).isEmpty)
    // Blocks that look at an image instead.
    #expect(
      holes(
        feedForward + attention([0, 1, 2, 4, 5, 6]) + [
          "model.layers.3.cross_attn.q_proj",
          "model.layers.7.cross_attn.q_proj",
        ]
      ).isEmpty)
    // A file that lost one.
    #expect(
      holes(feedForward + attention([0, 1, 2, 4, 5, 6, 7])) == ["model.layers.3.self_attn.q_proj"])
    #expect(
      DialectTests.description(feedForward + attention([0, 1, 2, 4, 5, 6, 7]))
        .holes { !$0.contains(".3.") }.isEmpty)
  }

  @Test func whatIsMeantToBeLeftOutIsNoHole() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    let some = [
      "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.v_proj",
      "model.layers.1.self_attn.v_proj", "model.layers.2.self_attn.v_proj",
    ]
    let fields = [
      #""target_modules": ["v_proj", "model.layers.0.self_attn.q_proj"]"#,
      #""target_modules": ["q_proj", "v_proj"], "exclude_modules": ".*[12].self_attn.q_proj""#,
      #""target_modules": "model.layers.(0.self_attn.q_proj|[0-9]+.self_attn.v_proj)""#,
    ]
    for (index, text) in fields.enumerated() {
      let adapter = try scratch.peft("a\(index)", text, layers: some)
      #expect(try AdapterFile(path: adapter).notes.isEmpty, "\(text)")
      #expect(try AdapterFile(path: adapter, options: .init(basePath: base)).notes.isEmpty)
    }
    let first = try scratch.peft(
      "first", Self.fields + #", "layers_to_transform": [0, 2]"#,
      layers: Self.layers(["q_proj", "v_proj"], blocks: 0..<1)
        + Self.layers(["q_proj", "v_proj"], blocks: 2..<3))
    #expect(try AdapterFile(path: first, options: .init(basePath: base)).notes.isEmpty)
  }

  @Test func allLinearLeavesOutHeadAndEmbedding() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    let all = Self.layers(["q_proj", "k_proj", "v_proj"], blocks: 0..<3)
    let whole = try scratch.peft("whole", #""target_modules": "all-linear""#, layers: all)
    #expect(
      try AdapterFile(path: whole, options: .init(basePath: base)).description.layers.count == 9)
    let lacking = try scratch.peft(
      "lacking", #""target_modules": "all-linear""#, layers: all.dropLast())
    expectError(.missingTensor, "model.layers.2.self_attn.v_proj") {
      _ = try AdapterFile(path: lacking, options: .init(basePath: base))
    }
  }

  @Test func nullTargetsAreTheArchitecturesDefault() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    let whole = try scratch.peft(
      "whole", #""target_modules": null"#,
      layers: Self.layers(["q_proj", "v_proj"], blocks: 0..<3))
    #expect(
      try AdapterFile(path: whole, options: .init(basePath: base)).description.layers.count == 6)
    let lacking = try scratch.peft(
      "lacking", #""target_modules": null"#, layers: Self.layers(["v_proj"], blocks: 0..<3))
    expectError(.missingTensor, "q_proj") {
      _ = try AdapterFile(path: lacking, options: .init(basePath: base))
    }
    let recipe = PEFTAdapterConfiguration(rank: 2, alpha: 2, targets: .unspecified)
    for (type, names) in [
      ("llama", ["q_proj", "v_proj"]), ("mistral", ["q_proj", "v_proj"]),
      ("qwen2", ["q_proj", "v_proj"]), ("gpt2", ["c_attn"]),
      ("phi", ["q_proj", "v_proj", "fc1", "fc2"]),
    ] {
      #expect(recipe.resolvingTargets(forModelType: type).targets == .names(names))
    }
    #expect(recipe.resolvingTargets(forModelType: "unheard-of").targets == .unspecified)
    let ia3 = PEFTAdapterConfiguration(
      method: .ia3(.init(feedForward: .unspecified)), targets: .unspecified
    ).resolvingTargets(forModelType: "gpt2")
    #expect(ia3.targets == .names(["c_attn", "mlp.c_proj"]))
    #expect(ia3.method == .ia3(.init(feedForward: .names(["mlp.c_proj"]))))
  }

  @Test func replacementsMustBelongToTheBase() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    let layers = Self.layers(["q_proj", "v_proj"], blocks: 0..<3)
    let head = try scratch.peft(
      "head", Self.fields + #", "modules_to_save": ["lm_head"]"#, layers: layers,
      others: ["base_model.model.lm_head.weight": [9, 4]])
    #expect(
      try AdapterFile(path: head, options: .init(basePath: base)).description.replacements.count
        == 1)
    let wide = try scratch.peft(
      "wide", Self.fields + #", "modules_to_save": ["lm_head"]"#, layers: layers,
      others: ["base_model.model.lm_head.weight": [10, 4]])
    expectError(.shapeMismatch, "lm_head.weight", "[10, 4]", "[9, 4]") {
      _ = try AdapterFile(path: wide, options: .init(basePath: base))
    }
    let strange = try scratch.peft(
      "strange", Self.fields + #", "modules_to_save": ["projector"]"#, layers: layers,
      others: ["base_model.model.projector.weight": [9, 4]])
    expectError(.unexpectedTensor, "projector.weight", "no such parameter") {
      _ = try AdapterFile(path: strange, options: .init(basePath: base))
    }
    let norm = try scratch.peft(
      "norm", Self.fields + #", "modules_to_save": ["norm", "lm_head"]"#, layers: layers,
      others: ["base_model.model.lm_head.weight": [9, 4]])
    expectError(.missingTensor, "model.norm.weight", "modules_to_save") {
      _ = try AdapterFile(path: norm, options: .init(basePath: base))
    }
  }

  @Test func layersBesideTheModelAreNotMissed() throws {
    let scratch = try Scratch()
    let layers = Self.layers(["q_proj", "v_proj"], blocks: 0..<2)
    let base = try scratch.model(
      "base", type: "glm4_moe",
      (layers + Self.layers(["q_proj", "v_proj"], blocks: 2..<3) + ["mtp.layers.0.self_attn.q_proj"])
        .map { ($0 + ".weight", [4, 4]) }, extra: #", "num_hidden_layers": 2"#)
    let adapter = try scratch.peft("whole", Self.fields, layers: layers)
    #expect(
      try AdapterFile(path: adapter, options: .init(basePath: base)).description.layers.count == 4)
  }

  @Test func configurationAloneTellsTheLayers() throws {
    let scratch = try Scratch()
    try scratch.write(
      "base/config.json",
      #"{"model_type": "llama", "hidden_size": 4, "num_attention_heads": 1, "num_hidden_layers": 2, "intermediate_size": 8, "vocab_size": 9, "rms_norm_eps": 1e-6}"#
    )
    let options = AdapterFile.Options(basePath: scratch.file("base"))
    let whole = try scratch.peft(
      "whole", Self.fields, layers: Self.layers(["q_proj", "v_proj"], blocks: 0..<2))
    #expect(try AdapterFile(path: whole, options: options).description.layers.count == 4)
    let lacking = try scratch.peft(
      "lacking", Self.fields, layers: Self.layers(["q_proj", "v_proj"], blocks: 0..<1))
    expectError(.missingTensor, "model.layers.1.self_attn.q_proj") {
      _ = try AdapterFile(path: lacking, options: options)
    }
    let other = try scratch.peft(
      "other", Self.fields, layers: Self.layers(["q_proj", "v_proj"], blocks: 0..<3))
    expectError(.unexpectedTensor, "model.layers.2.self_attn.q_proj") {
      _ = try AdapterFile(path: other, options: options)
    }
  }

  @Test func keysOfMLXAreCheckedToo() throws {
    let scratch = try Scratch()
    let base = try Self.base(scratch)
    func mlx(
      _ name: String, blocks: Range<Int>, _ extra: String, keys: String = "self_attn.q_proj"
    ) throws -> String {
      try scratch.write(
        "\(name)/adapter_config.json",
        #"{"fine_tune_type": "lora", \#(extra), "lora_parameters": {"rank": 2, "scale": 2.0, "keys": ["\#(keys)"]}}"#
      )
      var tensors: [(name: String, tensor: Tensor)] = []
      for path in Self.layers(["q_proj"], blocks: blocks) {
        tensors.append(("\(path).lora_a", Tensor.zeros([4, 2])))
        tensors.append(("\(path).lora_b", Tensor.zeros([2, 4])))
      }
      try SafetensorsWriter.write(tensors, to: scratch.file("\(name)/adapters.safetensors"))
      return scratch.file(name)
    }
    let options = AdapterFile.Options(basePath: base)
    _ = try AdapterFile(path: mlx("all", blocks: 0..<3, #""num_layers": -1"#), options: options)
    _ = try AdapterFile(path: mlx("last", blocks: 1..<3, #""num_layers": 2"#), options: options)
    // mlx-lm would leave these factors out without a word.
    let beyond = try mlx("beyond", blocks: 0..<3, #""num_layers": 2"#)
    let foreign = try mlx("foreign", blocks: 0..<3, #""num_layers": -1"#, keys: "self_attn.v_proj")
    for options in [options, AdapterFile.Options()] {
      expectError(.unexpectedTensor, "'model.layers.0.self_attn.q_proj'", "'num_layers'", "is 2") {
        _ = try AdapterFile(path: beyond, options: options)
      }
      expectError(.unexpectedTensor, "layers.0.self_attn.q_proj'", "'keys'", "nor of 2 more") {
        _ = try AdapterFile(path: foreign, options: options)
      }
    }
    // Of which blocks the last two are only the base can tell.
    let first = try mlx("first", blocks: 0..<2, #""num_layers": 2"#)
    _ = try AdapterFile(path: first)
    expectError(.unexpectedTensor, "'model.layers.0.self_attn.q_proj'", "before block 1") {
      _ = try AdapterFile(path: first, options: options)
    }
    let lacking = try mlx("lacking", blocks: 1..<3, #""num_layers": 3"#)
    expectError(.missingTensor, "model.layers.0.self_attn.q_proj", "num_layers") {
      _ = try AdapterFile(path: lacking, options: options)
    }
  }

  @Test(.enabled(if: fieldCase("21-converts-incomplete-adapter") != nil, "needs ../shared"))
  func caseFromOutside() throws {
    let adapter = try #require(fieldCase("21-converts-incomplete-adapter")) + "/A"
    let models = try #require(Fixtures.shared) + "/models"
    for base in ["stories260k", "stories260k.gguf"] {
      expectError(.missingTensor, "model.layers.2.self_attn.q_proj") {
        _ = try AdapterFile(path: adapter, options: .init(basePath: "\(models)/\(base)"))
      }
    }
  }
}
