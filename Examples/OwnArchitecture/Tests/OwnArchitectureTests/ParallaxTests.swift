import Foundation
import LoRAKit
import OwnArchitecture
import Testing

/// What a program gets for an architecture that it registers: everything that the library's own have.
@Suite struct ParallaxTests {
  init() { Architecture.register(.parallax) }

  private var configuration: ModelConfiguration {
    var configuration = ModelConfiguration(
      architecture: .parallax, hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 4,
      vocabularySize: 64, tiesWordEmbeddings: true, maximumPositions: 64, eosTokenIDs: [0])
    configuration[flag: "bias"] = true
    return configuration
  }

  private func model(seed: UInt64 = 0) throws -> any PretrainedLanguageModel {
    try configuration.randomLanguageModel(standardDeviation: 0.2, seed: seed)
  }

  private let sequences = (0..<16).map { index in (0..<20).map { 1 + (index + 3 * $0) % 60 } }

  private func train(_ model: any PretrainedLanguageModel) throws -> TrainingResult {
    try model.inject(LoRA(rank: 4, alpha: 8), named: "a")
    let options = TrainingOptions(duration: .steps(20), batchSize: 4, learningRate: 1e-2)
    return try Trainer(
      model, training: .adapter("a"), on: TokenDataSet(sequences: sequences), options: options
    ).run()
  }

  private func withFolder(_ body: (String) throws -> Void) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("parallax-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body(folder)
  }

  @Test func parametersHaveTheNamesOfTheTable() throws {
    let names = try model().namedParameters().map(\.path)
    #expect(names.first == "tokens.weight" && names.last == "norm.weight")
    #expect(names.contains("blocks.1.mix.bias") && !names.contains("head.weight"))
    #expect(try model().linearLayers().count == 2 * 6 + 1)
  }

  @Test func itComesBackFromItsFolderBitForBit() throws {
    try withFolder { folder in
      let saved = try model(seed: 3)
      try saved.save(to: folder)
      let opened = try PretrainedModel(path: folder)
      #expect(opened.configuration.architecture == .parallax)
      #expect(opened.configuration[flag: "bias"])
      let tokens = Tensor(sequences[0].map { Int64($0) }, shape: [1, sequences[0].count])
      let model = try opened.languageModel
      #expect(withoutGradients { saved(tokens).value == model(tokens).value })
    }
  }

  @Test func decodingComputesWhatOnePassDoes() throws {
    let model = try model()
    let options = GenerationOptions(maximumTokens: 24, temperature: 0)
    let session = try GenerationSession(model, prompt: [5, 9, 13], options: options)
    var tokens = [5, 9, 13]
    while let next = try session.next() {
      let all = Tensor(tokens.map { Int64($0) }, shape: [1, tokens.count])
      let logits = withoutGradients { model(all).value.scalars() }
      let last = logits.suffix(model.vocabularySize)
      #expect(last.firstIndex(of: last.max() ?? 0).map { $0 - last.startIndex } == next)
      tokens.append(next)
    }
    #expect(tokens.count > 10)
  }

  @Test func anAdapterLearnsAndComesOff() throws {
    let model = try model()
    let tokens = Tensor(sequences[0].map { Int64($0) }, shape: [1, sequences[0].count])
    let before = withoutGradients { model(tokens).value }
    let losses = try train(model).losses
    #expect((losses.last ?? 0) < (losses.first ?? 0) - 0.2)
    #expect(withoutGradients { model(tokens).value } != before)
    try model.detach("a")
    #expect(withoutGradients { model(tokens).value } == before)
  }

  @Test func anAdapterGoesToOtherFormatsAndBack() throws {
    try withFolder { folder in
      let model = try model()
      try model.save(to: folder + "/base")
      _ = try train(model)
      try model.saveAdapter("a", to: folder + "/peft")
      let peft = try AdapterFile(path: folder + "/peft")
      let options = AdapterFile.Options(basePath: folder + "/base")
      try peft.write(as: .gguf, to: folder + "/a.gguf", options: options)
      try peft.write(as: .mlx, to: folder + "/mlx")
      for path in ["/a.gguf", "/mlx"] {
        let back = try AdapterFile(path: folder + path, options: options)
        #expect(
          back.description.layers.map(\.path).sorted()
            == peft.description.layers.map(\.path).sorted())
      }
    }
  }

  @Test func memoryIsPredicted() throws {
    let workload = TrainingWorkload(
      configuration, weightType: .float32, training: .adapter(configuration) { _ in 4 },
      batchSize: 2,
      length: 32)
    #expect(try workload.memory.weights == 4 * model().parameterCount)
    #expect(workload.memory.activations > 0)
  }
}
