import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAJSON
import LoRATensor
import LoRAText
import Testing

@testable import LoRAModels

/// Models in GGUF files, quantized and not; see Tests/Reference/gguf_models.py.
@Suite struct GGUFModelTests {
  static let names = [
    "llama-quantized", "llama3-bfloat16", "qwen2-float16", "gpt2-quantized", "qwen3-quantized",
    "gemma2-float16", "mixtral-quantized", "qwen3moe-float16", "olmoe-float32",
    "gemma4-float16", "ministral3-float16", "gpt-oss-mxfp4",
  ]

  static func path(_ name: String) -> String { Fixtures.path("gguf/models/\(name)") }

  static func expected(_ name: String) throws -> (ids: Tensor, losses: Tensor, adapted: Tensor) {
    let file = try SafetensorsFile(path: path(name + ".safetensors"))
    return (
      try file.tensor(named: "ids"), try file.tensor(named: "nll"),
      try file.tensor(named: "nll_adapted")
    )
  }

  static func open(_ name: String) throws -> PretrainedModel {
    try PretrainedModel(path: path(name + ".gguf"))
  }

  @Test(arguments: names) func lossesAgreeWithTransformers(name: String) throws {
    let (ids, losses, adapted) = try Self.expected(name)
    let model = try Self.open(name).languageModel
    let base = model.losses(ids)
    #expect(largestDifference(base, losses) < 2e-5)
    try model.loadAdapter(from: Self.path(name + "-adapter"))
    #expect(largestDifference(model.losses(ids), adapted) < 2e-5)
    try model.disableAdapters()
    #expect(model.losses(ids) == base)
  }

  /// A quantized model has the bits of the float32 model with its numbers, in one pass and in
  /// decoding.
  @Test func quantizedEqualsItsNumbers() throws {
    let quantized = try Self.open("llama-quantized")
    let dense = try PretrainedModel(path: quantized.path, type: .float32)
    let types = Set(quantized.model.namedParameters().map(\.parameter.value.dtype))
    #expect(types == [.float32, .q6K, .q4K, .q5K, .q8_0, .q5_0, .q4_0, .q5_1])
    #expect(dense.model.namedParameters().allSatisfy { $0.parameter.value.dtype == .float32 })
    let ids = try Self.expected("llama-quantized").ids
    #expect(try quantized.languageModel.losses(ids) == dense.languageModel.losses(ids))
    let options = GenerationOptions(maximumTokens: 12)
    let prompt = ids[row: 0].scalars(as: Int64.self).prefix(5).map(Int.init)
    #expect(
      try quantized.languageModel.generate(after: prompt, options: options)
        == dense.languageModel.generate(after: prompt, options: options))
  }

  /// Gradients pass through quantized weights as through their numbers.
  @Test func adaptersTrainOnAQuantizedBase() throws {
    let ids = try Self.expected("llama-quantized").ids
    func gradients(_ type: DType?) throws -> [Tensor] {
      let model = try PretrainedModel(path: Self.path("llama-quantized.gguf"), type: type)
        .languageModel
      try model.inject(LoRA(rank: 4, alpha: 8), named: "new", into: .allLinear, seed: 3)
      for (path, parameter) in model.adapterParameters(named: "new") {
        var random = SeededRandom(seed: 1, path: path)
        parameter.value = random.normal(parameter.shape, standardDeviation: 0.1)
        parameter.isTrainable = true
      }
      return try model.withAdapters(["new": 1]) {
        let loss = model.loss(
          tokens: ids.sliced(axis: 1, 0..<11), targets: ids.sliced(axis: 1, 1..<12), scale: 0.1)
        let all = loss.gradients()
        return try model.adapterParameters(named: "new").map { try #require(all[$0.parameter]) }
      }
    }
    let (a, b) = (try gradients(nil), try gradients(.float32))
    #expect(a.count == 28)
    for (a, b) in zip(a, b) {
      let size = b.scalars().map(abs).max() ?? 0
      #expect(size > 1e-4)
      #expect(largestDifference(a, b) <= 1e-5 * size)
    }
  }

  @Test(arguments: ["llama-quantized", "qwen2-float16", "gemma4-float16"])
  func idsAreThoseOfLlamaCpp(name: String) throws {
    let tokenizer = try Self.open(name).tokenizer()
    let data = try Data(contentsOf: URL(filePath: Self.path(name + "-tokens.json")))
    let cases = try #require(try JSONValue(parsing: data).arrayValue)
    #expect(cases.count == 18)
    for entry in cases {
      let text = try #require(entry["text"]?.stringValue)
      let ids = try #require(entry["ids"]?.arrayValue).compactMap(\.intValue)
      #expect(tokenizer.encode(text) == ids, "\(text)")
      if !text.contains("<"), !text.contains("\u{2581}") {
        #expect(tokenizer.decode(ids) == text)
      }
    }
  }

  /// What is written for a folder gives the same ids; Tests/Reference/gguf_tokenizer_files.py says
  /// that of transformers.
  @Test(arguments: ["llama-quantized", "qwen2-float16", "gemma4-float16"])
  func tokenizerInAFolderIsTheSame(name: String) throws {
    let pretrained = try Self.open(name)
    let folder = try Fixtures.temporaryFolder()
    for (name, content) in try pretrained.companionFiles() {
      try Data(content).write(to: URL(filePath: folder + "/" + name))
    }
    let (inFile, inFolder) = (
      try pretrained.tokenizer(), try TokenizerPipeline(contentsOf: folder)
    )
    #expect(inFolder.beginningOfSequence == inFile.beginningOfSequence)
    #expect(inFolder.endOfSequence == inFile.endOfSequence)
    let data = try Data(contentsOf: URL(filePath: Self.path(name + "-tokens.json")))
    for entry in try #require(try JSONValue(parsing: data).arrayValue) {
      let text = try #require(entry["text"]?.stringValue)
      let ids = try #require(entry["ids"]?.arrayValue).compactMap(\.intValue)
      #expect(inFolder.encode(text) == ids, "\(text)")
      #expect(inFolder.decode(ids) == inFile.decode(ids), "\(text)")
      #expect(
        inFolder.encode(text, addSpecialTokens: false)
          == inFile.encode(text, addSpecialTokens: false), "\(text)")
    }
  }

  @Test func stopTokensComeFromTheFile() throws {
    #expect(try Self.open("llama-quantized").stopTokens == [2])
    #expect(try Self.open("qwen2-float16").stopTokens == [265])
    #expect(try Self.open("gemma4-float16").stopTokens == [1])
  }

  private static let ends: [([String: UInt32], Set<Int>)] = [
    ([:], [2]), (["eot": 5], [2, 5]), (["eom": 6], [2, 6]), (["eot": 5, "eom": 6], [2, 5, 6]),
    (["eot": 2, "eom": 5], [2, 5]), (["eot": 1 << 30, "eom": 6], [2, 6]),
  ]

  /// A turn and a message may end with tokens of their own (Llama 3's <|eot_id|> and <|eom_id|>): all
  /// of them stop, each once, and an id beyond the vocabulary is none.
  @Test(arguments: ends)
  func endsOfTurnsAndMessagesStop(ends: [String: UInt32], expected: Set<Int>) throws {
    let path = try changed(
      "llama-quantized",
      { values in
        for (name, id) in ends {
          values.append(.init(key: "tokenizer.ggml.\(name)_token_id", value: .uint32(id)))
        }
      })
    let pretrained = try PretrainedModel(path: path)
    #expect(pretrained.stopTokens == expected)
    #expect(pretrained.generation.eosTokenIDs.first == 2)
    #expect(pretrained.stopTokens(with: try pretrained.tokenizer()) == expected)
  }

  /// The settings that `rope_freqs.weight` follows from are found.
  @Test func rotaryFactorsBecomeSettings() throws {
    let rotary = try Self.open("llama3-bfloat16").configuration.rotary
    #expect(
      rotary.scaling
        == .llama3(
          factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPositions: 16))
  }

  // MARK: Faults

  /// A copy of a file with other key-values or tensors.
  private func changed(
    _ name: String, _ keyValues: (inout [GGUFFile.KeyValue]) -> Void = { _ in },
    tensors: (inout [(name: String, tensor: Tensor)]) -> Void = { _ in }
  ) throws -> String {
    let file = try GGUFFile(path: Self.path(name + ".gguf"))
    var (all, values) = (
      try file.names.map { (name: $0, tensor: try file.tensor(named: $0)) }, file.keyValues
    )
    keyValues(&values)
    tensors(&all)
    let path = try Fixtures.temporaryFolder() + "/changed.gguf"
    try GGUFWriter.write(
      values, tensors: all.map { GGUFWriter.Item(name: $0.name, tensor: $0.tensor, isCopy: true) },
      to: path)
    return path
  }

  private func expectRefusal(
    _ path: String, _ kind: FormatError.Kind, _ texts: String...,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    do {
      _ = try PretrainedModel(path: path)
      Issue.record("nothing was thrown", sourceLocation: sourceLocation)
    } catch let error as FormatError {
      #expect(error.kind == kind, "\(error)", sourceLocation: sourceLocation)
      for text in texts {
        #expect(error.description.contains(text), "\(error)", sourceLocation: sourceLocation)
      }
    } catch {
      Issue.record("\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test func wrongTensorsAreRefusedByName() throws {
    let name = "qwen2-float16"
    expectRefusal(
      try changed(name, tensors: { $0.removeAll { $0.name == "blk.1.ffn_up.weight" } }),
      .missingTensor, "'blk.1.ffn_up.weight'")
    expectRefusal(
      try changed(name, tensors: { $0.append(("blk.0.attn_sinks.weight", .zeros([4]))) }),
      .unexpectedTensor, "'blk.0.attn_sinks.weight'", "qwen2")
    expectRefusal(
      try changed(
        "gpt2-quantized", tensors: { $0.append(("rope_freqs.weight", .zeros([4]))) }),
      .unexpectedTensor, "'rope_freqs.weight'", "gpt2")
    expectRefusal(
      try changed(
        name,
        tensors: {
          $0 = $0.map {
            $0.name == "blk.0.attn_k.weight" ? ($0.name, $0.tensor[rows: 0..<8]) : $0
          }
        }),
      .shapeMismatch, "'blk.0.attn_k.weight'", "[16, 32]", "[8, 32]")
    expectRefusal(
      try changed(
        name,
        tensors: {
          $0 = $0.map {
            guard $0.name == "blk.1.ffn_gate.weight" else { return $0 }
            var damaged = $0.tensor
            damaged.withUnsafeMutableBytes { $0[34 * 5 + 1] = 0x7c }
            return ($0.name, damaged)
          }
        }),
      .nonFinite, "'blk.1.ffn_gate.weight'", "element 160")
  }

  @Test func unknownSettingsAreRefusedByName() throws {
    let name = "llama-quantized"
    func value(_ key: String, _ value: GGUFValue) throws -> String {
      try changed(
        name,
        {
          $0.removeAll { $0.key == key }; $0.append(.init(key: key, value: value))
        })
    }
    expectRefusal(
      try value("general.architecture", .string("mamba")), .unsupported, "'mamba'", "qwen2")
    expectRefusal(try value("llama.logit_scale", .float32(2)), .unsupported, "'llama.logit_scale'")
    expectRefusal(
      try value("llama.expert_count", .uint32(8)), .missingKey, "'llama.expert_used_count'")
    expectRefusal(
      try value("llama.rope.scaling.type", .string("ntk")), .unsupported, "'ntk'", "'yarn'")
    expectRefusal(
      try value("llama.rope.scaling.type", .string("yarn")), .missingKey,
      "'llama.rope.scaling.original_context_length'")
    expectRefusal(
      try value("llama.rope.dimension_count", .uint32(16)), .unsupported, "16", "32")
    expectRefusal(try value("llama.vocab_size", .uint32(7)), .invalidValue, "7", "320")
    expectRefusal(
      try value("llama.attention.head_count", .uint32(0)), .invalidValue, "head_count")
    expectRefusal(
      try changed(name, { $0.removeAll { $0.key == "llama.block_count" } }), .missingKey,
      "'llama.block_count'")

    for (key, wrong): (String, GGUFValue) in [
      ("llama.embedding_length", .uint64(1 << 62)), ("llama.embedding_length", .float32(32)),
      ("llama.attention.head_count", .uint32(3)), ("llama.attention.head_count_kv", .uint32(3)),
      ("llama.attention.head_count", .array(.uint32([]))),
      ("llama.attention.key_length", .uint32(7)), ("llama.attention.key_length", .uint32(1 << 31)),
      ("llama.block_count", .uint32(4097)), ("llama.block_count", .int32(-1)),
      ("llama.context_length", .uint32(0)), ("llama.feed_forward_length", .uint64(.max)),
      ("llama.attention.layer_norm_rms_epsilon", .float32(0)),
      ("llama.attention.layer_norm_rms_epsilon", .float64(1e-300)),
      ("llama.attention.layer_norm_rms_epsilon", .float32(.nan)),
      ("llama.rope.freq_base", .float32(.infinity)), ("llama.rope.freq_base", .float64(1e-300)),
      ("llama.rope.freq_base", .float64(1e300)), ("llama.vocab_size", .string("320")),
    ] {
      #expect(throws: FormatError.self, "\(key) \(wrong)") {
        _ = try PretrainedModel(path: try value(key, wrong))
      }
      do {
        _ = try PretrainedModel(path: try value(key, wrong))
      } catch let error as FormatError {
        #expect(error.subject.contains("llama.") || error.kind == .shapeMismatch, "\(error)")
      }
    }

    func tokenizerError(_ key: String, _ new: GGUFValue?) throws -> String {
      let path = try changed(
        "qwen2-float16",
        {
          $0.removeAll { $0.key == key }
          if let new { $0.append(.init(key: key, value: new)) }
        })
      do {
        _ = try PretrainedModel(path: path).tokenizer()
        return "nothing was thrown"
      } catch {
        return "\(error)"
      }
    }
    #expect(try tokenizerError("tokenizer.ggml.pre", .string("kimi-k2")).contains("'kimi-k2'"))
    #expect(try tokenizerError("tokenizer.ggml.pre", .string("kimi-k2")).contains("'llama-bpe'"))
    #expect(try tokenizerError("tokenizer.ggml.pre", nil).contains("nothing"))
    #expect(try tokenizerError("tokenizer.ggml.model", .string("rwkv")).contains("'rwkv'"))
    #expect(try tokenizerError("tokenizer.ggml.model", nil).contains("no tokenizer"))
    #expect(try tokenizerError("tokenizer.ggml.merges", nil).contains("merges"))
    #expect(
      try tokenizerError("tokenizer.ggml.merges", .strings(["x yz"])).contains("\"x yz\""))
  }

  // MARK: The shared model

  @Test(.enabled(if: Fixtures.shared != nil, "needs the shared folder beside the checkout"))
  func storiesFileEqualsTheDirectory() throws {
    let shared = try #require(Fixtures.shared)
    let directory = try PretrainedModel(path: shared + "/models/stories260k")
    let file = try PretrainedModel(path: shared + "/models/stories260k.gguf")
    let text = try String(
      contentsOfFile: shared + "/data/tinystories_sample.txt", encoding: .utf8)
    let (tokenizers) = (try directory.tokenizer(), try file.tokenizer())
    var (sum, count) = (0.0, 0)
    for story in text.components(separatedBy: "<|endoftext|>") {
      let trimmed = story.trimmingCharacters(in: .whitespacesAndNewlines)
      if trimmed.isEmpty { continue }
      let ids = tokenizers.1.encode(trimmed)
      #expect(ids == tokenizers.0.encode(trimmed))
      #expect(tokenizers.1.decode(ids) == trimmed)
      let sequence = Tensor(ids.map { Int64($0) }, shape: [1, ids.count])
      let losses = try file.languageModel.losses(sequence)
      #expect(try losses == directory.languageModel.losses(sequence))
      sum += losses.scalars().reduce(0) { $0 + Double($1) }
      count += losses.elementCount
    }
    #expect(count == 1804)
    #expect(abs(sum / Double(count) - 1.2664410) < 1e-6)
  }
}

/// Merging into a quantized base.
@Suite struct QuantizedMergingTests {
  @Test func mergesAndComesBack() throws {
    let name = "llama-quantized"
    let (ids, _, adapted) = try GGUFModelTests.expected(name)
    let model = try GGUFModelTests.open(name).languageModel
    let base = model.losses(ids)
    try model.loadAdapter(from: GGUFModelTests.path(name + "-adapter"))
    let report = try model.mergeAdapters(["default": 1])
    #expect(report.layers.isEmpty && report.worst == nil)
    #expect(largestDifference(model.losses(ids), adapted) < 2e-5)
    try model.unmergeAdapters()

    let loss = try model.mergeAdapters(["default": 1], quantized: .requantized)
    #expect(loss.layers.count == 8)
    #expect(loss.worst?.original == .q4_0)
    let rounded = model.losses(ids)
    #expect(largestDifference(rounded, adapted) > 1e-4)
    #expect(largestDifference(rounded, adapted) < 0.5)
    try model.unmergeAdapters()
    try model.disableAdapters()
    #expect(model.losses(ids) == base)
  }

  /// The error is that of the numbers that are then computed with.
  @Test func errorsAreThoseOfTheBlocks() throws {
    let weight = Tensor([1, -2, 0.5, 3] + Array(repeating: Float(0), count: 28), shape: [1, 32])
    let blocks = weight.converted(to: .q4_0)
    let layer = RequantizationReport.Layer(
      path: "x", original: .q4_0, stored: .q4_0, from: weight, to: blocks)
    let numbers = blocks.converted(to: .float32).scalars()
    let errors = zip(numbers, weight.scalars()).map { Double($0 - $1) }
    let norm = errors.reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(norm > 0.05)
    #expect(abs(layer.relativeError - norm / 14.25.squareRoot()) < 1e-9)
    #expect(layer.largestError == errors.map(abs).max())
  }

  /// What is written keeps every tensor that nothing was merged into, and reads back as it was; a
  /// tied head whose table changed is written apart.
  @Test(arguments: GGUFModelTests.names) func savesAndReadsBack(name: String) throws {
    let pretrained = try GGUFModelTests.open(name)
    let ids = try GGUFModelTests.expected(name).ids
    let path = try Fixtures.temporaryFolder() + "/saved.gguf"
    try pretrained.saveGGUF(to: path)
    #expect(
      try Data(contentsOf: URL(filePath: path))
        == Data(contentsOf: URL(filePath: GGUFModelTests.path(name + ".gguf"))))

    let model = try pretrained.languageModel
    try model.loadAdapter(from: GGUFModelTests.path(name + "-adapter"))
    try model.mergeAdapters(["default": 1], quantized: .requantized)
    try pretrained.saveGGUF(to: path)
    let back = try PretrainedModel(path: path)
    #expect(try back.languageModel.losses(ids) == model.losses(ids))
    #expect(try back.tokenizer().encode("the land") == pretrained.tokenizer().encode("the land"))
  }
}
