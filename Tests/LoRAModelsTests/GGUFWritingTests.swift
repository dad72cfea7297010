import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATemplates
import LoRATensor
import LoRAText
import Testing

@testable import LoRAModels

/// Models from folders as GGUF files, read again; Tests/Reference/gguf_writing.py compares the files with
/// those of llama.cpp's converter.
@Suite struct GGUFWritingTests {
  /// Why some of the fixtures have no place in GGUF files: what the error names.
  private static let refused: [String: String] = {
    var reasons: [String: String] = [:]
    for name in [
      "gpt-neo-windows", "gptj-tied", "ministral-windows", "opt-norms-after", "opt-projected",
      "opt-untied",
    ] { reasons[name] = "'model_type'" }
    for name in ["gemma2-uncapped-v4", "gemma2-untied-bfloat16"] {
      reasons[name] = "the output head"
    }
    for name in ["gemma2-windows", "gemma3-windows"] { reasons[name] = "attention.scale" }
    for name in ["gpt-oss", "gpt-oss-mxfp4-v4"] { reasons[name] = "clamp.limit" }
    for name in ["olmoe-v4-sharded", "qwen3-moe-v4"] { reasons[name] = "experts.weighting" }
    reasons["falcon-alibi"] = "arrangement"
    reasons["gpt2-body-v4"] = "activation"
    reasons["gpt2-untied-sharded"] = "attention.scale"
    reasons["phi-head-norms"] = "headNorm"
    reasons["qwen3-moe-dense-layers"] = "experts"
    reasons["smollm3-v4"] = "attention.rotary"
    reasons["stablelm-head-norms"] = "q_layernorm"
    return reasons
  }()
  /// Gemma's norms are stored plus one, and the factors of scaled frequencies as float32.
  private static let rounded = ["gemma-", "ministral3-", "phi3-longrope"]

  @Test(arguments: Fixtures.models)
  func isReadAgainAsItWas(_ name: String) throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("models/\(name)"))
    let file = try Fixtures.temporaryFolder() + "/model.gguf"
    if let reason = Self.refused[name] {
      let error = #expect(throws: FormatError.self) { try pretrained.saveGGUF(to: file) }
      #expect("\(try #require(error))".contains(reason))
      #expect(!FileManager.default.fileExists(atPath: file))
      return
    }
    let warnings = try pretrained.saveGGUF(to: file)
    #expect(warnings.first?.contains("no tokenizer") == true)
    let ids = try ExpectedValues(model: name).ids
    let again = try PretrainedModel(path: file)
    let (expected, found) = (
      try pretrained.languageModel.losses(ids), try again.languageModel.losses(ids)
    )
    if warnings.count > 1 {
      // Windows, which files of the architecture say nothing of: the same up to the window.
      #expect(warnings[1].contains("positions"))
      #expect(found.scalars().prefix(4) == expected.scalars().prefix(4))
      #expect(found != expected)
    } else if Self.rounded.contains(where: { name.hasPrefix($0) }) {
      for (a, b) in zip(expected.scalars(), found.scalars()) { #expect(abs(a - b) < 1e-5) }
    } else {
      #expect(found == expected)
    }
  }

  @Test func matricesHaveTheTypeThatIsAskedFor() throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("models/llama-grouped"))
    let folder = try Fixtures.temporaryFolder()
    for (type, stored) in [
      (DType.float32, GGUFTensorType.f32), (.float16, .f16), (.bfloat16, .bf16), (.q8_0, .q8_0),
    ] {
      let path = "\(folder)/\(type).gguf"
      try pretrained.saveGGUF(to: path, type: type)
      let file = try GGUFFile(path: path)
      for entry in file.entries {
        let isMatrix = entry.shape.count == 2
        // Rows that do not divide into blocks of 32.
        let expected =
          isMatrix ? (type == .q8_0 && entry.shape[1] % 32 != 0 ? .f16 : stored) : .f32
        #expect(entry.type == expected, "\(entry.name) as \(type)")
      }
    }
    #expect(throws: FormatError.self) {
      try pretrained.saveGGUF(to: "\(folder)/x.gguf", type: .q4_0)
    }
    let file = try PretrainedModel(path: "\(folder)/float32.gguf")
    #expect(throws: FormatError.self) {
      try file.saveGGUF(to: "\(folder)/x.gguf", type: .float16)
    }
    #expect(!FileManager.default.fileExists(atPath: "\(folder)/x.gguf"))
  }

  /// A number that its type can't hold is an error that names the tensor, and nothing is written.
  @Test func numbersBeyondTheirType() throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("models/llama-grouped"))
    let path = "model.layers.0.mlp.up_proj.weight"
    let parameter = try #require(
      pretrained.model.namedParameters().first { $0.path == path }?.parameter)
    var numbers = parameter.value.scalars()
    numbers[3] = 70_000
    parameter.value = Tensor(numbers, shape: parameter.shape)
    let file = try Fixtures.temporaryFolder() + "/model.gguf"
    let error = #expect(throws: FormatError.self) {
      try pretrained.saveGGUF(to: file, type: .float16)
    }
    #expect("\(try #require(error))".contains("blk.0.ffn_up.weight"))
    #expect(!FileManager.default.fileExists(atPath: file))
    try pretrained.saveGGUF(to: file, type: .bfloat16)
  }

  /// T5's tensors are those of llama.cpp's converter (encoder_decoders.py --gguf).
  @Test func t5IsAsTheConverterWritesIt() throws {
    let source = Fixtures.path("encoder_decoders/t5-published")
    let folder = try Fixtures.temporaryFolder()
    try FileManager.default.copyItem(
      atPath: source + "/model.safetensors", toPath: folder + "/model.safetensors")
    // No GGUF file says the greatest distance; the converter's has another than llama.cpp takes.
    let config = try String(contentsOfFile: source + "/config.json", encoding: .utf8)
      .replacingOccurrences(
        of: "\"relative_attention_max_distance\": 20",
        with: "\"relative_attention_max_distance\": 128")
    try config.write(toFile: folder + "/config.json", atomically: true, encoding: .utf8)
    try PretrainedModel(path: folder).saveGGUF(to: folder + "/model.gguf")
    let files = (
      try GGUFFile(path: folder + "/model.gguf"), try GGUFFile(path: source + ".gguf")
    )
    // But for a bias that nothing adds, which the converter copies.
    let unused = "dec.blk.0.cross_attn_rel_b.weight"
    #expect(Set(files.0.names) == Set(files.1.names).subtracting([unused]))
    for name in files.0.names {
      #expect(try files.0.tensor(named: name) == files.1.tensor(named: name), "\(name)")
    }
  }

  /// A folder with a tokenizer and a chat template gives a file that has both.
  @Test(arguments: ["llama3", "o200k", "gpt2", "llama-prepend"])
  func hasTokenizerAndTemplate(_ name: String) throws {
    let folder = try Fixtures.temporaryFolder() + "/model"
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/\(name).json"))
    let configuration = ModelConfiguration(
      hiddenSize: 32, intermediateSize: 64, layerCount: 1, headCount: 4,
      vocabularySize: tokenizer.vocabularySize + 3)
    try configuration.randomLanguageModel().save(
      to: folder,
      otherFiles: [
        (
          "tokenizer.json",
          Array(try Data(contentsOf: URL(filePath: Fixtures.path("text/\(name).json"))))
        ),
        ("tokenizer_config.json", Array(#"{"chat_template": "{{ messages }}!"}"#.utf8)),
      ])
    let file = folder + ".gguf"
    #expect(try PretrainedModel(path: folder).saveGGUF(to: file).isEmpty)
    let again = try PretrainedModel(path: file)
    #expect(try again.chatTemplates().sources == ["default": "{{ messages }}!"])
    let written = try again.tokenizer()
    for text in [
      "Hello, world!  It's 2026.\n\n\tna\u{EF}ve \u{4E16}\u{754C} \u{1F642}", "", " a  b ",
    ] {
      #expect(written.encode(text) == tokenizer.encode(text))
    }
    #expect(
      try GGUFFile(path: file)["tokenizer.ggml.tokens"]?.strings?.count
        == configuration.vocabularySize)
  }
}
