import LoRAFiles

extension Architecture {
  /// gpt-oss: experts with biases and clamped gates, a sink for each head in the softmax of attention, a window in
  /// every second layer.
  ///
  /// Source: OpenAI, *gpt-oss-120b & gpt-oss-20b model card*, 2025; names and options are those of
  /// transformers.
  public static let gptOSS: Architecture = {
    var result = Architecture(
      "gpt_oss", className: "GptOssForCausalLM", ggufName: "gpt-oss",
      keys: ConfigurationKey.decoder(
        hiddenSize: 2880, headCount: 64, layerCount: 36, intermediateSize: 2880,
        maximumPositions: 131_072, keyValueHeadCount: 8, vocabularySize: 201_088, headSize: 64,
        normEpsilon: 1e-5,
        rotary: .rotary(
          RotaryConfiguration.Rule(
            base: 150_000,
            absentScaling: .yarn(
              .init(factor: 32, originalMaximumPositions: 4096, truncates: false)))),
        bos: nil, eos: [])
        + ConfigurationKey.windows(default: 128) { $0 % 2 == 0 }
        + ConfigurationKey.experts(
          count: "num_local_experts", or: "num_experts", 128, active: 4, lossFactor: 0.001)
        + [
          .expertSizeInGGUF,
          .flag("attention_bias", ifGGUFHas: "blk.0.attn_q.bias", default: true),
          .number("swiglu_alpha", default: 1.702),
          .number("swiglu_limit", default: 7),
        ],
      tensors: [TensorName].decoder().renaming(
        without: ["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]) + [
          TensorName(
            "model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm",
            role: "ffn_norm"),
          TensorName("model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks").asParameter,
          TensorName("model.layers.{}.mlp.router", "blk.{}.ffn_gate_inp"),
          TensorName("model.layers.{}.mlp.experts.gate_up_proj", "blk.{}.ffn_gate_up_exps")
            .inParts(["blk.{}.ffn_gate_exps", "blk.{}.ffn_up_exps"]),
          TensorName("model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps"),
        ], derivedTensors: llama.derivedTensors
    ) { (c) throws(FormatError) in
      let experts = try c.experts(
        size: c.intermediateSize, countKey: "num_local_experts", weighting: .softmaxOfChosen,
        isStacked: true)
      let clamp = TransformerStructure.FeedForward.Clamp(
        alpha: Float(c[number: "swiglu_alpha"] ?? 1.702),
        limit: Float(c[number: "swiglu_limit"] ?? 7))
      let bias = c[flag: "attention_bias"]
      return TransformerStructure(c) { layer in
        .init(
          attention: .init(
            bias: bias, outputBias: bias, rotary: c.rotary, window: c.slidingWindows[layer],
            hasSinks: true), feedForward: .mixture(clamp: clamp, of: experts))
      }
    }
    result.readsMXFP4 = true
    return result
  }()
}
