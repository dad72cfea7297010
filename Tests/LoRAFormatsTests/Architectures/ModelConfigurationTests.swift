import LoRAArchitectures
import LoRAFiles
import LoRAJSON
import LoRATensor
import TestSupport
import Testing

@Suite("config.json")
struct ModelConfigurationTests {
  @Test("every value is the one that transformers takes")
  func transformers() throws {
    let cases = try JSONValue(parsing: bytes(of: Fixtures.path("formats/configurations.json")))
    for one in try #require(cases.arrayValue) {
      let name = try #require(one["name"]?.stringValue)
      let text = try #require(one["config"]).encodedBytes()
      let expected = try #require(one["expected"]?.objectValue)
      let configuration = try ModelConfiguration(parsing: text)
      let found = try values(of: configuration)
      for (key, value) in expected where key != "normEpsilon" && key != "base" && key != "factor" {
        #expect(found[key] == value, "\(name): \(key)")
      }
      for key in ["normEpsilon", "base", "factor"] {
        #expect(found[key]?.doubleValue == expected[key]?.doubleValue, "\(name): \(key)")
      }
      let again = try ModelConfiguration(parsing: configuration.encoded())
      #expect(try values(of: again) == found, "\(name), written and read again")
    }
  }

  private func values(of c: ModelConfiguration) throws -> JSONObject {
    func integer(_ value: Int?) -> JSONValue { value.map { .integer(Int64($0)) } ?? .null }
    var kind = "default"
    var factor: JSONValue = .null
    var original: Int?
    switch c.rotary.scaling {
    case .none: break
    case .linear(let value): (kind, factor) = ("linear", .number(value))
    case .llama3(let value, let low, let high, let positions):
      (kind, factor, original) = ("llama3", .number(value), positions)
      #expect(low == 1 && high == 4)
    case .dynamic, .yarn, .longRoPE, .proportional: Issue.record("\(c.rotary.scaling)")
    }
    let block = try c.architecture.structure(c).blocks[0]
    return [
      "hiddenSize": integer(c.hiddenSize), "intermediateSize": integer(c.intermediateSize),
      "layerCount": integer(c.layerCount), "headCount": integer(c.headCount),
      "keyValueHeadCount": integer(c.keyValueHeadCount), "headSize": integer(c.headSize),
      "vocabularySize": integer(c.vocabularySize), "normEpsilon": .number(c.normEpsilon),
      "tiesWordEmbeddings": .bool(c.tiesWordEmbeddings),
      "attentionBias": .bool(block.attention.bias),
      "mlpBias": .bool(block.feedForward.bias), "hiddenActivation": .string(c.hiddenActivation),
      "maximumPositions": integer(c.maximumPositions), "base": .number(c.rotary.base),
      "kind": .string(kind), "factor": factor, "original": integer(original),
      "windows": .array(c.slidingWindows.map(integer)),
      "storedType": c.storedType.map { .string($0.rawValue) } ?? .null,
      "bos": integer(c.bosTokenID), "eos": .array(c.eosTokenIDs.map(integer)),
      "pad": integer(c.padTokenID),
    ]
  }

  @Test("a Llama made in code keeps its values in a file")
  func written() throws {
    var configuration = ModelConfiguration(
      hiddenSize: 64, intermediateSize: 96, layerCount: 3, headCount: 4, keyValueHeadCount: 2,
      vocabularySize: 128, normEpsilon: 1e-5, tiesWordEmbeddings: true, maximumPositions: 256,
      storedType: .bfloat16, bosTokenID: 1, eosTokenIDs: [2, 3])
    configuration.classNames = ["LlamaForCausalLM"]
    #expect(configuration.headSize == 16)
    #expect(try ModelConfiguration(parsing: configuration.encoded()) == configuration)
  }

  struct Bad: Sendable, CustomTestStringConvertible {
    var members: String
    var kind: FormatError.Kind
    var text: String
    var testDescription: String { members }
  }

  @Test(
    "what cannot be computed is refused by name",
    arguments: [
      Bad(members: #""model_type": "mamba2""#, kind: .unsupported, text: "'mamba2'"),
      Bad(members: #""model_type": 5"#, kind: .typeMismatch, text: "expected a string, found 5"),
      Bad(members: #""hidden_size": 0"#, kind: .invalidValue, text: "'hidden_size'"),
      Bad(members: #""hidden_size": -64"#, kind: .invalidValue, text: "found -64"),
      Bad(members: #""hidden_size": 64.5"#, kind: .typeMismatch, text: "found 64.5"),
      Bad(members: #""hidden_size": "64""#, kind: .typeMismatch, text: "found \"64\""),
      Bad(members: #""num_attention_heads": 5"#, kind: .invalidValue, text: "do not divide"),
      Bad(
        members: #""num_key_value_heads": 3"#, kind: .invalidValue, text: "'num_key_value_heads'"),
      Bad(members: #""head_dim": 7"#, kind: .invalidValue, text: "even"),
      Bad(members: #""num_hidden_layers": 5000"#, kind: .invalidValue, text: "too many"),
      Bad(members: #""rms_norm_eps": 0"#, kind: .invalidValue, text: "above 0"),
      Bad(members: #""rms_norm_eps": NaN"#, kind: .malformed, text: "not JSON"),
      Bad(members: #""dtype": "int8""#, kind: .unsupported, text: "'int8'"),
      Bad(members: #""rope_theta": -1"#, kind: .invalidValue, text: "'rope_theta'"),
      Bad(
        members: #""rope_scaling": {"type": "cubic", "factor": 2}"#, kind: .unsupported,
        text: "'rope_scaling.type': rotary scaling 'cubic'"),
      Bad(
        members: #""rope_parameters": {"rope_type": "cubic", "factor": 2}"#, kind: .unsupported,
        text: "'rope_parameters.rope_type': rotary scaling 'cubic'"),
      Bad(
        members: #""rope_scaling": {"type": "linear"}"#, kind: .missingKey,
        text: "'rope_scaling.factor'"),
      Bad(
        members: #""rope_scaling": {"rope_type": "llama3", "factor": 8}"#, kind: .missingKey,
        text: "low_freq_factor"),
      Bad(
        members: #""rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "#
          + #""high_freq_factor": 1}"#,
        kind: .invalidValue, text: "must be above"),
      Bad(
        members: #""partial_rotary_factor": 0.5"#, kind: .unsupported, text: "a part of each head"),
      Bad(
        members: #""rope_parameters": {"full_attention": {"rope_theta": 1.0}, "#
          + #""sliding_attention": {"rope_theta": 2.0}}"#,
        kind: .unsupported, text: "differs from 'full_attention'"),
      Bad(members: #""eos_token_id": [1, -2]"#, kind: .invalidValue, text: "-2 is not a token id"),
      Bad(members: #""eos_token_id": "2""#, kind: .typeMismatch, text: "'eos_token_id'"),
      Bad(
        members: #""quantization_config": {"quant_method": "gptq"}"#, kind: .unsupported,
        text: "gptq"),
      Bad(
        members: #""model_type": "qwen2", "layer_types": ["full_attention"]"#, kind: .invalidValue,
        text: "1 types for 2 layers"),
      Bad(
        members: #""model_type": "qwen2", "layer_types": ["full_attention", "linear_attention"]"#,
        kind: .unsupported, text: "'linear_attention' of layer 1"),
      Bad(
        members: #""model_type": "qwen2", "layer_types": ["full_attention", "sliding_attention"]"#,
        kind: .missingKey, text: "no window is in use"),
    ])
  func refused(_ bad: Bad) throws {
    var defaults = [
      "model_type": #""llama""#, "hidden_size": "64", "num_attention_heads": "4",
      "num_hidden_layers": "2", "num_key_value_heads": "2",
    ]
    for key in Array(defaults.keys) where bad.members.contains("\"\(key)\"") {
      defaults[key] = nil
    }
    let members = defaults.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
    let text = "{\((members + [bad.members]).joined(separator: ", "))}"
    expectError(bad.kind, "config.json: ", bad.text) {
      _ = try ModelConfiguration(parsing: Array(text.utf8))
    }
  }

  @Test("no architecture, no object, no JSON")
  func shapes() {
    for (text, kind) in [
      ("{}", FormatError.Kind.missingKey), ("[]", .typeMismatch), ("{", .malformed),
      ("", .malformed), (#"{"a":1,"a":2}"#, .malformed),
    ] {
      expectError(kind) { _ = try ModelConfiguration(parsing: Array(text.utf8)) }
    }
  }

  @Test("one rotary embedding given per type of layer")
  func perLayerType() throws {
    let text = """
      {"model_type": "llama", "rope_parameters": {"sliding_attention": null,
       "full_attention": {"rope_type": "linear", "factor": 3, "rope_theta": 5.0}}}
      """
    let configuration = try ModelConfiguration(parsing: Array(text.utf8))
    #expect(configuration.rotary == RotaryConfiguration(base: 5, scaling: .linear(factor: 3)))
  }

  @Test("generation_config.json")
  func generation() throws {
    let text = """
      {"bos_token_id": 1, "eos_token_id": [2, 3], "do_sample": true, "temperature": 0.6,
       "top_k": 40, "top_p": 0.9, "max_new_tokens": 64, "transformers_version": "5.0"}
      """
    let configuration = try GenerationConfiguration(parsing: Array(text.utf8))
    #expect(
      configuration
        == GenerationConfiguration(
          bosTokenID: 1, eosTokenIDs: [2, 3], samples: true, temperature: 0.6, topK: 40, topP: 0.9,
          maximumNewTokens: 64))
    #expect(try GenerationConfiguration(parsing: configuration.encoded()) == configuration)
    for (text, key) in [
      (#"{"temperature": -1}"#, "'temperature'"), (#"{"top_p": 1.5}"#, "'top_p'"),
      (#"{"top_k": -2}"#, "'top_k'"), (#"{"max_new_tokens": 0}"#, "'max_new_tokens'"),
    ] {
      expectError(.invalidValue, key) {
        _ = try GenerationConfiguration(parsing: Array(text.utf8))
      }
    }
  }

  @Test("3,000 damaged configurations: an error or a valid one, never a crash")
  func fuzz() throws {
    let cases = try JSONValue(parsing: bytes(of: Fixtures.path("formats/configurations.json")))
    let texts = try #require(cases.arrayValue).compactMap { $0["config"]?.encodedBytes() }
    var random = SplitMix(state: 3)
    var parsed = 0
    for round in 0..<3000 {
      let damaged = mutated(texts[round % texts.count], using: &random)
      do throws(FormatError) {
        let configuration = try ModelConfiguration(parsing: damaged)
        #expect(configuration.headCount % configuration.keyValueHeadCount == 0)
        parsed += 1
      } catch {}
    }
    #expect(parsed > 0)
  }

  @Test("scalings are read, written and read again")
  func scalings() throws {
    func rotary(_ members: String) throws -> ModelConfiguration {
      let text = #"{"model_type": "llama", "max_position_embeddings": 64, \#(members)}"#
      return try ModelConfiguration(parsing: Array(text.utf8))
    }
    for (members, amplitude, longest) in [
      (#""rope_scaling": {"type": "dynamic", "factor": 2.0}"#, 1, nil),
      (
        #""rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}"#,
        0.1 * 1.3862943611198906 + 1, nil
      ),
      (#""rope_scaling": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.5}"#, 0.5, nil),
      (
        #""head_dim": 8, "original_max_position_embeddings": 32, "rope_scaling": {"type": "su", "short_factor": [1, 1, 1, 2.5], "long_factor": [2, 3, 4, 5]}"#,
        (1 + 0.6931471805599453 / 3.4657359027997265).squareRoot(), 32
      ),
    ] as [(String, Double, Int?)] {
      let read = try rotary(members)
      #expect(abs(read.rotary.amplitude - amplitude) < 1e-12, "\(members)")
      #expect(read.rotary.longestSequence == longest && read.longestSequence == longest ?? 64)
      let again = try ModelConfiguration(parsing: read.encoded())
      #expect(again.rotary == read.rotary && again.maximumPositions == 64)
    }
    #expect {
      _ = try rotary(
        #""head_dim": 8, "rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]}"#
      )
    } throws: {
      "\($0)".contains("1 factors for 4 frequencies")
    }
  }
}
