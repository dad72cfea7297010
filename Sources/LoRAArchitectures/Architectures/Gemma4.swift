import LoRAFiles

extension Architecture {
  /// Gemma 4's text model: Gemma 3 with a vector of each token for each layer, whose last layers read the
  /// keys and values of earlier ones; larger heads in layers without a window, of which a part turns.
  ///
  /// Source: Google DeepMind, *Gemma 4*, 2026; names and options are those of transformers.
  public static let gemma4 = Architecture(
    "gemma4_text", className: "Gemma4ForCausalLM", ggufName: "gemma4",
    keys: ConfigurationKey.decoder(
      hiddenSize: 2304, headCount: 8, layerCount: 30, intermediateSize: 9216,
      maximumPositions: 131_072, keyValueHeadCount: 4, vocabularySize: 262_144, headSize: 256,
      activationKey: "hidden_activation", activation: "gelu_pytorch_tanh",
      tiesWordEmbeddings: true,
      rotary: .rotary(
        base: 1_000_000, windowBase: 10_000, windowBaseKey: "rope_local_base_freq",
        absent: RotaryConfiguration(
          base: 1_000_000, scaling: .proportional(factor: 1), fraction: 0.25)),
      bos: 2, eos: [1])
      + ConfigurationKey.windows(default: 512, writesPattern: true) { ($0 + 1) % 6 != 0 }
      + [
        .lastLayerWithoutWindow, .windowRotaryBase, .flag("attention_bias", default: false),
        .whole("num_kv_shared_layers", gguf: "attention.shared_kv_layers", default: 0),
        .keysAsValues("attention_k_eq_v", shared: "num_kv_shared_layers"),
        .headsByLayer(globalHeadSize: 512, sharing: "attention_k_eq_v"),
        .doubleWidth("use_double_wide_mlp", shared: "num_kv_shared_layers"),
        .whole(
          "hidden_size_per_layer_input", gguf: "embedding_length_per_layer_input", default: 256),
        .whole(
          "vocab_size_per_layer_input", rowsInGGUF: "per_layer_token_embd.weight",
          default: 262_144),
        // llama.cpp caps at 30 where files say nothing.
        .number(
          "final_logit_softcapping", gguf: "final_logit_softcapping", offInGGUF: 0, default: nil),
        .refused(
          "enable_moe_block", "experts beside a network (26B-A4B)",
          remedy: "supported are the models without experts: E2B, E4B and 31B"),
        .refusedWord(
          "use_bidirectional_attention", "all", "a position sees those that follow it",
          remedy: "Gemma 4 is supported as a language model"),
      ],
    // Weights of norms are stored as they are, not minus one.
    tensors: gemma3.tensors.map(\.addingNothing) + [
      TensorName("model.embed_tokens_per_layer", "per_layer_token_embd"),
      TensorName("model.per_layer_model_projection", "per_layer_model_proj", .projection)
        .withoutAdaptersInGGUF,
      TensorName("model.per_layer_projection_norm", "per_layer_proj_norm"),
      TensorName("model.layers.{}.per_layer_input_gate", "blk.{}.inp_gate", .projection),
      TensorName(
        "model.layers.{}.per_layer_projection", "blk.{}.proj", .projection, role: "per_layer_proj"),
      TensorName(
        "model.layers.{}.post_per_layer_input_norm", "blk.{}.post_norm",
        role: "post_per_layer_norm"),
      TensorName("model.layers.{}.layer_scalar", "blk.{}.layer_output_scale").asParameter,
    ], derivedTensors: llama.derivedTensors
  ) { (c) throws(FormatError) in
    let count = Int(c[number: "num_kv_shared_layers"] ?? 0)
    let sources = try c.sharedKeys(count, key: "num_kv_shared_layers")
    let inputSize = Int(c[number: "hidden_size_per_layer_input"] ?? 0)
    let inputs = TransformerStructure.Embedding.BlockInputs(
      size: inputSize, vocabularySize: Int(c[number: "vocab_size_per_layer_input"] ?? 0),
      activation: c.hiddenActivation)
    let bias = c[flag: "attention_bias"]
    return TransformerStructure(
      c,
      embedding: .init(
        scale: Float(c.hiddenSize).squareRoot(), blockInputs: inputSize == 0 ? nil : inputs),
      logitSoftCap: c[number: "final_logit_softcapping"].map { Float($0) }
    ) { layer in
      let (window, heads) = (c.slidingWindows[layer], c.heads(ofLayer: layer))
      let isWide = sources[layer] != nil && c[flag: "use_double_wide_mlp"]
      let sharesProjection = window == nil && c[flag: "attention_k_eq_v"]
      return .init(
        attention: .init(
          projections: sources[layer].map { .queries(keysOf: $0) }
            ?? (sharesProjection ? .keysAsValues : .separate),
          bias: bias, outputBias: bias,
          rotary: window == nil ? c.rotary : c.windowRotary ?? c.rotary, window: window, scale: 1,
          headNorm: .perHead(.rms), normsValues: true, headSize: heads.size,
          keyHeadCount: heads.keys),
        feedForward: .gated(c.hiddenActivation, size: isWide ? 2 * c.intermediateSize : nil),
        norms: .beforeAndAfter, hasOutputScale: true)
    }
  }
}
