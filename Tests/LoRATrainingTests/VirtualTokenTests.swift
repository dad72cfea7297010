import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATesting
import LoRATraining
import TestSupport
import Testing

/// Prompt and prefix tuning in passes, generations and batches; see Tests/Reference/peft_runs.py.
@Suite struct VirtualTokenTests {
  static let names = ["prompt", "prompt-gpt2", "prefix", "prefix-gpt2"]

  private static func prompt(_ reference: PEFTRunTests.Reference) -> [Int] {
    reference.ids[row: 0].scalars(as: Int64.self).prefix(6).map(Int.init)
  }

  /// Greedy tokens, each from a pass over all before it.
  private static func uncached(
    _ model: any PretrainedLanguageModel, after prompt: [Int], count: Int
  ) -> [Int] {
    var ids = prompt
    for _ in 0..<count {
      let logits = withoutGradients {
        model(Tensor(ids.map(Int64.init), shape: [1, ids.count])).value
      }
      let last = logits.reshaped(to: [ids.count, model.vocabularySize])[
        rows: ids.count - 1..<ids.count
      ].scalars()
      ids.append(last.indices.max { last[$0] < last[$1] } ?? 0)
    }
    return Array(ids.dropFirst(prompt.count))
  }

  @Test(arguments: names) func generationIsPEFTs(name: String) throws {
    let reference = try PEFTRunTests.Reference(name)
    let model = try reference.model()
    let prompt = Self.prompt(reference)
    let options = GenerationOptions(maximumTokens: 12)
    let base = try model.generate(after: prompt, options: options)
    try model.loadAdapter(from: reference.folder + "/trained", named: "a")
    let expected = try reference.file.tensor(named: "generated").scalars(as: Int64.self)
      .map(Int.init)
    #expect(try model.generate(after: prompt, options: options) == expected)
    #expect(
      try model.generate(after: Array(prompt.prefix(1)), options: options)
        == Self.uncached(model, after: Array(prompt.prefix(1)), count: 12))
    #expect(Self.uncached(model, after: prompt, count: 12) == expected)
    #expect(try model.generate(after: prompt, options: options, adapters: [:]) == base)
    #expect(base != expected)
  }

  /// Requests with adapters of their own give what each gives alone.
  @Test func batchesKeepRequestsApart() throws {
    let (prompts, prefixes) = (
      try PEFTRunTests.Reference("prompt"), try PEFTRunTests.Reference("prefix")
    )
    let model = try prompts.model()
    try model.inject(LoRA(rank: 2, alpha: 8, initialization: .gaussian), named: "lora")
    for (path, parameter) in model.adapterParameters(named: "lora") {
      var random = SeededRandom(seed: 3, path: path)
      parameter.value = random.normal(parameter.shape, standardDeviation: 0.2)
    }
    try model.loadAdapter(from: prompts.folder + "/trained", named: "prompt")
    try model.loadAdapter(from: prefixes.folder + "/trained", named: "prefix")
    let ids = Self.prompt(prompts)
    let selections: [AdapterSelection] = [
      ["prompt": 1], [:], ["prefix": 1], ["lora": 1], ["prompt": 1, "prefix": 1],
      ["prefix": 1, "lora": 0.5],
    ]
    let options = GenerationOptions(maximumTokens: 8)
    let alone = try selections.map {
      try model.generate(after: ids, options: options, adapters: $0)
    }
    let together = try model.generate(
      selections.map { GenerationRequest(prompt: ids, options: options, adapters: $0) })
    #expect(together == alone)
    #expect(Set(alone.map { "\($0)" }).count >= 5)
    // A pass over a batch whose items differ.
    let two: [AdapterSelection] = [["prompt": 1], [:], ["prefix": 1, "lora": 1]]
    let batch = try model.withAdapters(perItem: two) { try prompts.losses(model) }
    for (item, selection) in two.enumerated() {
      let single = try model.withAdapters(selection) {
        try prompts.losses(model)[rows: item..<item + 1]
      }
      #expect(largestDifference(batch[rows: item..<item + 1], single) < 1e-5)
    }
    #expect(prompts.ids.shape[0] == 3)
  }

  @Test(arguments: names) func gradientsAreThoseOfDifferences(name: String) throws {
    let reference = try PEFTRunTests.Reference(name)
    let model = try reference.model()
    try model.loadAdapter(from: reference.folder + "/trained", named: "a", isTrainable: true)
    let ids = reference.ids.sliced(axis: 1, 0..<9)
    func loss() -> Variable {
      model.loss(
        tokens: ids.sliced(axis: 1, 0..<8), targets: ids.sliced(axis: 1, 1..<9), scale: 0.1)
    }
    let parameters = model.adapterParameters(named: "a").map(\.parameter)
    #expect(parameters.count == 1)
    let report = checkGradients(of: parameters, tolerance: 5e-3, maximumElements: 48) { loss() }
    #expect(report.isCorrect, "\(report)")
    let plain = loss().gradients()[parameters[0]]
    let again = BlockCheckpointing.during(true) { loss() }.gradients()[parameters[0]]
    #expect(plain != nil && plain == again)
  }

  /// Packed sequences have the virtual tokens before each of them, and give what each gives alone.
  @Test(arguments: names) func packedSequencesAreKeptApart(name: String) throws {
    let reference = try PEFTRunTests.Reference(name)
    let model = try reference.model()
    try model.loadAdapter(from: reference.folder + "/trained", named: "a", isTrainable: true)
    let all = reference.ids.scalars(as: Int64.self).map(Int.init)
    let sequences = [9, 4, 6, 12].enumerated().map { Array(all[$0 * 3..<$0 * 3 + $1]) }
    // The first item is padded by 5.
    let packed = [[9, 4], [6, 12]],
      items = [sequences[0] + sequences[1], sequences[2] + sequences[3]]
    let joined = TokenBatch(sequences: items)
    let batch = TokenBatch(joined.tokens, packed: packed)
    // Of each sequence all but its last token is followed by one to predict.
    func targets(_ sequence: [Int]) -> [Int64] { sequence.dropFirst().map(Int64.init) + [-1] }
    let wanted = Tensor(
      (targets(sequences[0]) + targets(sequences[1]) + repeatElement(-1, count: 5)
        + targets(sequences[2])
        + targets(sequences[3])), shape: [2, 18])
    let parameter = try #require(model.adapterParameters(named: "a").first?.parameter)
    let together = withoutGradients { model.hiddenStates(batch).value }
    var (loss, gradient) = (Float(0), Tensor.zeros(parameter.shape))
    for (index, sequence) in sequences.enumerated() {
      let alone = TokenBatch(sequences: [sequence])
      let states = withoutGradients { model.hiddenStates(alone).value }
      let start = index % 2 == 0 ? 0 : sequences[index - 1].count
      let found = together[rows: index / 2..<index / 2 + 1]
        .sliced(axis: 1, start..<start + sequence.count)
      #expect(largestDifference(found, states) < 1e-5, "sequence \(index)")
      let own = model.loss(
        alone, targets: Tensor(targets(sequence), shape: [1, sequence.count]), scale: 0.1)
      loss += own.value.scalars()[0]
      gradient = gradient + (try #require(own.gradients()[parameter]))
    }
    let sum = model.loss(batch, targets: wanted, scale: 0.1)
    #expect(abs(sum.value.scalars()[0] - loss) < 1e-4)
    #expect(largestDifference(try #require(sum.gradients()[parameter]), gradient) < 1e-4)
    // Items with adapters of their own.
    let mixed = try model.withAdapters(perItem: [["a": 1], [:]]) {
      withoutGradients { model.hiddenStates(batch).value }
    }
    let base = try model.withAdapters([:]) {
      withoutGradients { model.hiddenStates(batch).value }
    }
    #expect(largestDifference(mixed[rows: 0..<1], together[rows: 0..<1]) < 1e-5)
    #expect(largestDifference(mixed[rows: 1..<2], base[rows: 1..<2]) < 1e-5)
    #expect(largestDifference(base, together) > 1e-2)
  }

  @Test(arguments: names) func whatIsNotThereIsSaid(name: String) throws {
    let reference = try PEFTRunTests.Reference(name)
    let model = try reference.model()
    try model.loadAdapter(from: reference.folder + "/trained", named: "a")
    let adapted = try reference.losses(model)
    #expect(throws: AdapterError.self) { try model.mergeAdapters(["a": 1]) }
    #expect(throws: AdapterError.self) { try model.enableAdapters(["a": 0.5]) }
    #expect(throws: AdapterError.self) { try model.withAdapters(["a": 2]) {} }
    #expect(throws: AdapterError.self) { try model.setStrength(-1, of: "a") }
    #expect(try reference.losses(model) == adapted)
    // Room that virtual tokens take.
    let count = try #require(
      PEFTAdapterFile(path: reference.folder + "/trained").description.layers.first
    ).change.tensors[0].tensor.shape[0]
    let limit = model.configuration.maximumPositions
    #expect(model.maximumPositions == limit - count)
    #expect(throws: SequenceError.self) {
      try model.generate(after: Array(repeating: 3, count: limit - count + 1))
    }
    let rest = try model.generate(
      after: Array(repeating: 3, count: limit - count - 2),
      options: GenerationOptions(maximumTokens: 10))
    #expect(rest.count == 3)
    #expect(throws: AdapterError.self) {
      try Linear(weight: Parameter(.zeros([4, 4]))).inject(PromptTuning())
    }
    let other = try TinyModels.make()
    #expect(throws: AdapterError.self) {
      try other.loadAdapter(from: reference.folder + "/trained")
    }
    #expect(other.adapterNames.isEmpty)
  }

  @Test(arguments: ["prompt", "prefix"]) func otherFormatsRefuseThem(name: String) throws {
    let file = try AdapterFile(path: PEFTRunTests.Reference(name).folder + "/trained")
    for format in AdapterFormat.allCases where format != .peft {
      let error = #expect(throws: FormatError.self) {
        try file.write(as: format, to: try ScratchFolder.make() + "/out")
      }
      #expect(error?.kind == .unsupported && "\(error!)".contains("\(name) tuning"))
    }
  }

  /// Prefixes of encoders as the `adapters` package computes them; see
  /// Tests/Reference/encoder_prefixes.py.
  @Test(arguments: ["bert-classifier", "bert-former-names"])
  func encodersAgreeWithAdapters(name: String) throws {
    let folder = Fixtures.path("encoders/\(name)")
    let model = try PretrainedModel(path: folder).sequenceClassifier
    let expected = try SafetensorsFile(path: folder + "/expected.safetensors")
    let reference = try SafetensorsFile(path: folder + "/prefix.safetensors")
    let lengths = try expected.tensor(named: "lengths").scalars(as: Int64.self).map(Int.init)
    let batch = TokenBatch(
      try expected.tensor(named: "ids"), lengths: lengths,
      types: try expected.tensor(named: "types"))
    func logits() -> Tensor { withoutGradients { model(batch).value } }
    let base = logits()
    let adapter = PrefixTuningAdapter(
      states: Parameter(try reference.tensor(named: "states")),
      layerCount: model.configuration.layerCount,
      keyHeadCount: model.configuration.keyValueHeadCount)
    try model.attach(["": adapter], named: "a")
    let adapted = logits()
    #expect(largestDifference(adapted, try reference.tensor(named: "logits")) < 1e-4)
    #expect(largestDifference(adapted, base) > 1e-2)
    let labels = Tensor((0..<batch.count).map { Int64($0 % 2) })
    let report = checkGradients(of: [adapter.states], tolerance: 5e-3, maximumElements: 32) {
      model.loss(batch, labels: labels, scale: 0.2)
    }
    #expect(report.isCorrect, "\(report)")
    let saved = try ScratchFolder.make()
    try model.saveAdapter("a", to: saved)
    try model.loadAdapter(from: saved, named: "b", enabled: false)
    #expect(try model.withAdapters(["b": 1]) { logits() } == adapted)
    try model.detach("a")
    try model.detach("b")
    #expect(logits() == base)
    try model.inject(PrefixTuning(count: 2, startsAtZero: true), named: "c")
    #expect(logits() != base)
  }

  /// Prompts of classifiers as PEFT computes them: see Tests/Reference/encoder_prompts.py.
  @Test(arguments: [
    "bert-classifier", "roberta-classifier", "distilbert-classifier", "modernbert-classifier",
    "modernbert-mean-v4",
  ])
  func promptsOfClassifiersAgreeWithPEFT(name: String) throws {
    let folder = Fixtures.path("encoders/\(name)")
    let model = try PretrainedModel(path: folder).sequenceClassifier
    let expected = try SafetensorsFile(path: folder + "/expected.safetensors")
    let lengths = try expected.tensor(named: "lengths").scalars(as: Int64.self).map(Int.init)
    let types =
      model.typeCount > 1 && expected.names.contains("types")
      ? try expected.tensor(named: "types") : nil
    let batch = TokenBatch(try expected.tensor(named: "ids"), lengths: lengths, types: types)
    func logits() -> Tensor { withoutGradients { model(batch).value } }
    let (base, longest) = (logits(), model.maximumPositions)
    try model.loadAdapter(from: folder + "/prompt", named: "a")
    #expect(model.maximumPositions == longest - 3)
    let adapted = logits()
    let reference = try SafetensorsFile(path: folder + "/prompt/expected.safetensors")
    #expect(largestDifference(adapted, try reference.tensor(named: "logits")) < 1e-4)
    let prompt = try #require(
      model.adapterParameters(named: "a").map(\.parameter).first { $0.value.shape[0] == 3 })
    prompt.isTrainable = true
    let labels = Tensor((0..<batch.count).map { Int64($0 % 2) })
    let report = checkGradients(of: [prompt], tolerance: 5e-3, maximumElements: 32) {
      model.loss(batch, labels: labels, scale: 0.2)
    }
    #expect(report.isCorrect, "\(report)")
    try model.inject(PromptTuning(count: 5), named: "longer", seed: 2)
    try model.disableAdapters()
    let longer = try model.withAdapters(["longer": 1]) { logits() }
    let choices: [(AdapterSelection, Tensor)] = [
      (["a": 1], adapted), ([:], base), (["longer": 1], longer),
    ]
    let items = (0..<batch.count).map { choices[$0 % 3] }
    let mixed = try model.withAdapters(perItem: items.map(\.0)) { logits() }
    for (item, choice) in items.enumerated() {
      #expect(
        largestDifference(mixed[rows: item..<item + 1], choice.1[rows: item..<item + 1]) < 1e-5)
    }
    // Packed sequences have their tokens' states alone, which padded ones have behind the prompt's.
    let sequences = [[3, 7, 1], [4, 2]]
    try model.withAdapters(["a": 1]) {
      withoutGradients {
        let packed = model.hiddenStates(
          TokenBatch(Tensor(sequences.joined().map(Int64.init), shape: [1, 5]), packed: [[3, 2]])
        ).value
        for (ids, start) in zip(sequences, [0, 3]) {
          let alone = model.hiddenStates(TokenBatch(sequences: [ids])).value
          #expect(alone.shape[1] == 3 + ids.count)
          #expect(
            largestDifference(
              packed.sliced(axis: 1, start..<start + ids.count),
              alone.sliced(axis: 1, 3..<3 + ids.count)) < 1e-5)
        }
      }
    }
    let saved = try ScratchFolder.make()
    try model.saveAdapter("a", to: saved)
    try model.loadAdapter(from: saved, named: "b", enabled: false)
    #expect(try model.withAdapters(["b": 1]) { logits() } == adapted)
    for adapter in ["a", "b", "longer"] { try model.detach(adapter) }
    #expect(logits() == base)
  }

  /// A recipe trains the head along, which would otherwise stay random, and saves it as PEFT names it: there
  /// is nothing around a model with virtual tokens.
  @Test(arguments: [
    PEFTAdapterConfiguration.Method.promptTuning(.init(count: 2)),
    .prefixTuning(.init(count: 2)),
  ])
  func headsAreTrainedAlong(method: PEFTAdapterConfiguration.Method) throws {
    let pretrained = try PretrainedModel(
      path: Fixtures.path("encoders/bert-body"), classifying: ["a", "b", "c"])
    let model = try pretrained.sequenceClassifier
    var recipe = PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: .unspecified)
    recipe.method = method
    let report = try model.inject(pretrained.trainingHead(recipe), named: "a")
    let size = model.configuration.hiddenSize
    let own = model.adapterParameters(named: "a").filter { !$0.path.contains("classifier") }
    #expect(
      report.parameterCount - own.reduce(0) { $0 + $1.parameter.shape.elementCount }
        == 3 * size + 3)
    let folder = try ScratchFolder.make()
    try model.saveAdapter("a", to: folder)
    let names = try SafetensorsFile(path: folder + "/adapter_model.safetensors").names
    #expect(names.contains("base_model.classifier.weight"))
    #expect(names.contains("base_model.classifier.bias") && names.contains("prompt_embeddings"))
    let batch = TokenBatch(sequences: [[3, 7, 1], [4, 2]])
    let before = withoutGradients { model(batch).value }
    try model.detach("a")
    try model.loadAdapter(from: folder, named: "b")
    #expect(withoutGradients { model(batch).value } == before)
  }

  /// PEFT says of a model without a head not what a prompt does to it.
  @Test func promptsBeforeABareEncoderAreRefused() throws {
    let model = try PretrainedModel(path: Fixtures.path("encoders/bert-body")).model
    let error = #expect(throws: AdapterError.self) { try model.inject(PromptTuning(count: 2)) }
    #expect("\(error!)".contains("prefix tuning can be used instead"))
    #expect(model.adapterNames.isEmpty)
  }

  /// Fresh adapters train, are saved, and read again compute the same.
  @Test(arguments: ["prompt", "prompt-vocabulary", "prefix", "prefix-zero"])
  func freshOnesTrain(kind: String) throws {
    let reference = try PEFTRunTests.Reference("prompt")
    let model = try reference.model()
    let base = try reference.losses(model)
    switch kind {
    case "prompt": try model.inject(PromptTuning(count: 3), named: "a", seed: 4)
    case "prompt-vocabulary":
      try model.inject(PromptTuning(count: 3, initialization: .vocabulary), named: "a", seed: 4)
    case "prefix": try model.inject(PrefixTuning(count: 3), named: "a", seed: 4)
    default: try model.inject(PrefixTuning(count: 3, startsAtZero: true), named: "a", seed: 4)
    }
    var options = reference.run.options
    options.duration = .steps(40)
    let sequences = try reference.file.tensor(named: "ids")[rows: 0..<2]
    var losses: [Double] = []
    try Trainer(
      model, training: .adapter("a"), on: try TokenDataSet(sequences: sequences), options: options
    ).run {
      losses.append($0.loss)
      return .continue
    }
    #expect((losses.last ?? 0) < (losses.first ?? 0) - 0.01)
    let trained = try reference.losses(model)
    let folder = try ScratchFolder.make()
    try model.saveAdapter("a", to: folder)
    try model.loadAdapter(from: folder, named: "b", enabled: false)
    #expect(try model.withAdapters(["b": 1]) { try reference.losses(model) } == trained)
    try model.detach("a")
    #expect(try reference.losses(model) == base)
  }
}
