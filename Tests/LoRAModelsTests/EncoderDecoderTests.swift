import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// T5 and mT5 by transformers, and adapters on them by PEFT (Tests/Reference/encoder_decoders.py); and what
/// must not change anything: caches, batches, padding, packing, checkpointing.
@Suite struct EncoderDecoderTests {
  static let names = ["t5-published", "t5-gated", "mt5", "mt5-tied"]

  private static func path(_ name: String) -> String { Fixtures.path("encoder_decoders/\(name)") }

  private static func open(_ name: String) throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: path(name)).languageModel
  }

  /// Sources and targets, and what was computed of them.
  private struct Reference {
    let file: SafetensorsFile
    /// The ids of each source and of each target, without padding.
    let sources: [[Int]]
    let targets: [[Int]]

    init(_ name: String) throws {
      let file = try SafetensorsFile(path: path(name) + "/expected.safetensors")
      func rows(_ name: String, _ isPadding: (Int) -> Bool) throws -> [[Int]] {
        let ids = try file.tensor(named: name)
        return (0..<ids.shape[0]).map { row in
          ids[row: row].scalars(as: Int64.self).map { Int($0) }.filter { !isPadding($0) }
        }
      }
      self.file = file
      sources = try rows("sources") { $0 == 0 }
      targets = try rows("targets") { $0 < 0 }
    }

    /// The negative log-likelihoods of each target's tokens.
    func losses(_ name: String) throws -> [[Float]] {
      let all = try file.tensor(named: name).converted(to: .float32)
      return targets.enumerated().map { Array(all[row: $0].scalars().prefix($1.count)) }
    }

    func generated(_ name: String) throws -> [Int] {
      try file.tensor(named: name).scalars(as: Int64.self).map { Int($0) }
    }
  }

  /// The losses of each target in one batch.
  private func losses(
    _ model: any LanguageModel, _ sources: [[Int]], _ targets: [[Int]]
  ) throws -> [[Float]] {
    let sequences = zip(sources, targets).map { $0 + [0] + $1 }
    let width = (sequences.map(\.count).max() ?? 0) - 1
    var (ids, wanted) = ([Int64](), [Int64]())
    for (sequence, source) in zip(sequences, sources) {
      for place in 0..<width {
        ids.append(place < sequence.count - 1 ? Int64(sequence[place]) : 0)
        let isTarget = place >= source.count && place + 1 < sequence.count
        wanted.append(isTarget ? Int64(sequence[place + 1]) : -100)
      }
    }
    let shape: Shape = [sequences.count, width]
    let losses = try model.tokenLosses(
      tokens: Tensor(ids, shape: shape), targets: Tensor(wanted, shape: shape))
    return zip(sources, targets).enumerated().map { row, parts in
      Array(losses[row: row].scalars()[parts.0.count..<parts.0.count + parts.1.count])
    }
  }

  private func difference(_ a: [[Float]], _ b: [[Float]]) -> Float {
    zip(a, b).flatMap { zip($0, $1).map { abs($0 - $1) } }.max() ?? .infinity
  }

  private static func randomize(_ model: any Module, named name: String = "a") {
    for (path, parameter) in model.adapterParameters(named: name) {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.1)
    }
  }

  /// A model of the smallest size with an adapter of effect on every linear layer.
  private static func tiny(_ architecture: Architecture) throws -> any PretrainedLanguageModel {
    var configuration = TinyModels.configuration(architecture)
    configuration[number: "num_decoder_layers"] = 3
    configuration[number: "relative_attention_num_buckets"] = 8
    configuration[number: "relative_attention_max_distance"] = 12
    let model = try configuration.randomLanguageModel(standardDeviation: 0.2, seed: 5)
    for (path, parameter) in model.namedParameters() where path.contains("relative_attention") {
      var random = SeededRandom(seed: 6, path: path)
      parameter.value = random.normal(parameter.shape)
    }
    model.setTrainable(false)
    try model.inject(LoRA(rank: 2, alpha: 6), named: "a", seed: 2)
    randomize(model)
    return model
  }

  private static let sources = [
    [3, 9, 4, 17, 2, 8, 1], [5, 1], [11, 23, 6, 7, 12, 13, 2, 2, 9, 14, 1],
  ]
  private static let targets = [[7, 7, 20], [2, 9, 14, 20, 21, 1], [4]]

  // MARK: transformers and PEFT

  @Test(arguments: names) func lossesOfEveryTokenAgree(name: String) throws {
    let reference = try Reference(name)
    let model = try Self.open(name)
    func losses() throws -> [[Float]] {
      try self.losses(model, reference.sources, reference.targets)
    }
    let base = try losses()
    #expect(difference(base, try reference.losses("nll")) < 2e-5)
    try model.loadAdapter(from: Self.path(name) + "/adapter")
    let adapted = try losses()
    #expect(difference(adapted, try reference.losses("nll_adapted")) < 2e-5)
    #expect(difference(adapted, base) > 1e-2)
    try model.mergeAdapters(["default": 1])
    #expect(difference(try losses(), adapted) < 1e-4)
    try model.unmergeAdapters()
    #expect(try losses() == adapted)
    try model.detach("default")
    #expect(try losses() == base)
  }

  @Test(arguments: names) func greedyGenerationsAgree(name: String) throws {
    let reference = try Reference(name)
    let model = try Self.open(name)
    let prompt = reference.sources[0] + [0]
    let options = GenerationOptions(maximumTokens: 15)
    #expect(try model.generate(after: prompt, options: options) == reference.generated("generated"))
    try model.loadAdapter(from: Self.path(name) + "/adapter", named: "a")
    #expect(
      try model.generate(after: prompt, options: options, adapters: ["a": 1])
        == reference.generated("generated_adapted"))
  }

  @Test func statesOfAnEncoderAlone() throws {
    let reference = try SafetensorsFile(path: Self.path("t5-encoder") + "/expected.safetensors")
    let model = try PretrainedModel(path: Self.path("t5-encoder")).model
    #expect(model is TransformerEncoder)
    let ids = try reference.tensor(named: "sources")
    let sequences = (0..<ids.shape[0]).map { row in
      ids[row: row].scalars(as: Int64.self).map { Int($0) }.filter { $0 != 0 }
    }
    let found = withoutGradients { model.hiddenStates(TokenBatch(sequences: sequences)).value }
    let expected = try reference.tensor(named: "states").converted(to: .float32)
    for (row, ids) in sequences.enumerated() {
      func part(_ x: Tensor) -> Tensor { x[rows: row..<row + 1].sliced(axis: 1, 0..<ids.count) }
      #expect(largestDifference(part(found), part(expected)) < 2e-5)
    }
  }

  /// Every distance has the bucket that transformers gives it, whole quotients of logarithms too.
  @Test func buckets() throws {
    let tables = try SafetensorsFile(path: Fixtures.path("encoder_decoders/buckets.safetensors"))
    #expect(tables.names.count == 6)
    for name in tables.names {
      let parts = name.split(separator: "-")
      let (count, longest) = (try #require(Int(parts[0])), try #require(Int(parts[1])))
      let bias = DistanceBias(
        weight: Parameter(.zeros([count, 2])), isBidirectional: parts[2] == "both",
        maximumDistance: longest)
      let expected = try tables.tensor(named: name).scalars(as: Int64.self).map { Int($0) }
      #expect((-1000...1000).map { bias.bucket(of: $0) } == expected, "\(name)")
    }
  }

  /// Items of a batch share the table, so that no adapter of theirs may replace it.
  @Test func tablesOfDistancesAreNotReplaced() throws {
    let model = try Self.tiny(.t5)
    let path = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias"
    let table = ParameterOverride(["weight": Parameter(.zeros([32, 2]))])
    #expect {
      try model.attach([path: table], named: "a")
    } throws: { error in
      guard case AdapterError.unknownLayer(path, _) = error else { return false }
      return true
    }
  }

  // MARK: Ways of computing

  /// In a batch = alone = packed = padded = behind a cache, piece by piece, and in the short pass.
  @Test(arguments: [Architecture.t5, .mt5])
  func wayOfComputing(architecture: Architecture) throws {
    let model = try Self.tiny(architecture)
    let sequences = zip(Self.sources, Self.targets).map { $0 + [0] + $1 }
    func states(_ batch: TokenBatch) -> Tensor {
      withoutGradients { model.hiddenStates(batch).value }
    }
    for selection: AdapterSelection in [[:], ["a": 0.7]] {
      try model.withAdapters(selection) {
        let alone = sequences.map { states(TokenBatch(sequences: [$0])) }
        let padded = states(TokenBatch(sequences: sequences, padding: 13))
        for (item, states) in alone.enumerated() {
          let part = padded[rows: item..<item + 1].sliced(axis: 1, 0..<sequences[item].count)
          #expect(largestDifference(part, states) < 1e-5, "sequence \(item) of a padded batch")
        }
        let joined = TokenBatch(
          sequences: [sequences[0] + sequences[1], sequences[2]], padding: 13)
        let together = states(
          TokenBatch(
            joined.tokens,
            packed: [[sequences[0].count, sequences[1].count], [sequences[2].count]]))
        let second = together[rows: 0..<1]
          .sliced(axis: 1, sequences[0].count..<sequences[0].count + sequences[1].count)
        #expect(largestDifference(second, alone[1]) < 1e-5, "the second of an item")
        for (item, sequence) in sequences.enumerated() {
          let cache = KeyValueCache(layerCount: model.layerCount, capacity: 64)
          var start = 0
          for end in [Self.sources[item].count + 1]
            + (Self.sources[item].count + 2...sequence.count)
          {
            let part = withoutGradients {
              model.hiddenStates(
                Tensor(Array(sequence[start..<end]), shape: [1, end - start]), cache: cache
              ).value
            }
            #expect(
              largestDifference(part, alone[item].sliced(axis: 1, start..<end)) < 1e-5,
              "sequence \(item) from \(start) on")
            start = end
          }
        }
      }
    }
  }

  /// Requests of other sources, lengths and adapters that are decoded together = each alone, uncached.
  @Test func generationsTogether() throws {
    let model = try Self.tiny(.t5)
    try model.inject(IA3(), named: "b", seed: 2)
    Self.randomize(model, named: "b")
    let selections: [AdapterSelection] = [["a": 1], [:], ["a": 0.5, "b": 1]]
    let options = GenerationOptions(maximumTokens: 6)
    let requests = zip(Self.sources, selections).map {
      GenerationRequest(prompt: $0 + [0], options: options, adapters: $1)
    }
    let together = try model.generate(requests)
    for (request, tokens) in zip(requests, together) {
      #expect(
        try model.generate(after: request.prompt, options: options, adapters: request.adapters)
          == tokens)
      var sequence = request.prompt
      for token in tokens {
        let logits = try model.withAdapters(request.adapters) {
          withoutGradients { model(TokenBatch(sequences: [sequence])).value }
        }
        let last = logits.scalars().suffix(model.vocabularySize)
        #expect(last.max() == last[last.startIndex + token])
        sequence.append(token)
      }
    }
  }

  /// Checkpointed gradients = kept ones, bit for bit: what flows into the encoder, too.
  @Test func checkpointedGradients() throws {
    let model = try Self.tiny(.t5)
    try model.enableAdapters(["a": 1])
    let sequences = zip(Self.sources, Self.targets).map { $0 + [0] + $1 }
    let batch = TokenBatch(sequences: sequences)
    var wanted: [Int64] = []
    for (sequence, source) in zip(sequences, Self.sources) {
      for place in 0..<batch.tokens.shape[1] {
        let isTarget = place >= source.count && place + 1 < sequence.count
        wanted.append(isTarget ? Int64(sequence[place + 1]) : -1)
      }
    }
    let targets = Tensor(wanted, shape: batch.tokens.shape)
    func gradients(checkpointed: Bool) -> [Tensor?] {
      let loss = BlockCheckpointing.during(checkpointed) {
        model.loss(tokens: batch.tokens, targets: targets, scale: 0.5)
      }
      let gradients = loss.gradients()
      return model.adapterParameters(named: "a").map { gradients[$0.parameter] }
    }
    let kept = gradients(checkpointed: false)
    #expect(kept.allSatisfy { $0 != nil } && kept.count == 2 * (2 * 6 + 3 * 10))
    let isEqual = gradients(checkpointed: true) == kept
    #expect(isEqual)
  }

  /// The gradient of every parameter of the whole model, the tables of distances among them.
  @Test func gradientsOfTheWholeModel() throws {
    let model = try Self.tiny(.mt5)
    try model.detach("a")
    model.setTrainable(true)
    let batch = TokenBatch(sequences: [Self.sources[0] + [0] + Self.targets[0]])
    let targets = Tensor(
      Array(repeating: Int64(-1), count: 7) + [7, 7, 20, -1], shape: batch.tokens.shape)
    func loss() -> Variable {
      model.loss(tokens: batch.tokens, targets: targets, scale: 1)
    }
    let gradients = loss().gradients()
    for (path, parameter) in model.namedParameters() {
      let gradient = try #require(gradients[parameter], "\(path)")
      // Along the gradient the loss grows by its square.
      let norm = gradient.scalars().reduce(0) { $0 + $1 * $1 }.squareRoot()
      let (value, step) = (parameter.value, 1e-2 / max(norm, 1e-3))
      parameter.value = value + gradient.scaled(by: step)
      let above = withoutGradients { loss().value.item() }
      parameter.value = value + gradient.scaled(by: -step)
      let below = withoutGradients { loss().value.item() }
      parameter.value = value
      let slope = (above - below) / (2 * step)
      #expect(
        abs(slope - norm * norm) < 0.02 * norm * norm + 2e-4, "\(path): \(slope), \(norm * norm)")
    }
  }

  // MARK: Files

  /// What PEFT wrote is written again with the same names and numbers, for the same task.
  @Test(arguments: names) func adapterFiles(name: String) throws {
    let folder = try Fixtures.temporaryFolder()
    let model = try Self.open(name)
    try model.loadAdapter(from: Self.path(name) + "/adapter", named: "a")
    try model.saveAdapter("a", to: folder + "/again")
    let (old, new) = (
      try SafetensorsFile(path: Self.path(name) + "/adapter/adapter_model.safetensors"),
      try SafetensorsFile(path: folder + "/again/adapter_model.safetensors")
    )
    #expect(old.names.sorted() == new.names.sorted())
    for name in old.names {
      #expect(try old.tensor(named: name) == new.tensor(named: name), "\(name)")
    }
    let configuration = try PEFTAdapterConfiguration(
      parsing: try FileSystem.read(folder + "/again/adapter_config.json"))
    #expect(configuration.taskType == "SEQ_2_SEQ_LM")
  }

  /// A merged model is a directory that says the same, under the names that its files had.
  @Test(arguments: names) func mergedFiles(name: String) throws {
    let reference = try Reference(name)
    let folder = try Fixtures.temporaryFolder() + "/merged"
    let pretrained = try PretrainedModel(path: Self.path(name))
    let model = try pretrained.languageModel
    try model.loadAdapter(from: Self.path(name) + "/adapter", named: "a")
    let adapted = try losses(model, reference.sources, reference.targets)
    try model.mergeAdapters(["a": 1])
    try pretrained.save(to: folder)
    let merged = try PretrainedModel(path: folder).languageModel
    #expect(difference(try losses(merged, reference.sources, reference.targets), adapted) < 1e-4)
    let (old, new) = (
      try SafetensorsFile(path: Self.path(name) + "/model.safetensors"),
      try SafetensorsFile(path: folder + "/model.safetensors")
    )
    #expect(old.names.sorted() == new.names.sorted())
  }

  /// Tables of their own for encoder and decoder are another model.
  @Test func copiesThatDiffer() throws {
    let folder = try Fixtures.temporaryFolder()
    let model = try SafetensorsFile(path: Self.path("t5-published") + "/model.safetensors")
    let tensors = try model.names.map { name in
      let tensor = try model.tensor(named: name)
      return (
        name: name, tensor: name == "decoder.embed_tokens.weight" ? tensor.scaled(by: 2) : tensor
      )
    }
    try ModelDirectory.write(
      tensors,
      configuration: try FileSystem.read(Self.path("t5-published") + "/config.json"),
      to: folder + "/m")
    let error = #expect(throws: FormatError.self) { try PretrainedModel(path: folder + "/m") }
    #expect(error?.kind == .unexpectedTensor && "\(error!)".contains("decoder.embed_tokens.weight"))
  }

  // MARK: What is refused

  @Test func sequencesWithoutASource() throws {
    let model = try Self.tiny(.t5)
    for (ids, isFine) in [([3, 4], false), ([0, 4], false), ([3, 0], true), ([3, 0, 4], true)] {
      if isFine {
        try model.validate([ids])
        try model.validate(TokenBatch(sequences: [ids]))
      } else {
        #expect(throws: SequenceError.noSource(sequence: 0, start: 0)) { try model.validate([ids]) }
        #expect(throws: SequenceError.noSource(sequence: 0, start: 0)) {
          try model.validate(TokenBatch(sequences: [ids]))
        }
        #expect(throws: SequenceError.self) { try model.generate(after: ids) }
      }
    }
  }

  @Test func virtualTokens() throws {
    let model = try Self.tiny(.t5)
    #expect(throws: AdapterError.self) { try model.inject(PromptTuning(count: 2), named: "p") }
    #expect(throws: AdapterError.self) { try model.inject(PrefixTuning(count: 2), named: "p") }
  }

  @Test(arguments: [
    (#""relative_attention_num_buckets": 2"#, "relative_attention_num_buckets"),
    (#""decoder_start_token_id": 1"#, "decoder_start_token_id"),
    (#""feed_forward_proj": "gated-relu""#, "feed_forward_proj"),
    (#""is_decoder": true"#, "is_decoder"),
  ])
  func configurations(setting: String, key: String) throws {
    let text = """
      {"model_type": "t5", "d_model": 16, "d_kv": 4, "num_heads": 2, "num_layers": 1, "d_ff": 8,
       "vocab_size": 20, \(setting)}
      """
    let error = #expect(throws: FormatError.self) {
      try ModelConfiguration(parsing: Array(text.utf8)).randomModel()
    }
    #expect("\(error!)".contains(key), "\(error!)")
  }
}
