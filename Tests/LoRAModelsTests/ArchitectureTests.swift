import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// What holds for every architecture: whatever way a model computes, it computes the same.
@Suite struct ArchitectureTests {
  private static func model(_ architecture: Architecture) throws -> any PretrainedTokenModel {
    var configuration = TinyModels.configuration(architecture)
    switch architecture {
    case .qwen3, .gemma2: configuration.slidingWindows = [5, nil]
    case .ministral3: configuration.rotary.queryScaling = .init(weight: 0.5, period: 3)
    case .mistral: configuration.slidingWindows = [5, 5]
    case .qwen2: configuration.slidingWindows = [nil, 5]
    default: break
    }
    let model = try configuration.randomModel(standardDeviation: 0.2, seed: 5)
    for (path, parameter) in model.namedParameters() where parameter.shape.count == 1 {
      var random = SeededRandom(seed: 6, path: path)
      parameter.value =
        parameter.value + random.normal(parameter.shape, standardDeviation: 0.1)
    }
    model.setTrainable(false)
    return model
  }

  private static func inject(_ method: some AdapterMethod, into model: any Module) throws {
    try model.inject(method, named: "a", seed: 2)
    for (path, parameter) in model.adapterParameters(named: "a") {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.1)
    }
  }

  /// What a model is for: logits of next tokens, `[batch, positions, vocabulary]`, or of labels,
  /// `[batch, labels]`.
  private func logits(_ model: any TokenModel, _ tokens: Tensor) -> Tensor {
    logits(model, TokenBatch(tokens))
  }

  private func logits(_ model: any TokenModel, _ batch: TokenBatch) -> Tensor {
    withoutGradients {
      switch model {
      case let model as any LanguageModel: model(batch).value
      case let model as any SequenceClassifier: model(batch).value
      default: model.hiddenStates(batch).value
      }
    }
  }

  /// Sequences in an item with others, one after the other, and in a batch with longer ones = alone.
  @Test(arguments: Architecture.all)
  func batches(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    try Self.inject(LoRA(rank: 2, alpha: 6), into: model)
    let sequences = [
      [3, 9, 4, 1, 17, 2, 8], [5], [11, 23, 6, 7], [2, 2, 9, 14, 20, 21, 3, 8, 1, 12],
    ]
    let types = model.typeCount > 1 ? sequences.map { $0.map { $0 % 2 } } : nil
    func states(_ batch: TokenBatch) -> Tensor {
      withoutGradients { model.hiddenStates(batch).value }
    }
    let alone = sequences.indices.map { index in
      states(TokenBatch(sequences: [sequences[index]], types: types.map { [$0[index]] }))
    }
    let padded = states(TokenBatch(sequences: sequences, types: types, padding: 13))
    for (item, states) in alone.enumerated() {
      let part = padded[rows: item..<item + 1].sliced(axis: 1, 0..<sequences[item].count)
      #expect(largestDifference(part, states) < 1e-5, "sequence \(item) of a padded batch")
    }
    let order = [[0, 1, 2], [3]]
    let packed = order.map { $0.map { sequences[$0].count } }
    let joined = TokenBatch(sequences: order.map { $0.flatMap { sequences[$0] } }, padding: 13)
    let kinds = types.map { types in
      TokenBatch(sequences: order.map { $0.flatMap { types[$0] } }).tokens
    }
    let together = states(TokenBatch(joined.tokens, packed: packed, types: kinds))
    for (item, members) in order.enumerated() {
      var start = 0
      for sequence in members {
        let part = together[rows: item..<item + 1]
          .sliced(axis: 1, start..<start + sequences[sequence].count)
        #expect(largestDifference(part, alone[sequence]) < 1e-5, "sequence \(sequence), packed")
        start += sequences[sequence].count
      }
    }
  }

  /// One pass = behind a cache, piece by piece = in a batch = in a longer sequence.
  @Test(arguments: TinyModels.languageModels)
  func wayOfComputing(architecture: Architecture) throws {
    let model = try #require(try Self.model(architecture) as? any LanguageModel)
    try Self.inject(LoRA(rank: 2, alpha: 6), into: model)
    let tokens = TinyModels.tokens([3, 14])
    for selection: AdapterSelection in [[:], ["a": 0.7]] {
      try model.withAdapters(selection) {
        let whole = logits(model, tokens)
        for item in 0..<3 {
          let one = tokens[rows: item..<item + 1]
          #expect(largestDifference(logits(model, one), whole[rows: item..<item + 1]) < 1e-5)
          // What follows changes nothing that came before.
          let short = one.sliced(axis: 1, 0..<9)
          #expect(
            largestDifference(
              logits(model, short), whole[rows: item..<item + 1].sliced(axis: 1, 0..<9)) < 1e-5)
          let cache = KeyValueCache(layerCount: model.layerCount, capacity: 14)
          var start = 0
          for length in [6, 1, 2, 1, 4] {
            let hidden = withoutGradients {
              model.hiddenStates(one.sliced(axis: 1, start..<start + length), cache: cache)
            }
            let part = withoutGradients { model.logits(of: hidden).value }
            let expected = whole[rows: item..<item + 1].sliced(axis: 1, start..<start + length)
            #expect(largestDifference(part, expected) < 1e-5, "item \(item) from \(start) on")
            start += length
          }
        }
      }
    }
  }

  /// Losses in chunks = losses of all logits; checkpointed gradients = kept ones, bit for bit.
  @Test(arguments: TinyModels.languageModels)
  func lossesAndGradients(architecture: Architecture) throws {
    let model = try #require(try Self.model(architecture) as? any LanguageModel)
    try Self.inject(LoRA(rank: 2, alpha: 6), into: model)
    let (tokens, targets) = (TinyModels.tokens([2, 12]), TinyModels.tokens([2, 12], seed: 1))
    try model.enableAdapters(["a": 1])
    let losses = try model.tokenLosses(tokens: tokens, targets: targets)
    let all = model(tokens).crossEntropy(targets: targets, reduction: .sum).value.item()
    #expect(abs(losses.scalars().reduce(0, +) - all) < 1e-4 * abs(all))
    func gradients(checkpointed: Bool) -> [Tensor?] {
      let loss = BlockCheckpointing.during(checkpointed) {
        model.loss(tokens: tokens, targets: targets, scale: 0.5)
      }
      #expect(abs(loss.value.item() - all / 2) < 1e-4 * abs(all))
      let gradients = loss.gradients()
      return model.adapterParameters(named: "a").map { gradients[$0.parameter] }
    }
    let kept = gradients(checkpointed: false)
    #expect(kept.allSatisfy { $0 != nil } && !kept.isEmpty)
    #expect(gradients(checkpointed: true) == kept)
  }

  /// Adapted = merged, for every method; unmerged and detached = the base bit for bit.
  @Test(arguments: Architecture.all)
  func adapters(architecture: Architecture) throws {
    let model = try Self.model(architecture)
    let tokens = TinyModels.tokens([2, 10])
    let base = logits(model, tokens)
    let methods: [any AdapterMethod] = [
      LoRA(rank: 2, alpha: 6), DoRA(rank: 2, alpha: 6), LoHa(rank: 2), LoKr(rank: 2), IA3(),
    ]
    for method in methods {
      try Self.inject(method, into: model)
      let adapted = logits(model, tokens)
      #expect(largestDifference(adapted, base) > 1e-3, "\(method)")
      try model.mergeAdapters(["a": 1])
      #expect(largestDifference(logits(model, tokens), adapted) < 1e-4, "\(method)")
      try model.unmergeAdapters()
      #expect(logits(model, tokens) == adapted, "\(method)")
      try model.detach("a")
      #expect(logits(model, tokens) == base, "\(method)")
    }
  }

  /// A folder holds all of a model, and its adapter's folder all of the adapter.
  @Test(arguments: Architecture.all)
  func files(architecture: Architecture) throws {
    let folder = try Fixtures.temporaryFolder()
    let model = try Self.model(architecture)
    let tokens = TinyModels.tokens([2, 10])
    try model.save(to: folder + "/model")
    let opened = try PretrainedModel(path: folder + "/model")
    #expect(opened.configuration.architecture == architecture)
    #expect(opened.configuration == model.configuration.asStored)
    #expect(logits(opened.model, tokens) == logits(model, tokens))
    try Self.inject(LoRA(rank: 2, alpha: 6), into: model)
    try model.saveAdapter("a", to: folder + "/adapter")
    try opened.model.loadAdapter(from: folder + "/adapter", named: "a")
    #expect(logits(opened.model, tokens) == logits(model, tokens))
    guard architecture.ggufName != nil else { return }
    let options = AdapterFile.Options(basePath: folder + "/model")
    let peft = try AdapterFile(path: folder + "/adapter", options: options)
    // Gemma 4 has a layer that llama.cpp does not adapt.
    if architecture.tensors.contains(where: { $0.kind == .projection && !$0.hasAdaptersInGGUF }) {
      #expect(throws: FormatError.self) {
        try peft.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
      }
      return
    }
    try peft.write(as: .gguf, to: folder + "/adapter.gguf", options: options)
    let back = try AdapterFile(path: folder + "/adapter.gguf", options: options)
    #expect(
      back.description.layers.map(\.path).sorted() == peft.description.layers.map(\.path).sorted())
  }
}

extension ModelConfiguration {
  /// What reading a file that was written of it gives: the class of the architecture is named.
  fileprivate var asStored: ModelConfiguration {
    var stored = self
    if stored.classNames.isEmpty { stored.classNames = [architecture.className] }
    return stored
  }
}
