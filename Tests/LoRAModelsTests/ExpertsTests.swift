import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Mixtures of experts: what they share with PEFT and GGUF files, and what mixing tokens must not change.
/// That their numbers are transformers' is ConformanceTests' and GGUFModelTests' to say.
@Suite struct ExpertsTests {
  /// Models with adapters of experts that PEFT wrote (Tests/Reference/models.py).
  static let adapted = [
    "mixtral-v4-bfloat16", "qwen3-moe-dense-layers", "qwen3-moe-v4", "olmoe-v4-sharded",
  ]
  static let architectures = [Architecture.mixtral, .qwen3MoE, .olmoe]

  private static func open(_ name: String) throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
  }

  private static func recipe(
    _ modules: String, parameters: String, more: String = ""
  ) throws -> PEFTAdapterConfiguration {
    try PEFTAdapterConfiguration(
      parsing: Array(
        """
        {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "target_modules": \(modules),
         "target_parameters": \(parameters)\(more)}
        """.utf8))
  }

  /// A model whose experts have an adapter with effect.
  private static func model(
    _ architecture: Architecture, _ recipe: PEFTAdapterConfiguration, named name: String = "a"
  ) throws -> any PretrainedLanguageModel {
    let model = try TinyModels.make(architecture)
    model.setTrainable(false)
    try inject(recipe, into: model, named: name)
    return model
  }

  private static func inject(
    _ recipe: PEFTAdapterConfiguration, into model: any PretrainedLanguageModel, named name: String
  ) throws {
    try model.inject(recipe, named: name)
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: 4, path: "\(name) \(path)")
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
  }

  private static let all = #"["experts.gate_up_proj", "experts.down_proj", "gate.weight"]"#

  // MARK: PEFT's files

  /// What is read is written again, tensor by tensor and bit by bit, under the configuration that it
  /// came with and under one that is made anew.
  @Test(arguments: adapted) func parametersAreSavedAsPEFTHasThem(name: String) throws {
    let folder = try Fixtures.temporaryFolder()
    let model = try Self.open(name)
    let source = Fixtures.path("models/\(name)/adapter")
    let file = try model.loadAdapter(from: source, named: "a")
    let parameters = try #require(file.peftConfiguration).targetParameters
    #expect(!parameters.isEmpty)
    try model.saveAdapter("a", to: folder + "/kept", configuration: file.peftConfiguration)
    try model.saveAdapter("a", to: folder + "/new")
    let theirs = try SafetensorsFile(path: source + "/adapter_model.safetensors")
    let losses = model.losses(try ExpectedValues(model: name).ids)
    for place in ["kept", "new"] {
      let ours = try SafetensorsFile(path: "\(folder)/\(place)/adapter_model.safetensors")
      #expect(Set(ours.names) == Set(theirs.names))
      for tensor in theirs.names {
        #expect(
          try ours.tensor(named: tensor).converted(to: .float32)
            == theirs.tensor(named: tensor).converted(to: .float32), "\(place): \(tensor)")
      }
      let again = try Self.open(name)
      try again.loadAdapter(from: "\(folder)/\(place)")
      #expect(again.losses(try ExpectedValues(model: name).ids) == losses)
    }
    let kept = try PEFTAdapterConfiguration(path: folder + "/kept/adapter_config.json")
    #expect(kept.targetParameters == parameters)
  }

  /// Layers of single experts, as older versions of transformers had them, keep their names.
  @Test(arguments: architectures) func layersOfExpertsKeepTheirNames(architecture: Architecture)
    throws
  {
    let names =
      architecture == .mixtral ? ["w1", "w2", "w3"] : ["gate_proj", "up_proj", "down_proj"]
    let model = try TinyModels.make(architecture)
    try model.inject(LoRA(rank: 2, alpha: 6), named: "a", into: .names(names + ["gate"]))
    for (path, parameter) in model.adapterParameters(named: "a") {
      var random = SeededRandom(seed: 4, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
    let folder = try Fixtures.temporaryFolder()
    try model.saveAdapter("a", to: folder)
    let file = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
    let middle = architecture == .mixtral ? "block_sparse_moe" : "mlp"
    for layer in ["experts.3.\(names[0])", "experts.0.\(names[1])", "gate"] {
      #expect(
        file.entry(named: "base_model.model.model.layers.0.\(middle).\(layer).lora_A.weight") != nil
      )
    }
    let tokens = TinyModels.tokens([2, 9])
    let logits = withoutGradients { model(tokens).value }
    let other = try TinyModels.make(architecture)
    try other.loadAdapter(from: folder)
    #expect(withoutGradients { other(tokens).value } == logits)
  }

  /// An adapter of gate and up as one parameter and one of the gate alone: PEFT has no such thing.
  @Test func partsBesideTheWholeAreNotSaved() throws {
    let model = try Self.model(.mixtral, Self.recipe("[]", parameters: #"["gate_up_proj"]"#))
    let whole = try model.describeAdapter("a")
    let other = try TinyModels.make(.mixtral)
    try other.inject(LoRA(rank: 2, alpha: 6), named: "b", into: ["w1"])
    let part = try other.describeAdapter("b")
    try other.attach(
      AdapterDescription(layers: whole.layers + part.layers), named: "both")
    let folder = try Fixtures.temporaryFolder()
    let error = #expect(throws: FormatError.self) { try other.saveAdapter("both", to: folder) }
    #expect(error?.kind == .unsupported)
    #expect(error?.description.contains("experts.0.w1") == true)
    #expect(error?.description.contains("experts.gate_up_proj.0") == true)
  }

  @Test func incompleteFilesAreRefused() throws {
    let source = Fixtures.path("models/mixtral-v4-bfloat16/adapter")
    let file = try SafetensorsFile(path: source + "/adapter_model.safetensors")
    func refusal(_ isKept: (String) -> Bool, _ configuration: String? = nil) throws -> FormatError?
    {
      let place = try Fixtures.temporaryFolder()
      try SafetensorsWriter.write(
        try file.names.filter(isKept).map { ($0, try file.tensor(named: $0)) },
        to: place + "/adapter_model.safetensors")
      var text = String(
        decoding: try FileSystem.read(source + "/adapter_config.json", limit: 1 << 20),
        as: UTF8.self)
      if let configuration { text = text.replacing("\"gate.weight\"", with: configuration) }
      try AtomicFile.writeAll([.init(place + "/adapter_config.json", Array(text.utf8))])
      do throws(FormatError) {
        _ = try AdapterFile(path: place)
        return nil
      } catch { return error }
    }
    #expect(try refusal { _ in true } == nil)
    let outer = "base_model.model.model.layers.0.mlp.experts.lora_"
    let missing = try #require(try refusal { !$0.hasPrefix(outer) })
    #expect(missing.kind == .missingTensor)
    #expect(missing.description.contains("'model.layers.0.mlp.experts.down_proj'"))
    let half = try #require(try refusal { $0 != outer + "B.weight" })
    #expect(half.kind == .missingTensor && half.description.contains("lora_B"))
    let stray = try #require(try refusal({ _ in true }, "\"other.weight\""))
    #expect(stray.kind == .unexpectedTensor && stray.description.contains("mlp.gate"))
  }

  // MARK: Training

  /// Gradients through router, experts and adapters of them as parameters.
  @Test(arguments: architectures) func gradientsOfParametersAgree(architecture: Architecture) throws
  {
    let model = try Self.model(architecture, Self.recipe("[]", parameters: Self.all))
    let (tokens, targets) = (TinyModels.tokens([2, 6]), TinyModels.tokens([2, 6], seed: 1))
    let parameters = model.adapterParameters(named: "a").map(\.parameter)
    let check = checkGradients(of: parameters, step: 0x1p-6, maximumElements: 3) {
      model.loss(tokens: tokens, targets: targets, scale: 0.25)
    }
    #expect(check.isWithin(5e-3), "\(check)")
  }

  /// What no token passes through has a gradient of zeros, so that an optimizer treats all experts as
  /// PyTorch does, which has them in one tensor.
  @Test func idleExpertsHaveGradientsOfZeros() throws {
    let model = try Self.model(.olmoe, Self.recipe("[]", parameters: Self.all))
    // One token has two of four experts.
    let gradients = model.loss(
      tokens: TinyModels.tokens([1, 1]), targets: TinyModels.tokens([1, 1], seed: 1), scale: 1
    ).gradients()
    let all = model.adapterParameters(named: "a")
    #expect(all.count == 2 * (4 * 4 + 2))
    let zeros = try all.filter { path, parameter in
      try #require(gradients[parameter], "\(path)").scalars().allSatisfy { $0 == 0 }
    }
    #expect(zeros.count == 2 * 2 * 4, "\(zeros.map(\.path))")
    #expect(zeros.allSatisfy { $0.path.contains("experts") })
  }

  // MARK: Inference

  /// Items with adapters of their own share experts' tokens with none.
  @Test(arguments: architectures) func itemsHaveTheirOwn(architecture: Architecture) throws {
    let model = try Self.model(architecture, Self.recipe("[]", parameters: Self.all))
    try Self.inject(Self.recipe(#"["q_proj"]"#, parameters: "[]"), into: model, named: "b")
    let tokens = TinyModels.tokens([3, 7], seed: 9)
    let choices: [AdapterSelection] = [["a": 1], [:], ["a": 0.5, "b": 1]]
    let together = try withoutGradients {
      try model.withAdapters(perItem: choices) { model(tokens).value }
    }
    for (item, choice) in choices.enumerated() {
      let alone = try withoutGradients {
        try model.withAdapters(choice) { model(tokens[rows: item..<item + 1]).value }
      }
      #expect(largestDifference(together[rows: item..<item + 1], alone) < 2e-5, "\(item)")
    }
  }

  /// Merged experts give the adapter's function, in memory and from files, and leave the base as it was.
  @Test(arguments: architectures) func mergedParametersAreTheSame(architecture: Architecture) throws
  {
    let folder = try Fixtures.temporaryFolder()
    let model = try Self.model(architecture, Self.recipe("[]", parameters: Self.all))
    try model.inject(LoRA(rank: 2, alpha: 6), named: "single", into: .names(["w1", "gate_proj"]))
    for (path, parameter) in model.adapterParameters(named: "single") {
      var random = SeededRandom(seed: 8, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.3)
    }
    let tokens = TinyModels.tokens([2, 9])
    func logits(_ model: any PretrainedLanguageModel) -> Tensor {
      withoutGradients { model(tokens).value }
    }
    let adapted = logits(model)
    let both: AdapterSelection = ["a": 1, "single": 1]
    try model.mergeAdapters(both)
    #expect(largestDifference(logits(model), adapted) < 1e-4)
    try model.save(to: folder)
    let opened = try PretrainedModel(path: folder).languageModel
    #expect(logits(opened) == logits(model))
    try model.unmergeAdapters()
    #expect(logits(model) == adapted)
  }

  /// Adapters of experts go to GGUF and back; gate and up, which are one parameter in PEFT, are two
  /// there.
  @Test func adaptersOfGGUFFiles() throws {
    let folder = try Fixtures.temporaryFolder()
    let path = Fixtures.path("gguf/models/mixtral-quantized")
    let options = AdapterFile.Options(basePath: path + ".gguf")
    let peft = try AdapterFile(path: path + "-adapter", options: options)
    try peft.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
    let gguf = try AdapterFile(path: folder + "/adapter.gguf", options: options)
    #expect(gguf.description.layers.count == 2 * (2 + 3 * 4))
    let ids = try SafetensorsFile(path: path + ".safetensors").tensor(named: "ids")
    let model = try PretrainedModel(path: path + ".gguf").languageModel
    try model.loadAdapter(peft, named: "peft")
    let expected = model.losses(ids)
    try model.disableAdapters()
    try model.loadAdapter(gguf, named: "gguf")
    #expect(largestDifference(model.losses(ids), expected) < 1e-5)
    // A format without a place for parameters says so.
    #expect(throws: FormatError.self) {
      try AdapterFile(path: path + "-adapter").write(as: .kohya, to: folder + "/kohya.safetensors")
    }
  }

  /// Files call Mixtral "llama", which has no experts: they are experts all the same, which all-linear
  /// leaves out.
  @Test func allLinearLeavesOutTheExpertsOfAFile() throws {
    let (folder, path) = (
      try Fixtures.temporaryFolder(), Fixtures.path("gguf/models/mixtral-quantized")
    )
    let pretrained = try PretrainedModel(path: path + ".gguf")
    let model = try pretrained.languageModel
    try model.inject(
      LoRA(rank: 2, alpha: 4), named: "a", into: .names(["q_proj", "k_proj", "v_proj", "o_proj"]),
      seed: 1)
    try model.saveAdapter("a", to: folder + "/named")
    var file = try AdapterFile(path: folder + "/named")
    var recipe = try #require(file.peftConfiguration)
    recipe.targets = .allLinear
    try PEFTAdapterFile(configuration: recipe, description: file.description)
      .write(to: folder + "/all")
    try pretrained.save(to: folder + "/model", type: .float32)
    for base in [path + ".gguf", folder + "/model"] {
      file = try AdapterFile(path: folder + "/all", options: .init(basePath: base))
      #expect(file.description.layers.count == 8)
    }
  }

  /// Experts in quantized stacks that an adapter is merged into are quantized again.
  @Test func mergedStacksAreWritten() throws {
    let folder = try Fixtures.temporaryFolder()
    let path = Fixtures.path("gguf/models/mixtral-quantized")
    let pretrained = try PretrainedModel(path: path + ".gguf")
    let model = try pretrained.languageModel
    try model.loadAdapter(from: path + "-adapter")
    let ids = try SafetensorsFile(path: path + ".safetensors").tensor(named: "ids")
    for (quantized, name) in [(QuantizedMerging.requantized, "again"), (.float32, "wide")] {
      try model.mergeAdapters(["default": 1], quantized: quantized)
      let merged = model.losses(ids)
      try pretrained.saveGGUF(to: "\(folder)/\(name).gguf")
      let written = try PretrainedModel(path: "\(folder)/\(name).gguf")
      #expect(try written.languageModel.losses(ids) == merged)
      let type = written.model.namedParameters().first { $0.path.hasSuffix("experts.2.w1.weight") }?
        .parameter.value.dtype
      #expect(type == (name == "again" ? .q8_0 : .float32))
      try model.unmergeAdapters()
    }
  }

  // MARK: Refusals

  private func refusal(_ architecture: Architecture, _ fields: String) -> FormatError? {
    let text = """
      {"model_type": "\(architecture)", "hidden_size": 16, "intermediate_size": 12, "vocab_size": 24,
       "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
       \(fields)}
      """
    do throws(FormatError) {
      _ = try ModelConfiguration(parsing: Array(text.utf8)).modelOfShapesOrError()
      return nil
    } catch { return error }
  }

  @Test func optionsThatAreNotComputedAreRefusedByName() throws {
    let cases: [(Architecture, String, FormatError.Kind, String)] = [
      (.olmoe, #""clip_qkv": 8.0"#, .unsupported, "'clip_qkv'"),
      (.mixtral, #""router_jitter_noise": 0.1"#, .unsupported, "'router_jitter_noise'"),
      (.qwen3MoE, #""output_router_logits": true"#, .unsupported, "'output_router_logits'"),
      (
        .mixtral, #""num_local_experts": 2, "num_experts_per_tok": 3"#, .invalidValue,
        "'num_experts_per_tok'"
      ),
      (.qwen3MoE, #""mlp_only_layers": ["a"]"#, .typeMismatch, "'mlp_only_layers'"),
    ]
    for (architecture, fields, kind, text) in cases {
      let error = try #require(refusal(architecture, fields))
      #expect(error.kind == kind && error.description.contains(text), "\(error)")
    }
    for architecture in Self.architectures {
      #expect(refusal(architecture, #""clip_qkv": null, "num_experts_per_tok": 2"#) == nil)
    }
  }

  /// Layers whose adapters PEFT has no place for: left out of all, refused by name.
  @Test func otherMethodsLeaveExpertsAlone() throws {
    let model = try TinyModels.make(.mixtral)
    let report = try model.inject(DoRA(rank: 2), named: "all")
    #expect(report.layers.count == 2 * 4)
    #expect(report.warnings.contains { $0.contains("mixture of experts") }, "\(report.warnings)")
    for method: any AdapterMethod in [DoRA(rank: 2), IA3(), LoRA(rank: 2, dropout: 0.1)] {
      do {
        try inject(method, into: model, ["w2", "q_proj"])
        Issue.record("\(method) was injected")
      } catch {
        #expect("\(error)".contains("experts by plain LoRA"), "\(error)")
      }
    }
    #expect(model.adapterNames == ["all"])
    #expect(throws: FormatError.self) {
      try Self.recipe("[]", parameters: Self.all, more: #", "use_dora": true"#)
    }
    #expect(throws: AdapterError.self) {
      try model.inject(
        Self.recipe("[]", parameters: Self.all, more: #", "lora_dropout": 0.5"#), named: "dropping")
    }
    #expect(throws: AdapterError.self) {
      try model.inject(Self.recipe("[]", parameters: #"["experts.up_proj"]"#), named: "none")
    }
  }

  private func inject(
    _ method: some AdapterMethod, into model: any PretrainedLanguageModel, _ names: [String]
  ) throws {
    try model.inject(method, named: "named", into: .names(names))
  }
}

extension ModelConfiguration {
  /// Nothing; throws what is wrong with the structure.
  fileprivate func modelOfShapesOrError() throws(FormatError) -> TransformerStructure {
    try architecture.structure(self)
  }
}
