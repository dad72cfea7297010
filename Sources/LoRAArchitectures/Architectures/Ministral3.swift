extension Architecture {
  /// Ministral 3: Mistral with YaRN's positions, and queries that grow with the logarithm of theirs.
  ///
  /// Source: Mistral AI, *Introducing Mistral 3*, 2025; names and options are those of transformers.
  public static let ministral3 = Architecture(
    "ministral3", className: "Ministral3ForCausalLM", ggufName: "mistral3",
    keys: ConfigurationKey.decoder(
      layerCount: 34, intermediateSize: 14336, maximumPositions: 262_144, keyValueHeadCount: 8,
      vocabularySize: 131_072, headSize: 128, normEpsilon: 1e-5,
      rotary: .rotaryWithQueryScaling(
        absent: RotaryConfiguration(
          base: 1_000_000,
          scaling: .yarn(.init(factor: 16, originalMaximumPositions: 16384, amplitude: 1)),
          queryScaling: .init(weight: 0.1, period: 16384)))) + [
        .window("sliding_window", default: nil)
      ],
    tensors: llama.tensors, derivedTensors: llama.derivedTensors, tokenHead: "score",
    structure: mistral.structure)
}
