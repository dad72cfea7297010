import LoRAKit

extension Workload {
  /// Training steps and generation, on a Llama of 4 blocks and 256 features.
  static var models: [Workload] {
    var all: [Workload] = []
    for (name, isCheckpointed, inject) in steps {
      all.add("TrainingStep-4x256\(name)") {
        let model = try smallModel()
        if let inject {
          model.setTrainable(false)
          try inject(model)
        }
        var random = SeededRandom(seed: 0, path: "tokens")
        let ids = (0..<4 * 256).map { _ in Int64.random(in: 0..<1536, using: &random) }
        return (model, Tensor(ids, shape: [4, 256]))
      } _: { state in
        let (model, tokens) = state
        BlockCheckpointing.during(isCheckpointed) {
          blackHole(model.loss(tokens: tokens, targets: tokens, scale: 1 / 1024).gradients())
        }
      }
    }
    for isAdapted in [false, true] {
      all.add("Decode-32-after-64\(isAdapted ? "-LoRA" : "")") {
        let model = try smallModel()
        if isAdapted { try model.inject(LoRA(rank: 16, alpha: 32, initialization: .gaussian)) }
        return model
      } _: { model in
        let prompt = (0..<64).map { $0 * 23 % 1536 }
        let session = try GenerationSession(
          model, prompt: prompt, options: GenerationOptions(maximumTokens: 32))
        while try session.next() != nil {}
      }
    }
    return all
  }

  /// What is trained, and whether blocks are computed twice; nil trains the model itself.
  private static let steps:
    [(
      name: String, isCheckpointed: Bool,
      inject: (@Sendable (any PretrainedLanguageModel) throws -> Void)?
    )] = [
      ("", false, { try $0.inject(LoRA(rank: 16, alpha: 32)) }),
      ("-checkpointed", true, { try $0.inject(LoRA(rank: 16, alpha: 32)) }),
      ("-DoRA", false, { try $0.inject(DoRA(rank: 16, alpha: 32)) }),
      ("-IA3", false, { try $0.inject(IA3(), into: ["k_proj", "v_proj", "down_proj"]) }),
      ("-prefix", false, { try $0.inject(PrefixTuning(count: 16)) }),
      ("-full", false, nil),
    ]
}

private func smallModel() throws -> any PretrainedLanguageModel {
  try ModelConfiguration(
    hiddenSize: 256, intermediateSize: 672, layerCount: 4, headCount: 4, keyValueHeadCount: 2,
    vocabularySize: 1536, tiesWordEmbeddings: true
  ).randomLanguageModel()
}
