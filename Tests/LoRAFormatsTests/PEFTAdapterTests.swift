import Foundation
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRATensor
import TestSupport
import Testing

@Suite("PEFT adapters")
struct PEFTAdapterTests {
  static let fixture = "formats/adapter"

  @Test("targets, exclusions, layers and patterns match as PEFT matches them")
  func matching() throws {
    let cases = try JSONValue(parsing: bytes(of: Fixtures.path("formats/peft.json")))
    for one in try #require(cases.arrayValue) {
      let text = try #require(one["config"]).encoded()
      let configuration = try PEFTAdapterConfiguration(parsing: Array(text.utf8))
      for (index, path) in try #require(one["paths"]?.arrayValue).enumerated() {
        let path = try #require(path.stringValue)
        #expect(
          configuration.matches(path: path) == one["matches"]?[index]?.boolValue,
          "\(path): \(text)")
        #expect(
          configuration.rank(forPath: path) == one["ranks"]?[index]?.intValue, "\(path): \(text)")
        #expect(
          configuration.alpha(forPath: path) == one["alphas"]?[index]?.doubleValue,
          "\(path): \(text)")
      }
    }
  }

  @Test("an adapter that PEFT saved: factors, ranks and true scales")
  func read() throws {
    let adapter = try PEFTAdapterFile(path: Fixtures.path(Self.fixture))
    let scales = try #require(
      try JSONValue(parsing: bytes(of: Fixtures.path(Self.fixture + "/scales.json"))).objectValue)
    let layers = adapter.description.layers
    #expect(layers.count == scales.count)
    for layer in layers {
      let change = try #require(layer.lowRank)
      #expect(change.scale == scales[layer.path]?.doubleValue, "\(layer.path)")
      #expect(change.rank == (layer.path == "model.layers.10.mlp.down_proj" ? 2 : 4))
      #expect(change.a.dtype == .float32 && layer.storedType == .bfloat16)
      #expect(!layer.hasNoEffect)
    }
    // Layer 10 after layer 9, as numbers.
    #expect(layers.last?.path == "model.layers.10.self_attn.q_proj")
    #expect(layers.first?.path == "model.layers.0.mlp.down_proj")
    #expect(adapter.description.metadata == ["format": "pt"])
    #expect(adapter.configuration.dropout == 0.125)
    #expect(adapter.configuration.taskType == "CAUSAL_LM")
    #expect(adapter.configuration.baseModelName == "tiny")
    #expect(adapter.configuration.initialization == .random)
  }

  @Test("written again, both files say the same as PEFT's")
  func write() throws {
    let scratch = try Scratch()
    let source = Fixtures.path(Self.fixture)
    let adapter = try PEFTAdapterFile(path: source)
    try adapter.write(to: scratch.file("a/b"), storedType: .bfloat16)
    #expect(
      try bytes(of: scratch.file("a/b/adapter_model.safetensors"))
        == bytes(of: source + "/adapter_model.safetensors"))
    let text = try bytes(of: scratch.file("a/b/adapter_config.json"))
    #expect(
      try JSONValue(parsing: text) == JSONValue(parsing: bytes(of: source + "/adapter_config.json"))
    )
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: scratch.file("a/b")).sorted() == [
        "adapter_config.json", "adapter_model.safetensors",
      ])
    let again = try PEFTAdapterFile(path: scratch.file("a/b"))
    for (x, y) in zip(again.description.layers, adapter.description.layers) {
      let (p, q) = (try #require(x.lowRank), try #require(y.lowRank))
      #expect(x.path == y.path && p.a == q.a && p.b == q.b && p.scale == q.scale)
    }
  }

  @Test("a recipe made in code has the fields that PEFT writes")
  func encoded() throws {
    var recipe = PEFTAdapterConfiguration(
      rank: 8, alpha: 16, targets: .names(["q_proj"]), usesRankStabilizedScale: true)
    recipe.alphaPattern = [.init(key: "q_proj", value: 2.5)]
    let text = recipe.encoded()
    let object = try #require(try JSONValue(parsing: text).objectValue)
    let reference = try #require(
      try JSONValue(parsing: bytes(of: Fixtures.path(Self.fixture + "/adapter_config.json")))
        .objectValue)
    #expect(object.keys == reference.keys)
    #expect(object["lora_alpha"] == 16)
    #expect(object["lora_dropout"] == .number(0))
    var read = try PEFTAdapterConfiguration(parsing: text)
    #expect(read.scale(forPath: "model.q_proj") == 2.5 / 8.0.squareRoot())
    read.original = [:]
    #expect(read == recipe)
  }

  @Test("unknown fields survive")
  func unknownFields() throws {
    let text = #"{"peft_type": "LORA", "r": 4, "target_modules": ["a"], "from_the_future": [1]}"#
    let recipe = try PEFTAdapterConfiguration(parsing: Array(text.utf8))
    #expect(recipe.alpha == 8)
    #expect(try JSONValue(parsing: recipe.encoded())["from_the_future"] == [1])
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    var members: String
    var kind: FormatError.Kind
    var text: String
    var testDescription: String { members }

    init(_ members: String, _ kind: FormatError.Kind, _ text: String) {
      (self.members, self.kind, self.text) = (members, kind, text)
    }
  }

  @Test(
    "configurations that are refused by the field's name",
    arguments: [
      Bad(
        #""peft_type": "BOFT""#, .unsupported,
        "'BOFT' are not supported; supported are 'LORA', 'LOHA', 'LOKR', 'IA3', 'VERA', 'PROMPT_TUNING'"
      ),
      Bad(#""peft_type": "P_TUNING""#, .unsupported, "'P_TUNING'"),
      Bad(
        #""peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4, "num_layers": 2, "token_dim": 8"#,
        .missingKey,
        "'num_attention_heads'"),
      Bad(
        #""peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4, "num_layers": 2, "token_dim": 8, "num_attention_heads": 3"#,
        .invalidValue, "'token_dim'"),
      Bad(
        #""peft_type": "PROMPT_TUNING", "num_virtual_tokens": 0"#, .invalidValue,
        "'num_virtual_tokens'"),
      Bad(
        #""peft_type": "PROMPT_TUNING", "num_virtual_tokens": 4, "num_transformer_submodules": 2"#,
        .unsupported,
        "'num_transformer_submodules'"),
      Bad(
        #""peft_type": "PREFIX_TUNING", "num_virtual_tokens": 4, "num_layers": 2147483648"#,
        .invalidValue, "'num_layers'"),
      Bad(#""peft_type": "PROMPT_TUNING""#, .missingKey, "'num_virtual_tokens'"),
      Bad(#""peft_type": "VERA", "bias": "all""#, .unsupported, "'bias'"),
      Bad(#""peft_type": null"#, .missingKey, "'peft_type'"),
      Bad(#""peft_type": null, "fine_tune_type": "lora""#, .unsupported, "MLX"),
      Bad(#""r": 0"#, .invalidValue, "'r': expected a rank of 1 to 1048576, found 0"),
      Bad(#""r": -4"#, .invalidValue, "found -4"),
      Bad(#""r": 8.0"#, .typeMismatch, "found 8.0"),
      Bad(#""r": "8""#, .typeMismatch, "'r'"),
      Bad(#""lora_dropout": 1"#, .invalidValue, "'lora_dropout'"),
      Bad(#""rank_pattern": {"q_proj": 0}"#, .invalidValue, "'rank_pattern.q_proj'"),
      Bad(
        #""rank_pattern": {"q_(proj": 4}"#, .invalidValue,
        "'q_(proj' can't be matched: a group without an end at character 2"),
      Bad(#""alpha_pattern": {"q_proj": "x"}"#, .typeMismatch, "'alpha_pattern.q_proj'"),
      Bad(#""target_modules": ".*(q|v""#, .invalidValue, "'target_modules': '.*(q|v'"),
      Bad(#""target_modules": 5"#, .typeMismatch, "'target_modules'"),
      Bad(#""target_modules": [""]"#, .invalidValue, "'target_modules'"),
      Bad(
        "\"target_modules\": \"\(String(repeating: "(", count: 5000))\"", .invalidValue,
        "groups nested deeper than 50"),
      Bad(#""target_modules": "(a)\\1b""#, .invalidValue, "a reference to a group"),
      Bad(#""target_modules": "(?<=a+)q""#, .invalidValue, "a lookbehind without a fixed width"),
      // Places are those in the key, whatever PEFT puts before it.
      Bad(
        #""rank_pattern": {"(?i)q": 4}"#, .invalidValue,
        "flags of the whole pattern that do not start it at character 0, in Python's syntax; PEFT puts"
      ),
      Bad(#""enable_lora": [true, false]"#, .unsupported, "'enable_lora'"),
      Bad(#""exclude_modules": "[""#, .invalidValue, "'exclude_modules'"),
      Bad(
        #""target_modules": "all-linear", "layers_to_transform": [1]"#, .invalidValue,
        "'layers_to_transform'"),
      Bad(#""layers_pattern": "layers""#, .invalidValue, "'layers_pattern'"),
      Bad(#""lora_alpha": 0"#, .invalidValue, "'lora_alpha': an alpha of 0 makes the scale 0"),
      Bad(#""alpha_pattern": {"q_proj": 0.0}"#, .invalidValue, "'alpha_pattern.q_proj'"),
      Bad(#""bias": "some""#, .invalidValue, "'bias': expected 'none', 'lora_only' or 'all'"),
      Bad(#""use_dora": 1"#, .typeMismatch, "'use_dora'"),
      Bad(#""use_dora": true, "lora_bias": true"#, .invalidValue, "'lora_bias'"),
      Bad(#""modules_to_save": [""]"#, .invalidValue, "'modules_to_save'"),
      Bad(#""layer_replication": [[0, 4], [2, 5]]"#, .unsupported, "stacked anew"),
      Bad(#""trainable_token_indices": [1, 1]"#, .duplicate, "the token 1 is listed twice"),
      Bad(#""trainable_token_indices": {"x": [-1]}"#, .invalidValue, "'trainable_token_indices.x'"),
      Bad(#""trainable_token_indices": "x""#, .typeMismatch, "'trainable_token_indices'"),
      Bad(#""target_parameters": "w""#, .typeMismatch, "'target_parameters'"),
      Bad(#""target_parameters": ["w"], "use_dora": true"#, .unsupported, "'use_dora'"),
      Bad(#""use_qalora": true"#, .unsupported, "QA-LoRA"),
      Bad(#""alora_invocation_tokens": [1]"#, .unsupported, "'alora_invocation_tokens'"),
      Bad(#""megatron_config": {"a": 1}"#, .unsupported, "'megatron_config'"),
      Bad(#""use_bdlora": {"nblocks": 2}"#, .unsupported, "'use_bdlora'"),
      Bad(#""kasa_config": {}"#, .unsupported, "'kasa_config'"),
      Bad(#""init_lora_weights": 5"#, .typeMismatch, "'init_lora_weights'"),
      Bad(#""peft_type": "LOHA", "alpha": 0"#, .invalidValue, "'alpha': an alpha of 0"),
      Bad(#""peft_type": "LOKR", "module_dropout": 1.5"#, .invalidValue, "'module_dropout'"),
      Bad(#""peft_type": "LOKR", "decompose_factor": "x""#, .typeMismatch, "'decompose_factor'"),
      Bad(
        #""peft_type": "IA3", "feedforward_modules": "(""#, .invalidValue, "'feedforward_modules'"),
    ])
  func refused(_ bad: Bad) throws {
    var defaults = ["peft_type": #""LORA""#, "r": "8", "target_modules": #"["q_proj"]"#]
    for key in Array(defaults.keys) where bad.members.contains("\"\(key)\":") {
      defaults[key] = nil
    }
    let members = defaults.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
    let text = "{\((members + [bad.members]).joined(separator: ", "))}"
    expectError(bad.kind, "adapter_config.json: ", bad.text) {
      _ = try PEFTAdapterConfiguration(parsing: Array(text.utf8))
    }
  }

  @Test("expressions as people write them are read, in time linear in the path")
  func expressions() throws {
    let texts = [
      #"(?:.*?(?:vision|layers|text).*?(?:attn|mlp).*?(?:k_proj|v_proj).*?)|(?:\\bmodel\\.layers\\.[\\d]{1,}\\.(?:mlp|attn)\\.(?:(?:k_proj|v_proj)))"#,
      #"model\\.layers\\.(0|[1-9][0-9]*)\\.mlp\\.(up|gate)_proj"#, #"[(+*|]+\\(+x"#,
      #"(layers\\.){1,2}(\\d+\\.)?x"#, "(a+)+b", "x(?:(?:a|aa){1,}b)", "(.*)*",
    ]
    for text in texts {
      let json = #"{"peft_type": "LORA", "target_modules": "\#(text)"}"#
      let recipe = try PEFTAdapterConfiguration(parsing: Array(json.utf8))
      _ = recipe.matches(path: "model.layers.0.mlp.up_proj")
    }
    let lazy = PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: .pattern(".*?.*?.*?.*?.*?!"))
    #expect(!lazy.matches(path: String(repeating: "a", count: 10_000)))
  }

  // MARK: Weights

  private func open(
    _ tensors: [(name: String, tensor: Tensor)],
    configuration: String = #"{"peft_type": "LORA", "r": 2, "target_modules": ["q", "v"]}"#
  ) throws -> PEFTAdapterFile {
    let scratch = try Scratch()
    try scratch.write("adapter_config.json", configuration)
    try SafetensorsWriter.write(
      tensors, copies: Set(tensors.map(\.name)), to: scratch.file("adapter_model.safetensors"))
    return try PEFTAdapterFile(path: scratch.path)
  }

  private let a = Tensor([Float](repeating: 1, count: 6), shape: [2, 3])
  private let b = Tensor([Float](repeating: 2, count: 8), shape: [4, 2])
  private let qA = "base_model.model.m.q.lora_A.weight"
  private let qB = "base_model.model.m.q.lora_B.weight"

  @Test("names with and without the adapter's name, and adapters without an effect")
  func accepted() throws {
    let plain = try open([(qA, a), (qB, b)])
    #expect(plain.description.layers.map(\.path) == ["m.q"])
    #expect(plain.description.layers[0].lowRank?.scale == 4)
    #expect(plain.description.layers[0].lowRank?.inputSize == 3)
    #expect(plain.description.layers[0].lowRank?.outputSize == 4)
    #expect(!plain.description.hasNoEffect)
    let named = try open([
      ("base_model.model.m.q.lora_A.mine.weight", a),
      ("base_model.model.m.q.lora_B.mine.weight", b.converted(to: .float16)),
    ])
    #expect(named.description.layers[0].lowRank?.b == b)
    let idle = try open([(qA, a), (qB, Tensor.zeros([4, 2]))])
    #expect(idle.description.hasNoEffect)
  }

  @Test("tensors that are refused by name")
  func tensors() throws {
    func expect(
      _ kind: FormatError.Kind, _ text: String, _ tensors: [(name: String, tensor: Tensor)],
      sourceLocation: SourceLocation = #_sourceLocation
    ) {
      expectError(kind, "adapter_model.safetensors", text, sourceLocation: sourceLocation) {
        _ = try open(tensors)
      }
    }
    let prefix = "base_model.model.m."
    expect(.missingTensor, "no factors", [])
    expect(.missingTensor, "tensor '\(qB)': it is missing", [(qA, a)])
    expect(.missingTensor, "tensor '\(qA)': it is missing", [(qB, b)])
    expect(.unexpectedTensor, "tensor 'x'", [(qA, a), (qB, b), ("x", a)])
    expect(
      .unexpectedTensor, "neither 'modules_to_save' nor 'bias'",
      [(qA, a), (qB, b), (prefix + "q.weight", a)])
    expect(.unexpectedTensor, "no part of an adapter", [("base_model.model.lora_A.weight", a)])
    expect(.unexpectedTensor, "no part of an adapter", [("base_model.model.weight", a)])
    expect(
      .unexpectedTensor, "do not match 'm.o'",
      [(prefix + "o.lora_A.weight", a), (prefix + "o.lora_B.weight", b)])
    expect(
      .unexpectedTensor, "several adapters", [(qA, a), (prefix + "q.lora_B.other.weight", b)])
    expect(
      .shapeMismatch, "rank 2, found [3, 3]; '", [(qA, Tensor.zeros([3, 3])), (qB, b)])
    expect(.shapeMismatch, "found [2, 4]", [(qA, a), (qB, Tensor.zeros([2, 4]))])
    expect(.shapeMismatch, "found [6]", [(qA, a.reshaped(to: [6])), (qB, b)])
    expect(.shapeMismatch, "empty, found [2, 0]", [(qA, Tensor.zeros([2, 0])), (qB, b)])
    expect(.typeMismatch, "found int32", [(qA, a.converted(to: .int32)), (qB, b)])
    expect(
      .nonFinite, "tensor '\(qB)': the element at [3, 1]",
      [(qA, a), (qB, Tensor([0, 0, 0, 0, 0, 0, 0, Float.nan], shape: [4, 2]))])
  }

  @Test("folders without an adapter, with a pickled one, with named ones")
  func folders() throws {
    let scratch = try Scratch()
    expectError(.missingFile, "adapter_config.json") {
      _ = try PEFTAdapterFile(path: scratch.file("none"))
    }
    try scratch.write("mine/adapter_config.json", "{}")
    expectError(.missingFile, "named adapters: give one of 'mine'") {
      _ = try PEFTAdapterFile(path: scratch.path)
    }
    try scratch.write("adapter_config.json", #"{"peft_type": "LORA", "target_modules": ["q"]}"#)
    expectError(.missingFile, "adapter_model.safetensors") {
      _ = try PEFTAdapterFile(path: scratch.path)
    }
    try scratch.write("adapter_model.bin", "")
    expectError(.unsupported, "adapter_model.bin", "save_pretrained") {
      _ = try PEFTAdapterFile(path: scratch.path)
    }
  }

  @Test("a description that its configuration does not describe is not written")
  func inconsistent() throws {
    let scratch = try Scratch()
    let recipe = PEFTAdapterConfiguration(rank: 2, alpha: 8, targets: .names(["q"]))
    func layer(_ path: String, a: Tensor, b: Tensor, scale: Double = 4)
      -> AdapterDescription.Layer
    {
      AdapterDescription.Layer(path: path, a: a, b: b, alpha: 8, scale: scale)
    }
    let nan = Tensor([Float](repeating: .infinity, count: 8), shape: [4, 2])
    let bad: [(AdapterDescription.Layer, FormatError.Kind, String)] = [
      (layer("m.v", a: a, b: b), .invalidValue, "layer 'm.v': the configuration's targets"),
      (layer("m.q", a: a, b: b, scale: 1), .invalidValue, "scale is 1.0"),
      (layer("m.q", a: Tensor.zeros([3, 3]), b: Tensor.zeros([4, 3])), .invalidValue, "rank 3"),
      (layer("m.q", a: a, b: nan), .nonFinite, "element [0, 0]"),
    ]
    for (layer, kind, text) in bad {
      let file = PEFTAdapterFile(
        configuration: recipe, description: AdapterDescription(layers: [layer]))
      expectError(kind, text) { try file.write(to: scratch.file("out")) }
    }
    #expect(scratch.names.isEmpty)
  }

  @Test("PEFT's adapters of all the fixtures are read")
  func fixtures() throws {
    let models = Fixtures.path("models")
    for name in try FileManager.default.contentsOfDirectory(atPath: models) {
      let path = "\(models)/\(name)/adapter"
      guard FileManager.default.fileExists(atPath: "\(path)/adapter_config.json") else { continue }
      let adapter = try PEFTAdapterFile(path: path)
      #expect(!adapter.description.layers.isEmpty)
    }
  }

  @Test(
    "the reference run's adapters",
    .enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func shared() throws {
    let folder = try #require(Fixtures.shared) + "/reference/stories260k-lora"
    let initial = try PEFTAdapterFile(path: folder + "/init")
    #expect(initial.description.hasNoEffect)
    #expect(initial.description.layers.count == 35)
    let final = try PEFTAdapterFile(path: folder + "/final")
    #expect(!final.description.hasNoEffect)
    let scratch = try Scratch()
    try final.write(to: scratch.path)
    #expect(
      try bytes(of: scratch.file("adapter_model.safetensors"))
        == bytes(of: folder + "/final/adapter_model.safetensors"))
    expectError(.unsupported, "MLX") {
      _ = try PEFTAdapterFile(path: Fixtures.shared.map { $0 + "/adapters/mlx-qwen2.5-0.5b" } ?? "")
    }
  }

  @Test("2,000 damaged configurations: an error or a usable one, never a crash")
  func fuzz() throws {
    let cases = try JSONValue(parsing: bytes(of: Fixtures.path("formats/peft.json")))
    let texts = try #require(cases.arrayValue).compactMap { $0["config"]?.encodedBytes() }
    var random = SplitMix(state: 11)
    var parsed = 0
    for round in 0..<2000 {
      let damaged = mutated(texts[round % texts.count], using: &random)
      do throws(FormatError) {
        let recipe = try PEFTAdapterConfiguration(parsing: damaged)
        _ = recipe.matches(path: "model.layers.0.self_attn.q_proj")
        _ = recipe.scale(forPath: "model.layers.0.self_attn.q_proj")
        _ = try PEFTAdapterConfiguration(parsing: recipe.encoded())
        parsed += 1
      } catch {}
    }
    #expect(parsed > 0)
  }
}
