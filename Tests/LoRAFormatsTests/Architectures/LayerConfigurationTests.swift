import LoRAArchitectures
import LoRAFiles
import Testing

/// What single layers have of their own in Gemma 4's config.json.
@Suite("config.json of single layers") struct LayerConfigurationTests {
  private static func parsed(_ members: String) throws -> ModelConfiguration {
    let text = """
      {"model_type": "gemma4_text", "hidden_size": 24, "num_hidden_layers": 4, "head_dim": 6,
       "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 9, "sliding_window": 4,
       "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
       "vocab_size_per_layer_input": 9, \(members)}
      """
    return try ModelConfiguration(parsing: Array(text.utf8))
  }

  private static func heads(_ c: ModelConfiguration) throws -> [[Int?]] {
    try c.architecture.structure(c).blocks.map {
      [$0.attention.headSize, $0.attention.keyHeadCount]
    }
  }

  @Test func headsOfBothGenerations() throws {
    let expected = [[6, 2], [8, 1], [6, 2], [8, 1]]
    let older = try Self.parsed(
      #""global_head_dim": 8, "num_global_key_value_heads": 1, "attention_k_eq_v": true"#)
    let newer = try Self.parsed(
      #""per_layer_config": {"1": {"head_dim": 8, "num_key_value_heads": 1}, "3": {"head_dim": 8, "num_key_value_heads": 1}}, "attention_k_eq_v": true"#
    )
    #expect(try Self.heads(older) == expected)
    #expect(try Self.heads(newer) == expected)
    // The last layer has no window, whatever the file says.
    #expect(older.slidingWindows == [4, nil, 4, nil])
    #expect(try Self.heads(ModelConfiguration(parsing: older.encoded())) == expected)
    // Without shared projections the other number of key heads has no meaning, and 512 is the rule.
    let apart = try Self.parsed(#""num_global_key_value_heads": 1"#)
    #expect(try Self.heads(apart) == [[6, 2], [512, 2], [6, 2], [512, 2]])
  }

  @Test func keysOfEarlierLayers() throws {
    func sources(_ count: Int) throws -> [TransformerStructure.Attention.Projections] {
      let c = try Self.parsed(#""num_kv_shared_layers": \#(count)"#)
      return try c.architecture.structure(c).blocks.map(\.attention.projections)
    }
    #expect(try sources(0) == [.separate, .separate, .separate, .separate])
    #expect(try sources(2) == [.separate, .separate, .queries(keysOf: 0), .queries(keysOf: 1)])
    #expect { _ = try sources(3) } throws: {
      "\($0)".contains("'num_kv_shared_layers'") && "\($0)".contains("for layer 1")
    }
    #expect(throws: FormatError.self) { _ = try sources(5) }
  }

  @Test(
    arguments: [
      (#""enable_moe_block": true"#, "supported are the models without experts"),
      (#""use_bidirectional_attention": "all""#, "'use_bidirectional_attention': 'all'"),
      (#""global_head_dim": 7"#, "must be even"),
      (#""per_layer_config": {"1": {"sliding_window": 3}}"#, "'per_layer_config.1.sliding_window'"),
      (#""per_layer_config": {"9": {"head_dim": 8}}"#, "'per_layer_config.9'"),
      (#""per_layer_config": {"1": {"num_key_value_heads": 3}}"#, "do not divide"),
      (#""num_kv_shared_layers": -1"#, "'num_kv_shared_layers'"),
    ])
  func refused(members: String, text: String) {
    #expect { _ = try Self.parsed(members) } throws: { "\($0)".contains(text) }
  }
}

/// Rotary embeddings of Ministral 3 and gpt-oss, and weights in MXFP4.
@Suite("config.json of Ministral 3 and gpt-oss") struct NewerRotaryTests {
  private static func parsed(_ type: String, _ members: String = "") throws -> ModelConfiguration {
    let text = #"{"model_type": "\#(type)"\#(members.isEmpty ? "" : ", " + members)}"#
    return try ModelConfiguration(parsing: Array(text.utf8))
  }

  @Test func queriesThatGrow() throws {
    let rule = try Self.parsed("ministral3")
    #expect(rule.rotary.base == 1e6)
    #expect(rule.rotary.queryScaling == .init(weight: 0.1, period: 16384))
    let own = try Self.parsed(
      "ministral3",
      #""rope_parameters": {"rope_type": "default", "rope_theta": 5, "llama_4_scaling_beta": 0.5, "original_max_position_embeddings": 8}"#
    )
    #expect(
      own.rotary == RotaryConfiguration(base: 5, queryScaling: .init(weight: 0.5, period: 8)))
    #expect(try ModelConfiguration(parsing: own.encoded()).rotary == own.rotary)
    // Both kinds of text, each with its defaults.
    let text = try Self.parsed("mistral3", #""text_config": {"model_type": "ministral3"}"#)
    #expect(text.rotary == rule.rotary && text.layerCount == 34)
    let older = try Self.parsed("mistral3", #""text_config": {"model_type": "mistral"}"#)
    #expect(older.rotary == RotaryConfiguration() && older.layerCount == 32)
    #expect(try ModelConfiguration(parsing: text.encoded()).layerCount == 34)
  }

  @Test(
    arguments: [
      (#""llama_4_scaling_beta": 0.5"#, "'llama_4_scaling_beta' needs it"),
      (#""llama_4_scaling_beta": -1, "original_max_position_embeddings": 8"#, "found -1"),
    ])
  func wrongScalings(members: String, text: String) {
    #expect {
      _ = try Self.parsed(
        "ministral3", #""rope_parameters": {"rope_type": "default", \#(members)}"#)
    } throws: {
      "\($0)".contains(text)
    }
  }

  @Test func gptOSSDefaults() throws {
    let rule = try Self.parsed("gpt_oss").rotary
    #expect(rule.base == 150_000)
    let yarn = RotaryConfiguration.Yarn(
      factor: 32, originalMaximumPositions: 4096, truncates: false)
    #expect(rule.scaling == .yarn(yarn))
    // A base alone keeps the scaling, as in transformers.
    let based = try Self.parsed("gpt_oss", #""rope_theta": 10000, "rope_scaling": null"#).rotary
    #expect(based == RotaryConfiguration(base: 10000, scaling: .yarn(yarn)))
    let windows = try Self.parsed("gpt_oss", #""num_hidden_layers": 3"#).slidingWindows
    #expect(windows == [128, nil, 128])
  }

  @Test func otherQuantizationsAreNamed() throws {
    _ = try Self.parsed("gpt_oss", #""quantization_config": {"quant_method": "mxfp4"}"#)
    #expect {
      _ = try Self.parsed("gpt_oss", #""quantization_config": {"quant_method": "gptq"}"#)
    } throws: {
      "\($0)".contains("(gptq)") && "\($0)".contains("supported are MXFP4")
    }
    #expect {
      _ = try Self.parsed("llama", #""quantization_config": {"quant_method": "mxfp4"}"#)
    } throws: {
      "\($0)".contains("(mxfp4)")
    }
  }
}
