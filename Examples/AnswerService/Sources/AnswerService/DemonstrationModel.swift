public import LoRAKit

/// A model and adapters of random numbers: enough to see who answers whom. Put a model of yours in
/// its place with `PretrainedModel(path:)`, and adapters with `loadAdapter(from:named:)`.
public enum DemonstrationModel {
  /// A small Llama.
  public static func make(seed: UInt64 = 0) throws -> any PretrainedLanguageModel {
    let configuration = ModelConfiguration(
      hiddenSize: 32, intermediateSize: 64, layerCount: 2, headCount: 4, keyValueHeadCount: 2,
      vocabularySize: 96, tiesWordEmbeddings: false, maximumPositions: 256)
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: seed)
    model.setTrainable(false)
    return model
  }

  /// An adapter for `model` whose numbers depend on the seed.
  public static func adapter(
    for model: any PretrainedLanguageModel, seed: UInt64
  ) -> AdapterDescription {
    AdapterDescription(
      layers: model.linearLayers().filter { $0.layer !== model.head }.map { path, layer in
        var random = SeededRandom(seed: seed, path: path)
        return AdapterDescription.Layer(
          path: path, a: random.normal([4, layer.inputSize], standardDeviation: 0.2),
          b: random.normal([layer.outputSize, 4], standardDeviation: 0.2), alpha: 8, scale: 2)
      })
  }
}
