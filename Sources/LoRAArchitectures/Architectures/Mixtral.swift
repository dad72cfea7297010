import LoRAFiles

extension Architecture {
  /// Mixtral: Mistral with experts in the place of each feed-forward network. llama.cpp converts it to
  /// its "llama".
  ///
  /// Source: Jiang et al., *Mixtral of experts*, 2024; names and options are those of transformers, whose
  /// version 5 reads and writes the names of checkpoints and calls a part `mlp` in memory that they call
  /// `block_sparse_moe`.
  public static let mixtral = Architecture(
    "mixtral", className: "MixtralForCausalLM", ggufName: "llama",
    keys: ConfigurationKey.decoder(
      intermediateSize: 14336, maximumPositions: 131_072, keyValueHeadCount: 8, normEpsilon: 1e-5,
      rotary: .rotary(base: 1e6))
      + ConfigurationKey.experts(
        count: "num_local_experts", or: "num_experts", 8, active: 2, lossFactor: 0.001)
      + [
        .window("sliding_window", default: nil),
        .refusedNumber(
          "router_jitter_noise", "the router's input would be scaled at random while training",
          remedy: "set it to 0, which changes nothing but training"),
      ],
    tensors: llama.tensors.renaming(without: ["ffn_gate", "ffn_up", "ffn_down"])
      + .experts(
        "model.layers.{}.block_sparse_moe", gate: "w1", up: "w3", down: "w2",
        inMemory: "model.layers.{}.mlp"),
    derivedTensors: llama.derivedTensors,
    tokenHead: "score"
  ) { (c) throws(FormatError) in
    let experts = try c.experts(
      size: c.intermediateSize, countKey: "num_local_experts", weighting: .softmaxOfAllNormalized)
    return TransformerStructure(c) { layer in
      .init(
        attention: .init(rotary: c.rotary, window: c.slidingWindows[layer]),
        feedForward: .mixture(c.hiddenActivation, of: experts))
    }
  }
}
