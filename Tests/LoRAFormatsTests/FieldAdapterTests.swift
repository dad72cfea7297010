import Foundation
import LoRAJSON
import LoRATensor
import Testing
@testable import LoRAArchitectures
@testable import LoRAFiles
@testable import LoRAFormats

/// Adapters as PEFT of all ages, diffusers, loralib and people's folders have them.
@Suite struct FieldAdapterTests {
  // MARK: diffusers' metadata

  private static let unet = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"

  private static func diffusers(
    _ scratch: Scratch, _ name: String, _ paths: [String], _ metadata: String?
  ) throws -> String {
    var tensors: [(name: String, tensor: Tensor)] = []
    for path in paths {
      tensors.append(
        ("\(path).lora_A.weight", Tensor([1, 2, 3, 4, 5, 6] as [Float], shape: [2, 3])))
      tensors.append(("\(path).lora_B.weight", Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])))
    }
    let path = scratch.file(name)
    try SafetensorsWriter.write(
      tensors, metadata: metadata.map { ["lora_adapter_metadata": $0] } ?? [:], to: path)
    return path
  }

  @Test(arguments: [
    // Saved alone: neither has the part. Names of old files, with the part in the metadata. And the
    // other way round.
    ("", #"{"r": 2, "lora_alpha": 16}"#), ("", #"{"unet.r": 2, "unet.lora_alpha": 16}"#),
    ("unet.", #"{"r": 2, "lora_alpha": 16}"#),
    ("unet.", #"{"unet.r": 2, "unet.lora_alpha": 16}"#),
  ])
  func metadataIsMatchedWithAndWithoutThePart(prefix: String, metadata: String) throws {
    let scratch = try Scratch()
    let path = try Self.diffusers(scratch, "d.safetensors", [prefix + Self.unet], metadata)
    let file = try AdapterFile(path: path)
    #expect(file.format == .diffusers && file.notes.isEmpty && !file.assumesScale)
    #expect(file.description.layers[0].path == "unet." + Self.unet)
    #expect(file.description.layers[0].lowRank?.scale == 8)
    // And so it is in whatever is made of it.
    for format in [AdapterFormat.peft, .kohya, .diffusers, .lycoris] {
      let output = scratch.file("\(format)" + (format.isFolder ? "" : ".safetensors"))
      try file.write(as: format, to: output)
      let back = try AdapterFile(path: output).description
      #expect(back.layers[0].lowRank?.scale == 8 && back.layers.count == 1, "\(format)")
    }
  }

  @Test func transformerSavedAlone() throws {
    let scratch = try Scratch()
    for (name, layer) in [
      ("flux", "single_transformer_blocks.3.attn.to_q"), ("other", "layers.0.attention.to_q"),
    ] {
      let path = try Self.diffusers(
        scratch, "\(name).safetensors", [layer], #"{"r": 2, "lora_alpha": 1, "use_rslora": true}"#)
      let file = try AdapterFile(path: path)
      #expect(file.description.layers[0].path == "transformer." + layer)
      #expect(file.description.layers[0].lowRank?.scale == 1 / 2.0.squareRoot())
    }
    // Names that only diffusers' transformers have need no metadata.
    let bare = try Self.diffusers(
      scratch, "bare.safetensors", ["transformer_blocks.3.attn.to_q"], nil)
    #expect(try AdapterFile(path: bare).description.layers[0].lowRank?.scale == 1)
  }

  @Test func whatIsNotMatchedIsSaid() throws {
    let scratch = try Scratch()
    let text = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj"
    let both = ["unet." + Self.unet, text]
    let one = try Self.diffusers(
      scratch, "one.safetensors", both, #"{"unet.r": 2, "unet.lora_alpha": 16}"#)
    let file = try AdapterFile(path: one)
    #expect(file.assumesScale)
    #expect(
      file.notes.contains { $0.text.contains("'text_encoder'") && $0.text.contains("scale of 1") })
    let bare = try Self.diffusers(
      scratch, "bare.safetensors", both, #"{"r": 2, "lora_alpha": 16}"#)
    expectError(.invalidValue, "without saying which", "'unet', 'text_encoder'") {
      _ = try AdapterFile(path: bare)
    }
    let mixed = try Self.diffusers(
      scratch, "mixed.safetensors", ["unet." + Self.unet],
      #"{"unet.r": 2, "unet.lora_alpha": 16, "lora_alpha": 4}"#)
    expectError(.invalidValue, "'lora_alpha'") { _ = try AdapterFile(path: mixed) }
    let stranger = try Self.diffusers(
      scratch, "stranger.safetensors", ["unet." + Self.unet],
      #"{"unet.r": 2, "unet.lora_alpha": 16, "prior.r": 2}"#)
    #expect(
      try AdapterFile(path: stranger).notes.contains { $0.text.contains("'prior'") })
    let rank = try Self.diffusers(
      scratch, "rank.safetensors", [Self.unet], #"{"r": 4, "lora_alpha": 16}"#)
    expectError(.shapeMismatch, "its rank is 2", "says 4") { _ = try AdapterFile(path: rank) }
  }

  @Test func alphasOfTensorsAndOfMetadataMustAgree() throws {
    let scratch = try Scratch()
    for (alpha, isFine) in [(16, true), (4, false)] as [(Float, Bool)] {
      let path = scratch.file("a\(alpha).safetensors")
      try SafetensorsWriter.write(
        [
          ("unet.\(Self.unet).lora_A.weight", Tensor.zeros([2, 3])),
          ("unet.\(Self.unet).lora_B.weight", Tensor.zeros([2, 2])),
          ("unet.\(Self.unet).alpha", Tensor([alpha], shape: [])),
        ], metadata: ["lora_adapter_metadata": #"{"unet.r": 2, "unet.lora_alpha": 16}"#], to: path)
      if isFine {
        #expect(try AdapterFile(path: path).description.layers[0].lowRank?.scale == 8)
      } else {
        expectError(.invalidValue, "alpha 4.0", "16.0") { _ = try AdapterFile(path: path) }
      }
    }
  }

  @Test(.enabled(if: fieldCase("30-diffusers-metadata-without-prefix") != nil, "needs ../shared"))
  func savedByDiffusers() throws {
    let folder = try #require(fieldCase("30-diffusers-metadata-without-prefix")) + "/saved"
    let file = try AdapterFile(path: folder)
    #expect(file.description.layers.count == 16)
    #expect(file.description.layers.allSatisfy { $0.lowRank?.scale == 4 })
  }

  // MARK: Parts of image models

  @Test func folderOfAUNetIsOpenedAlone() throws {
    let scratch = try Scratch()
    let whole = try scratch.peft("pipe/unet", #""target_modules": ["to_q"]"#, layers: [Self.unet])
    let text = "text_model.encoder.layers.0.self_attn.q_proj"
    _ = try scratch.peft(
      "pipe/text_encoder", #""target_modules": ["q_proj"]"#, layers: [text])
    let unet = try AdapterFile(path: whole)
    #expect(unet.description.layers.map(\.path) == ["unet." + Self.unet])
    let encoder = try AdapterFile(path: scratch.file("pipe/text_encoder"))
    #expect(encoder.description.layers.map(\.path) == ["text_encoder." + text])
    let pipe = try AdapterFile(path: scratch.file("pipe"))
    #expect(pipe.description.layers.count == 2)
    try unet.write(as: .diffusers, to: scratch.file("d.safetensors"))
    #expect(
      try AdapterFile(path: scratch.file("d.safetensors")).description.layers[0].lowRank?.scale
        == 4)
    // A UNet's layers tell it whatever the folder is called, a language model's are none.
    let other = try scratch.peft("style", #""target_modules": ["to_q"]"#, layers: [Self.unet])
    #expect(try AdapterFile(path: other).description.layers[0].path == "unet." + Self.unet)
    let language = try scratch.peft(
      "transformer", #""target_modules": ["q_proj"]"#, layers: ["model.layers.0.self_attn.q_proj"])
    #expect(
      try AdapterFile(path: language).description.layers[0].path
        == "model.layers.0.self_attn.q_proj")
  }

  // MARK: Heads

  @Test(arguments: [
    ("SEQ_CLS", "score"), ("SEQ_CLS", "classifier"), ("TOKEN_CLS", "classifier"),
    ("TOKEN_CLS", "score"), ("QUESTION_ANS", "qa_outputs"),
  ])
  func headOfATaskNeedsNoModulesToSave(task: String, head: String) throws {
    let scratch = try Scratch()
    let layer = "model.encoder.0.query"
    for (index, name) in [
      "\(head).weight", "\(head).modules_to_save.weight", "\(head).modules_to_save.default.weight",
    ].enumerated() {
      let old = try scratch.peft(
        "old\(index)",
        #""target_modules": ["query"], "task_type": "\#(task)", "modules_to_save": null"#,
        layers: [layer], others: ["base_model.model.\(name)": [3, 4]])
      let new = try scratch.peft(
        "new\(index)",
        #""target_modules": ["query"], "task_type": "\#(task)", "modules_to_save": ["\#(head)"]"#,
        layers: [layer], others: ["base_model.model.\(name)": [3, 4]])
      let (a, b) = (try AdapterFile(path: old), try AdapterFile(path: new))
      #expect(a.notes.isEmpty && b.notes.isEmpty)
      #expect(a.description.replacements.map(\.path) == ["\(head).weight"])
      #expect(try a.description.agreement(with: b.description, file: "").identicalLayers == 1)
      #expect(a.description.replacements[0].value == b.description.replacements[0].value)
      // It is written so that any PEFT reads it.
      try a.write(as: .peft, to: scratch.file("back\(index)"))
      let back = try AdapterFile(path: scratch.file("back\(index)"))
      #expect(back.description.replacements[0].value == a.description.replacements[0].value)
    }
  }

  @Test func headOfSeveralLayersAndOfNoTask() throws {
    let scratch = try Scratch()
    let others: KeyValuePairs<String, [Int]> = [
      "base_model.model.classifier.dense.weight": [4, 4],
      "base_model.model.classifier.dense.bias": [4],
      "base_model.model.classifier.out_proj.weight": [2, 4],
      "base_model.model.classifier.out_proj.bias": [2],
    ]
    let old = try scratch.peft(
      "old", #""target_modules": ["query"], "task_type": "SEQ_CLS""#,
      layers: ["roberta.encoder.layer.0.attention.self.query"], others: others)
    #expect(try AdapterFile(path: old).description.replacements.count == 4)
    let none = try scratch.peft(
      "none", #""target_modules": ["query"], "task_type": "CAUSAL_LM""#,
      layers: ["roberta.encoder.layer.0.attention.self.query"], others: others)
    expectError(.unexpectedTensor, "classifier.dense.", "modules_to_save") {
      _ = try AdapterFile(path: none)
    }
    let headless = try scratch.peft(
      "headless", #""target_modules": ["query"], "task_type": "SEQ_CLS""#,
      layers: ["roberta.encoder.layer.0.attention.self.query"])
    #expect(
      try AdapterFile(path: headless).notes.contains {
        $0.text.contains("SEQ_CLS") && $0.text.contains("'classifier'")
      })
  }

  @Test func headOfSeveralLayersUnderItsNamesWhileTraining() throws {
    let scratch = try Scratch()
    for (index, adapter) in ["", "default.", "mine."].enumerated() {
      let names = ["dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias"]
      let folder = scratch.file("a\(index)")
      try scratch.write(
        "a\(index)/adapter_config.json",
        #"{"peft_type": "LORA", "r": 2, "target_modules": ["query"], "task_type": "SEQ_CLS"}"#)
      var tensors: [(name: String, tensor: Tensor)] = names.map {
        ("base_model.model.classifier.modules_to_save.\(adapter)\($0)", Tensor([1, 2] as [Float]))
      }
      tensors.append(("base_model.model.l.query.lora_A.\(adapter)weight", .zeros([2, 3])))
      tensors.append(("base_model.model.l.query.lora_B.\(adapter)weight", .zeros([3, 2])))
      try SafetensorsWriter.write(tensors, to: folder + "/adapter_model.safetensors")
      #expect(
        Set(try AdapterFile(path: folder).description.replacements.map(\.path))
          == Set(names.map { "classifier.\($0)" }), "\(adapter)")
    }
  }

  @Test func biasesOfOlderFilesLieAtTheLayer() throws {
    let scratch = try Scratch()
    for bias in ["lora_only", "all"] {
      let folder = try scratch.peft(
        bias, #""target_modules": ["q_proj"], "bias": "\#(bias)""#,
        layers: ["model.layers.0.self_attn.q_proj"],
        others: ["base_model.model.model.layers.0.self_attn.q_proj.bias": [4]])
      #expect(
        try AdapterFile(path: folder).description.replacements.map(\.path)
          == ["model.layers.0.self_attn.q_proj.bias"])
    }
    let none = try scratch.peft(
      "none", #""target_modules": ["q_proj"]"#, layers: ["model.layers.0.self_attn.q_proj"],
      others: ["base_model.model.model.layers.0.self_attn.q_proj.bias": [4]])
    expectError(.unexpectedTensor, "q_proj.bias") { _ = try AdapterFile(path: none) }
  }

  @Test(.enabled(if: fieldCase("32-head-of-a-classifier") != nil, "needs ../shared"))
  func oldClassifierEqualsNew() throws {
    let folder = try #require(fieldCase("32-head-of-a-classifier"))
    let options = AdapterFile.Options(basePath: folder + "/base")
    let old = try AdapterFile(path: folder + "/old", options: options).description
    let new = try AdapterFile(path: folder + "/new", options: options).description
    #expect(try old.agreement(with: new, file: "").identicalLayers == 2)
    #expect(old.replacements.count == 1 && old.replacements[0].path == "score.weight")
  }

  // MARK: loralib

  @Test func loralibsClassifierKeepsItsHead() throws {
    let scratch = try Scratch()
    let query = "roberta.encoder.layer.0.attention.self.query"
    let tensors = try scratch.weights(
      "mnli.safetensors",
      [
        "\(query).lora_A": [2, 4], "\(query).lora_B": [4, 2], "\(query).bias": [4],
        "classifier.dense.weight": [4, 4], "classifier.dense.bias": [4],
        "classifier.out_proj.weight": [3, 4], "classifier.out_proj.bias": [3],
      ])
    let file = try AdapterFile(
      path: scratch.file("mnli.safetensors"), options: .init(alpha: 16))
    #expect(file.format == .loralib && file.description.layers[0].lowRank?.scale == 8)
    #expect(file.description.replacements.count == 5)
    try file.write(as: .peft, to: scratch.file("peft"))
    let peft = try AdapterFile(path: scratch.file("peft"))
    #expect(peft.description.layers[0].lowRank?.scale == 8)
    for replacement in peft.description.replacements {
      #expect(replacement.value == tensors[replacement.path], "\(replacement.path)")
    }
    #expect(peft.description.replacements.count == 5)
    // PEFT would ask a causal language model for methods that a classifier lacks.
    #expect(peft.peftConfiguration?.taskType == nil)
    try peft.write(as: .loralib, to: scratch.file("back.safetensors"))
    let back = try SafetensorsFile(path: scratch.file("back.safetensors"))
    #expect(Set(back.names) == Set(tensors.keys))
    for (name, tensor) in tensors { #expect(try back.tensor(named: name) == tensor) }
  }

  @Test func loralibsWholeModelIsNoAdapter() throws {
    let scratch = try Scratch()
    try scratch.weights(
      "whole.safetensors",
      ["a.query.lora_A": [2, 4], "a.query.lora_B": [4, 2], "a.query.weight": [4, 4]])
    expectError(.unexpectedTensor, "a.query.weight", "whole model") {
      _ = try AdapterFile(path: scratch.file("whole.safetensors"), options: .init(alpha: 1))
    }
    try scratch.weights(
      "odd.safetensors", ["a.query.lora_A": [2, 4], "a.query.lora_B": [4, 2], "a.scale": [4]])
    expectError(.unexpectedTensor, "a.scale") {
      _ = try AdapterFile(path: scratch.file("odd.safetensors"), options: .init(alpha: 1))
    }
  }

  // MARK: Configurations

  @Test func unknownFieldsAreNamedAndUnknownSwitchesRefused() throws {
    let scratch = try Scratch()
    func open(_ field: String) throws -> AdapterFile {
      try AdapterFile(
        path: scratch.peft(
          "a\(abs(field.hashValue))", #""target_modules": ["q_proj"], \#(field)"#,
          layers: ["model.layers.0.self_attn.q_proj"]))
    }
    let file = try open(#""zeta_config": {"a": 1}, "beta": 0.5"#)
    #expect(file.peftConfiguration?.unknownFields == ["beta", "zeta_config"])
    #expect(file.notes.contains { $0.text.contains("'beta', 'zeta_config'") })
    for silent in [
      #""zeta_config": null"#, #""zeta": {}"#, #""use_zeta": false"#, #""zeta": []"#,
      #""zeta": """#,
      // What versions of PEFT write, with their defaults.
      #""megatron_core": "megatron.core", "qalora_group_size": 16, "loftq_config": {}, "merge_weights": false, "enable_lora": null, "peft_version": "0.21.2@abc", "auto_mapping": {"base_model_class": "X"}, "eva_config": null, "runtime_config": {"ephemeral_gpu_offload": false}"#,
    ] {
      #expect(try open(silent).notes.isEmpty, "\(silent)")
    }
    expectError(.unsupported, "'use_zeta'", "not known") { _ = try open(#""use_zeta": true"#) }
    expectError(.unsupported, "'use_qalora'") { _ = try open(#""use_qalora": true"#) }
  }

  @Test func numbersOfConfigurations() throws {
    func configuration(_ fields: String) throws -> PEFTAdapterConfiguration {
      try PEFTAdapterConfiguration(
        parsing: Array(#"{"peft_type": "LORA", "target_modules": ["q"], \#(fields)}"#.utf8))
    }
    #expect(try configuration(#""r": 8, "lora_alpha": 16.0"#).scale(forPath: "q") == 2)
    #expect(try configuration(#""r": 8, "lora_alpha": -4"#).scale(forPath: "q") == -0.5)
    #expect(try configuration(#""layers_to_transform": 3"#).layersToTransform == [3])
    #expect(
      try configuration(#""layers_to_transform": [1], "layers_pattern": "h""#).layersPattern
        == ["h"])
    for (fields, kind, word) in [
      (#""r": 0"#, .invalidValue, "'r'"), (#""r": -1"#, .invalidValue, "'r'"),
      (#""r": 99999999999"#, .invalidValue, "'r'"), (#""r": "8""#, .typeMismatch, "'r'"),
      (#""r": 8.0"#, .typeMismatch, "'r'"), (#""lora_alpha": "16""#, .typeMismatch, "'lora_alpha'"),
      (#""lora_alpha": 0"#, .invalidValue, "no effect"),
      (#""lora_alpha": true"#, .typeMismatch, "'lora_alpha'"),
      (#""r": 8, "r": 16"#, .malformed, "\"r\""),
      (#""lora_alpha": NaN"#, .malformed, "JSON"),
      (#""bias": "some""#, .invalidValue, "'bias'"),
      (#""rank_pattern": {"q": 0}"#, .invalidValue, "rank_pattern.q"),
      (#""enable_lora": [true, false, true]"#, .unsupported, "'enable_lora'"),
    ] as [(String, FormatError.Kind, String)] {
      expectError(kind, word) { _ = try configuration(fields) }
    }
    expectError(.malformed, "no double can hold") {
      _ = try configuration(#""lora_alpha": 1e999"#)
    }
    // A byte order mark says nothing.
    let marked = try PEFTAdapterConfiguration(
      parsing: [0xEF, 0xBB, 0xBF] + Array(#"{"peft_type": "LORA", "r": 4}"#.utf8))
    #expect(marked.rank == 4)
  }

  // MARK: Folders

  @Test func foldersSayWhatTheyHold() throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(
      atPath: scratch.file("empty"), withIntermediateDirectories: true)
    expectError(.missingFile, "the folder is empty") {
      _ = try AdapterFile(path: scratch.file("empty"))
    }
    for step in [500, 1000, 50] {
      _ = try scratch.peft(
        "run/checkpoint-\(step)", #""target_modules": ["q_proj"]"#,
        layers: ["model.layers.0.self_attn.q_proj"])
    }
    expectError(
      .missingFile, "checkpoints of a training run",
      "'checkpoint-50', 'checkpoint-500', 'checkpoint-1000'"
    ) { _ = try AdapterFile(path: scratch.file("run")) }
    let two = try scratch.peft(
      "two", #""target_modules": ["q_proj"]"#, layers: ["model.layers.0.self_attn.q_proj"])
    try scratch.weights("two/adapters.safetensors", ["a.lora_a": [4, 2], "a.lora_b": [2, 4]])
    #expect(try AdapterFile(path: two).format == .peft)
    #expect(
      try AdapterFile(path: two).notes.contains { $0.text.contains("'adapters.safetensors'") })
    try scratch.write("bin/adapter_config.json", #"{"peft_type": "LORA", "r": 4}"#)
    try scratch.write("bin/adapter_model.bin", [0x80, 2, 0, 0])
    expectError(.unsupported, "pickle", "save_pretrained") {
      _ = try AdapterFile(path: scratch.file("bin"))
    }
  }

  private static let pointer =
    "version https://git-lfs.github.com/spec/v1\n"
    + "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"

  @Test func pointersOfGitAreKnownWhereverAFileIsOpened() throws {
    let scratch = try Scratch()
    try scratch.write("peft/adapter_config.json", #"{"peft_type": "LORA", "r": 4}"#)
    try scratch.write("bin/adapter_config.json", #"{"peft_type": "LORA", "r": 4}"#)
    try scratch.write("mlx/adapter_config.json", #"{"lora_parameters": {"rank": 4, "scale": 1.0}}"#)
    try scratch.write("model/config.json", #"{"model_type": "llama"}"#)
    for name in [
      "peft/adapter_model.safetensors", "bin/adapter_model.bin", "mlx/adapters.safetensors",
      "model/model.safetensors", "a.safetensors", "a.gguf", "a.npz", "a.pt",
    ] {
      try scratch.write(name, Self.pointer)
    }
    for name in ["peft", "bin", "mlx", "a.safetensors", "a.gguf", "a.npz", "a.pt"] {
      expectError(.missingFile, "Git LFS pointer", "12345 bytes", "git lfs pull") {
        _ = try AdapterFile(path: scratch.file(name))
      }
    }
    expectError(.missingFile, "git lfs pull") {
      _ = try ModelDirectory(path: scratch.file("model"))
    }
    expectError(.missingFile, "git lfs pull") { _ = try GGUFFile(path: scratch.file("a.gguf")) }
    // A text that only speaks of it is none.
    let text = try scratch.write("b.safetensors", "see https://git-lfs.github.com/spec/v1")
    expectError(.malformed) { _ = try SafetensorsFile(path: text) }
  }
}
