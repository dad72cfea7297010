import Benchmark
import LoRAKit

/// A training step and decoding, on a Llama of 4 blocks and 256 features.
func wholeModels() {
  measure("TrainingStep-4x256") {
    let model = try smallModel()
    model.setTrainable(false)
    try model.inject(LoRA(rank: 16, alpha: 32))
    var random = SeededRandom(seed: 0, path: "tokens")
    let ids = (0..<4 * 256).map { _ in Int64.random(in: 0..<1536, using: &random) }
    return (model, Tensor(ids, shape: [4, 256]))
  } _: { state in
    let (model, tokens) = state
    blackHole(model.loss(tokens: tokens, targets: tokens, scale: 1 / 1024).gradients())
  }
  measure("Decode-32-after-64") {
    try smallModel()
  } _: { model in
    let prompt = (0..<64).map { $0 * 23 % 1536 }
    let session = try GenerationSession(
      model, prompt: prompt, options: GenerationOptions(maximumTokens: 32))
    while try session.next() != nil {}
  }
}

private func smallModel() throws -> any PretrainedLanguageModel {
  try ModelConfiguration(
    hiddenSize: 256, intermediateSize: 672, layerCount: 4, headCount: 4, keyValueHeadCount: 2,
    vocabularySize: 1536, tiesWordEmbeddings: true
  ).randomLanguageModel()
}
