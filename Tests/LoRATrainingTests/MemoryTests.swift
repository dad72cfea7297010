import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFormats
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

private func shape(
  _ architecture: Architecture = .llama, layers: Int = 3, vocabulary: Int = 96,
  positions: Int = 512
) -> ModelConfiguration {
  ModelConfiguration(
    architecture: architecture, hiddenSize: 64, intermediateSize: 192, layerCount: layers,
    headCount: 4, keyValueHeadCount: [.gpt2, .bert].contains(architecture) ? 4 : 2,
    vocabularySize: vocabulary,
    tiesWordEmbeddings: true,
    maximumPositions: positions)
}

private func random(_ configuration: ModelConfiguration) throws -> any PretrainedLanguageModel {
  try configuration.randomLanguageModel(standardDeviation: 0.1, seed: 5)
}

private func patterns(_ count: Int, length: Int) -> [[Int]] {
  patternSequences(count, length: length + 1, vocabulary: 96, seed: 1)
}

/// The bytes that a forward pass leaves behind, by the pool's count.
private func keptBytes(
  _ model: any PretrainedLanguageModel, batchSize: Int, length: Int, checkpointed: Bool = false
) throws -> Int {
  let data = try TokenDataSet(sequences: patterns(batchSize, length: length))
  return keptBytes(model, data, batchSize: batchSize, checkpointed: checkpointed)
}

/// The same of the first examples of `data`.
private func keptBytes(
  _ model: any PretrainedLanguageModel, _ data: TokenDataSet, batchSize: Int, checkpointed: Bool
) -> Int {
  let batch = data.batch(of: Array(0..<batchSize))
  func loss() -> Variable {
    BlockCheckpointing.during(checkpointed) {
      model.loss(tokens: batch.tokens, targets: batch.targets, scale: 1)
    }
  }
  // The rotary table is made at first use.
  _ = withoutGradients { loss() }
  let before = BufferPool.shared.statistics.liveBytes
  let kept = loss()
  let live = BufferPool.shared.statistics.liveBytes - before
  withExtendedLifetime(kept) {}
  return live
}

/// What a forward pass with a fresh adapter keeps is what is predicted, to within a tenth.
private func expectPrediction(
  _ method: some AdapterMethod, into selector: LayerSelector = .allLinear
) throws {
  let (batch, length) = (2, 128)
  let model = try random(shape())
  model.setTrainable(false)
  try model.inject(method, named: "a", into: selector)
  try expectPrediction(model, "\(method)", batch: batch, length: length)
}

/// The same of an adapter "a" that is attached.
private func expectPrediction(
  _ model: any PretrainedLanguageModel, _ name: String, batch: Int = 2, length: Int = 128
) throws {
  let live = try keptBytes(model, batchSize: batch, length: length)
  let workload = TrainingWorkload(model, training: .adapter("a"), batchSize: batch, length: length)
  let expected = workload.memory.activations + batch * length * 64 * 4
  #expect(abs(live - expected) <= expected / 10, "\(name): \(live), predicted \(expected)")
}

/// What a training step keeps and allocates, what was predicted, and that less memory means the
/// same numbers. What counts bytes runs in a process of its own: the pool is the process's.
@Suite struct TrainingMemoryTests {
  private func train(
    _ target: TrainingTarget, _ checkpointing: Checkpointing, dropout: Float = 0,
    selector: LayerSelector = .allLinear, accumulation: Int = 1
  ) throws -> (losses: [Double], values: [Tensor]) {
    let model = try random(shape())
    if case .adapter(let name) = target {
      try model.inject(LoRA(rank: 4, alpha: 8, dropout: dropout), named: name, into: selector)
    }
    var options = TrainingOptions(
      duration: .steps(4), batchSize: 2, accumulation: accumulation, learningRate: 1e-2)
    options.checkpointing = checkpointing
    let trainer = try Trainer(
      model, training: target, on: TokenDataSet(sequences: patterns(8, length: 20)),
      options: options)
    #expect(trainer.isCheckpointed == (checkpointing == .always))
    let result = try trainer.run()
    return (result.losses, target == .full ? model.values : model.adapterValues("a"))
  }

  @Test(arguments: [Float(0), 0.2])
  func checkpointingChangesNoBit(dropout: Float) throws {
    let upper = LayerSelector.matching("the upper blocks") { $0.contains("layers.1.self_attn") }
    for selector in [.allLinear, ["q_proj", "v_proj"], upper] as [LayerSelector] {
      let kept = try train(.adapter("a"), .never, dropout: dropout, selector: selector)
      let again = try train(.adapter("a"), .always, dropout: dropout, selector: selector)
      #expect(kept.losses == again.losses && kept.values == again.values, "\(selector)")
      #expect(Set(kept.losses).count > 1)
    }
  }

  @Test func checkpointingAFullTrainingChangesNoBit() throws {
    let kept = try train(.full, .never, accumulation: 2)
    let again = try train(.full, .always, accumulation: 2)
    #expect(kept.losses == again.losses && kept.values == again.values)
  }

  /// Adapters that are merely enabled are noted for the second computation, whatever happens to them
  /// before it.
  @Test func theSecondComputationSeesTheAdaptersOfTheFirst() throws {
    let model = try random(shape())
    try model.inject(LoRA(rank: 4, alpha: 8), named: "a", seed: 3)
    for (_, parameter) in model.adapterParameters(named: "a") {
      parameter.value = parameter.value.adding(0.05)
    }
    model.setTrainable(false)
    let data = try TokenDataSet(sequences: patterns(2, length: 20))
    let batch = data.batch(of: [0, 1])
    func gradients(checkpointed: Bool, changing: Bool) throws -> [Tensor?] {
      let loss = BlockCheckpointing.during(checkpointed) {
        model.loss(tokens: batch.tokens, targets: batch.targets, scale: 1)
      }
      if changing { try model.setStrength(0.25, of: "a") }
      let gradients = loss.gradients()
      if changing { try model.setStrength(1, of: "a") }
      return model.adapterParameters(named: "a").map { gradients[$0.parameter] }
    }
    let expected = try gradients(checkpointed: false, changing: false)
    #expect(expected.allSatisfy { $0 != nil })
    #expect(try gradients(checkpointed: true, changing: false) == expected)
    #expect(try gradients(checkpointed: true, changing: true) == expected)
  }

  /// The same of an encoder, whose norms lie behind the sums.
  @Test func anEncoderKeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      let (batchSize, length) = (2, 128)
      var configuration = shape(.bert)
      configuration.labels = ["no", "yes"]
      let batch = TokenBatch(sequences: patterns(batchSize, length: length - 1))
      for target in [TrainingTarget.adapter("a"), .full] {
        for selector in [.allLinear, ["query", "value"], ["output.dense"]] as [LayerSelector] {
          let model = try #require(
            try configuration.randomModel(standardDeviation: 0.1, seed: 5)
              as? any PretrainedSequenceClassifier)
          if target != .full {
            model.setTrainable(false)
            try model.inject(LoRA(rank: 4), named: "a", into: selector)
          }
          let before = BufferPool.shared.statistics.liveBytes
          let kept = model(batch)
          let live = BufferPool.shared.statistics.liveBytes - before
          withExtendedLifetime(kept) {}
          let workload = TrainingWorkload(
            model, training: target, batchSize: batchSize, length: length)
          let expected = workload.memory.activations
          #expect(
            abs(live - expected) <= expected / 10,
            "\(target), \(selector): \(live), predicted \(expected)")
        }
      }
    }
  }

  @Test func aForwardPassKeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      let (batch, length) = (2, 128)
      let selectors: [(LayerSelector, (String) -> Int)] = [
        (.allLinear, { _ in 4 }),
        (["q_proj", "v_proj"], { $0.hasSuffix("q_proj") || $0.hasSuffix("v_proj") ? 4 : 0 }),
        (["down_proj"], { $0.hasSuffix("down_proj") ? 4 : 0 }),
        (
          .matching("upper") { $0.contains("layers.2.mlp.up") }, { $0.contains("2.mlp.up") ? 4 : 0 }
        ),
      ]
      for (selector, rank) in selectors {
        for isCheckpointed in [false, true] {
          let configuration = shape()
          let model = try random(configuration)
          model.setTrainable(false)
          try model.inject(LoRA(rank: 4), named: "a", into: selector)
          let live = try keptBytes(
            model, batchSize: batch, length: length, checkpointed: isCheckpointed)
          let workload = TrainingWorkload(
            configuration, weightType: .float32, training: .adapter(configuration, rank: rank),
            batchSize: batch, length: length, isCheckpointed: isCheckpointed)
          let loaded = TrainingWorkload(
            model, training: .adapter("a"), batchSize: batch, length: length,
            isCheckpointed: isCheckpointed)
          #expect(loaded == workload)
          // The gradient of the hidden states waits for the backward pass as well.
          let hidden = batch * length * 64 * 4
          let expected = workload.memory.activations + hidden
          #expect(
            abs(live - expected) <= expected / 20,
            "\(selector), checkpointed \(isCheckpointed): \(live) bytes, predicted \(expected)")
        }
      }
    }
  }

  @Test func aForwardPassOfGPT2KeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      let (batch, length) = (2, 128)
      let configuration = shape(.gpt2)
      for names in [
        ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"], ["c_attn"], ["mlp.c_proj"],
        ["h.1.attn.c_proj"],
      ] {
        for isCheckpointed in [false, true] {
          let model = try random(configuration)
          let workload = TrainingWorkload(
            configuration, weightType: .float32,
            training: .adapter(configuration) { path in
              names.contains { path.hasSuffix(".\($0)") } ? 4 : 0
            }, batchSize: batch, length: length, isCheckpointed: isCheckpointed)
          // Without the process and the scratch: exact.
          #expect(workload.memory.weights == 4 * model.parameterCount)
          model.setTrainable(false)
          try model.inject(LoRA(rank: 4), named: "a", into: .names(names))
          let live = try keptBytes(
            model, batchSize: batch, length: length, checkpointed: isCheckpointed)
          let loaded = TrainingWorkload(
            model, training: .adapter("a"), batchSize: batch, length: length,
            isCheckpointed: isCheckpointed)
          #expect(loaded == workload)
          let expected = workload.memory.activations + batch * length * 64 * 4
          #expect(
            abs(live - expected) <= expected / 20,
            "\(names), checkpointed \(isCheckpointed): \(live) bytes, predicted \(expected)")
        }
      }
    }
  }

  /// Other methods keep more than low-rank factors do; what is counted is right to within a tenth.
  @Test func aForwardPassOfOtherMethodsKeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      try expectPrediction(DoRA(rank: 4))
      try expectPrediction(LoHa(rank: 4))
      try expectPrediction(LoKr(rank: 4))
      try expectPrediction(IA3(), into: ["k_proj", "v_proj", "down_proj"])
      for method in [Bottleneck.houlsby(reductionFactor: 4), .pfeiffer(), .parallel()] {
        let model = try random(shape())
        model.setTrainable(false)
        try model.inject(method, named: "a")
        try expectPrediction(model, "\(method)")
      }
    }
  }

  /// A token passes through some of the experts, and their adapters see their own tokens alone.
  @Test func aForwardPassOfExpertsKeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      for architecture in [Architecture.mixtral, .qwen3MoE, .olmoe] {
        var configuration = shape(architecture)
        for key in ["num_experts", "num_local_experts"] where configuration[number: key] != nil {
          configuration[number: key] = 4
        }
        configuration[number: "num_experts_per_tok"] = 2
        if architecture == .qwen3MoE {
          configuration[number: "moe_intermediate_size"] = 160
          configuration[numbers: "mlp_only_layers"] = [1]
        }
        let parameters = try PEFTAdapterConfiguration(
          parsing: Array(
            """
            {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": [],
             "target_parameters": ["gate_up_proj", "down_proj"]}
            """.utf8))
        let injections: [(String, (any PretrainedLanguageModel) throws -> Void)] = [
          ("all", { try $0.inject(LoRA(rank: 4), named: "a") }),
          ("attention", { try $0.inject(LoRA(rank: 4), named: "a", into: ["q_proj", "v_proj"]) }),
          ("outputs", { try $0.inject(LoRA(rank: 4), named: "a", into: ["w2", "down_proj"]) }),
          ("parameters", { try $0.inject(parameters, named: "a") }),
        ]
        for (name, inject) in injections {
          let model = try random(configuration)
          model.setTrainable(false)
          try inject(model)
          try expectPrediction(model, "\(architecture), \(name)")
        }
      }
    }
  }

  /// Embeddings, and heads, for which all logits are formed.
  @Test func adaptersOutsideOfTheBlocksAreCounted() async {
    await #expect(processExitsWith: .success) {
      let (batch, length) = (2, 128)
      for names in [
        ["embed_tokens"], ["lm_head"], ["embed_tokens", "q_proj"],
        ["lm_head", "embed_tokens", "up_proj"],
      ] {
        let model = try random(shape())
        model.setTrainable(false)
        try model.inject(LoRA(rank: 4), named: "a", into: .names(names))
        let live = try keptBytes(model, batchSize: batch, length: length)
        let workload = TrainingWorkload(
          model, training: .adapter("a"), batchSize: batch, length: length)
        let hidden = batch * length * 64 * 4
        let logits = names.contains("lm_head") ? batch * length * 96 * 4 : 0
        #expect(logits == 0 || workload.memory.loss >= 2 * logits + hidden)
        let expected = workload.memory.activations + hidden + logits
        #expect(abs(live - expected) <= expected / 10, "\(names): \(live), predicted \(expected)")
        let count = model.adapterParameters(named: "a").reduce(0) {
          $0 + $1.parameter.shape.elementCount
        }
        #expect(workload.memory.trained == 16 * count)
      }
    }
  }

  private typealias Description = AdapterDescription

  /// New values of parameters, as PEFT's `modules_to_save` has them.
  private static func saved(_ names: String...) -> Attachment {
    { model in
      let values = model.namedParameters().filter { names.contains($0.path) }
      try model.attach(
        Description(
          layers: [],
          replacements: values.map {
            .init(path: $0.path, value: $0.parameter.value, storedType: .float32)
          }), named: "a", isTrainable: true)
    }
  }

  private typealias Attachment = @Sendable (any PretrainedLanguageModel) throws -> Void

  private static func tokenVectors(_ model: any PretrainedLanguageModel) throws {
    try model.attach(
      Description(
        layers: [],
        replacedTokens: [
          .init(path: "model.embed_tokens", ids: [0, 7, 9], vectors: .zeros([3, 64]))
        ]),
      named: "a", isTrainable: true)
  }

  private static func lora(_ targets: LayerSelector) -> Attachment {
    { try $0.inject(LoRA(rank: 8), named: "a", into: targets) }
  }

  /// Quantizes weights, some types a block as GGUF files have them.
  private static func quantized(_ then: @escaping Attachment) -> Attachment {
    { model in
      for (path, parameter) in model.namedParameters() where parameter.shape.count == 2 {
        parameter.value = parameter.value.converted(
          to: path.contains("mlp") ? .q4_0 : path.contains("self_attn.o") ? .float16 : .q8_0)
      }
      try then(model)
    }
  }

  private static let whatIsTrained: [(name: String, isTied: Bool, attach: Attachment)] = [
    ("head", false, lora(["lm_head"])), ("tied head", true, lora(["lm_head"])),
    ("embedding", false, lora(["embed_tokens"])),
    ("saved head", false, saved("lm_head.weight")),
    ("saved embedding", false, saved("model.embed_tokens.weight")),
    ("saved tied embedding", true, saved("model.embed_tokens.weight")),
    ("both saved", false, saved("model.embed_tokens.weight", "lm_head.weight")),
    ("saved layer", false, saved("model.layers.1.mlp.up_proj.weight")),
    ("saved norm", false, saved("model.layers.1.input_layernorm.weight")),
    ("saved last norm", false, saved("model.norm.weight")),
    ("token vectors", false, { try tokenVectors($0) }),
    ("tied token vectors", true, { try tokenVectors($0) }),
    ("quantized", false, quantized(lora(.allLinear))),
    ("prompt", false, { try $0.inject(PromptTuning(count: 64), named: "a") }),
    ("tied prompt", true, { try $0.inject(PromptTuning(count: 64), named: "a") }),
    ("prefix", false, { try $0.inject(PrefixTuning(count: 64), named: "a") }),
    ("long prompt", false, { try $0.inject(PromptTuning(count: 300), named: "a") }),
    ("short prefix", false, { try $0.inject(PrefixTuning(count: 1), named: "a") }),
    ("long prefix", false, { try $0.inject(PrefixTuning(count: 380), named: "a") }),
    ("quantized embedding and head", true, quantized(lora(["q_proj"]))),
  ]

  /// A whole training step with whatever an adapter may hold, and on weights of mixed types: what the
  /// pool holds at last is what was predicted, to within a tenth.
  @Test func whateverIsTrainedIsCounted() async {
    await #expect(processExitsWith: .success) {
      let (batch, length, vocabulary) = (4, 128, 8192)
      for (name, isTied, attach) in Self.whatIsTrained {
        var configuration = shape(layers: 4, vocabulary: vocabulary)
        configuration.tiesWordEmbeddings = isTied
        let model = try random(configuration)
        model.setTrainable(false)
        try attach(model)
        BufferPool.shared.trim()
        let data = try TokenDataSet(
          sequences: (0..<batch).map { index in
            (0...length).map { (index * 31 + $0 * 7) % vocabulary }
          })
        var options = TrainingOptions(duration: .steps(3), batchSize: batch, shuffles: false)
        options.checkpointing = .never
        let trainer = try Trainer(
          model, training: .adapter("a"), on: data, options: options)
        let predicted = try #require(trainer.predictedMemory)
        let weights = model.namedParameters().reduce(0) { $0 + $1.parameter.value.byteCount }
        #expect(predicted.weights == weights, "\(name)")
        try trainer.run()
        let statistics = BufferPool.shared.statistics
        let found = statistics.liveBytes + statistics.cachedBytes - weights
        let expected = predicted.total - predicted.weights - predicted.process
        #expect(
          abs(found - expected) <= expected / 10,
          "\(name): \(found), expected \(expected), predicted \(predicted)")
      }
    }
  }

  /// Every tensor counts in the type that it has, until all of them get another.
  @Test func weightsCountAsTheyAreStored() throws {
    for name in [
      "gguf/models/llama-quantized.gguf", "gguf/models/gpt2-quantized.gguf", "models/qwen2-untied",
    ] {
      let model = try PretrainedModel(path: Fixtures.path(name)).languageModel
      try model.inject(LoRA(rank: 2), named: "a")
      var workload = TrainingWorkload(model, training: .adapter("a"), batchSize: 1, length: 16)
      let stored = model.namedParameters().reduce(0) { $0 + $1.parameter.value.byteCount }
      #expect(workload.memory.weights == stored)
      workload.weightType = .float32
      let dense = TrainingWorkload(
        model.configuration, weightType: .float32, training: workload.target, batchSize: 1,
        length: 16)
      #expect(workload.memory.weights == dense.memory.weights)
    }
  }

  @Test func memoryGrowsLinearlyWithTheSequence() async {
    await #expect(processExitsWith: .success) {
      let model = try random(shape(positions: 4096))
      model.setTrainable(false)
      try model.inject(LoRA(rank: 4), named: "a")
      let bytes = try [512, 1024, 2048].map { try keptBytes(model, batchSize: 1, length: $0) }
      for (short, long) in zip(bytes, bytes.dropFirst()) {
        #expect(Double(long) / Double(short) < 2.1, "\(bytes)")
      }
    }
  }

  /// Nothing of the frozen blocks below the first adapted one, and nothing for products that nobody
  /// differentiates.
  @Test func nothingBelowTheFirstAdapterIsKept() async {
    await #expect(processExitsWith: .success) {
      func kept(_ selector: LayerSelector) throws -> Int {
        let model = try random(shape(layers: 4))
        model.setTrainable(false)
        try model.inject(LoRA(rank: 4), named: "a", into: selector)
        return try keptBytes(model, batchSize: 2, length: 128)
      }
      let buffer = 2 * 128 * 64 * 4
      let all = try kept(["q_proj", "v_proj"])
      let top = try kept(.matching("top") { $0.contains("layers.3.") && $0.hasSuffix("q_proj") })
      #expect(top < all / 3)
      // Of the highest block: the norm's output, q, k, v (half a head each), the attention, its sum
      // with the input, gate and up; then the last norm's input and the gradient.
      #expect(top < 17 * buffer, "\(top / buffer) buffers")
    }
  }

  @Test func stepsAllocateNothingLargeAfterTheSecond() async {
    await #expect(processExitsWith: .success) {
      // How many threads have scratch at once is chance: with one the pool's bytes are exact.
      Threads.count = 1
      for checkpointing in [Checkpointing.never, .always] {
        let model = try random(shape())
        try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.1), named: "a")
        var options = TrainingOptions(duration: .steps(6), batchSize: 2, shuffles: false)
        options.checkpointing = checkpointing
        let trainer = try Trainer(
          model, training: .adapter("a"), on: TokenDataSet(sequences: patterns(2, length: 64)),
          options: options)
        var peaks: [Int] = []
        try trainer.run { report in
          if report.step >= 2 {
            let statistics = BufferPool.shared.statistics
            peaks.append(statistics.liveBytes + statistics.cachedBytes)
          }
          return .continue
        }
        #expect(peaks.allSatisfy { $0 <= peaks[0] }, "\(checkpointing): \(peaks)")
      }
    }
  }

  /// What an optimizer keeps does not lie between what a step frees: the pool has little more than is
  /// predicted, and finds room for the largest gradient again.
  @Test func theOptimizersStateLeavesNoHoles() async {
    await #expect(processExitsWith: .success) {
      let optimizers: [any Optimizer] = [AdamW(), AdamW8Bit(), Muon(), Lion(), Adafactor(), SGD()]
      for optimizer in optimizers {
        BufferPool.shared.trim()
        let model = try random(shape(vocabulary: 16384))
        var trainer = try Trainer(
          model, training: .full, on: TokenDataSet(sequences: patterns(6, length: 64)),
          options: TrainingOptions(duration: .steps(6), batchSize: 1))
        trainer.optimizer = optimizer
        var most = 0
        try trainer.run { _ in
          let statistics = BufferPool.shared.statistics
          most = max(most, statistics.liveBytes + statistics.cachedBytes)
          return .continue
        }
        let memory = try #require(trainer.predictedMemory)
        let predicted = memory.total - memory.process
        #expect(most <= predicted / 10 * 11, "\(optimizer): \(most) of \(predicted)")
      }
    }
  }

  /// Weights in a file are resident once when they are trained.
  @Test func weightsOfAFileThatAreTrainedGetMemoryOfTheirOwn() throws {
    let folder = NSTemporaryDirectory() + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try random(shape()).save(to: folder)
    let model = try PretrainedModel(path: folder).languageModel
    let before = model.values
    #expect(before.allSatisfy { $0.isMapped })
    model.prepareForFullTraining()
    #expect(model.values == before && !model.values.contains { $0.isMapped })
  }

  @Test func aRunThatDoesNotFitSaysWhatWould() throws {
    let configuration = ModelConfiguration(
      hiddenSize: 896, intermediateSize: 4864, layerCount: 24, headCount: 14,
      keyValueHeadCount: 2, vocabularySize: 151_936, tiesWordEmbeddings: true,
      maximumPositions: 32768)
    var workload = TrainingWorkload(
      configuration, weightType: .bfloat16, training: .adapter(configuration) { _ in 16 },
      batchSize: 4, length: 1024)
    let memory = workload.memory
    // Without the biases of queries, keys and values.
    #expect(memory.weights == 2 * 494_005_120)
    #expect(memory.trained == 8_798_208 * 16)
    workload.isCheckpointed = true
    #expect(workload.memory.total < memory.total / 2)
    let parts = memory.weights + memory.trained + memory.activations + memory.loss
    #expect(memory.total == parts + memory.scratch + memory.process - memory.shared)
    #expect(memory.shared > 0)
    #expect(memory.description.contains("weights"))
  }

  @Test func theTrainerChoosesAndRefuses() throws {
    let model = try random(shape())
    try model.inject(LoRA(rank: 4), named: "a")
    let data = try TokenDataSet(sequences: patterns(8, length: 400))
    func trainer(_ change: (inout TrainingOptions) -> Void) throws -> Trainer<TokenDataSet> {
      var options = TrainingOptions(batchSize: 8)
      change(&options)
      return try Trainer(model, training: .adapter("a"), on: data, options: options)
    }
    let never = try trainer { $0.checkpointing = .never }
    let always = try trainer { $0.checkpointing = .always }
    let much = try #require(never.predictedMemory)
    let less = try #require(always.predictedMemory)
    #expect(less.total < much.total && !never.isCheckpointed && always.isCheckpointed)
    let between = (much.total + less.total) / 2
    let automatic = try trainer { $0.memoryLimit = between }
    #expect(automatic.isCheckpointed)
    try automatic.checkMemory()
    let plenty = try trainer { $0.memoryLimit = much.total * 2 }
    #expect(!plenty.isCheckpointed)
    try plenty.checkMemory()
    let refused = try trainer {
      $0.checkpointing = .never
      $0.memoryLimit = between
    }
    let error = #expect(throws: TrainingError.self) { try refused.checkMemory() }
    guard case .notEnoughMemory(let needed, let available, let remedies) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(needed == much.total && available == between)
    #expect(remedies.contains(.checkpointing))
    #expect(remedies.contains { if case .batchSize(let count) = $0 { count < 8 } else { false } })
    #expect((AvailableMemory.current ?? 0) > 1 << 20)
  }

  /// Of a model of two stacks, whose sources and targets are padded apart.
  @Test func aForwardPassOfTwoStacksKeepsWhatThePredictionSays() async {
    await #expect(processExitsWith: .success) {
      let (source, target) = (160, 96)
      // Token 0 begins targets.
      let ids = patternSequences(2, length: source + target, vocabulary: 94, seed: 1).map {
        $0.map { $0 + 1 }
      }
      let data = try TokenDataSet(
        examples: ids.map {
          TrainingExample(
            sequence: Array($0.prefix(source)) + [0] + Array($0.dropFirst(source)),
            promptLength: source + 1)
        })
      for part in [nil, "v", "decoder.block.2"] as [String?] {
        for isCheckpointed in [false, true] {
          let model = try random(
            ModelConfiguration(
              architecture: .t5, hiddenSize: 64, intermediateSize: 192, layerCount: 3,
              headCount: 4, vocabularySize: 96, tiesWordEmbeddings: true))
          model.setTrainable(false)
          let selector = part.map { part in
            LayerSelector.matching(part) { $0.hasSuffix("." + part) || $0.hasPrefix(part) }
          }
          try model.inject(LoRA(rank: 4, alpha: 8), named: "a", into: selector ?? .allLinear)
          let live = keptBytes(model, data, batchSize: 2, checkpointed: isCheckpointed)
          var workload = try #require(
            NextToken().workload(model, training: .adapter("a"), on: data, batchSize: 2))
          #expect(workload.length == source + target && workload.sourceLength == source)
          workload.isCheckpointed = isCheckpointed
          // The gradient of the hidden states that have targets.
          let expected = workload.memory.activations + 2 * target * 64 * 4
          #expect(
            abs(live - expected) <= expected / 8,
            "\(part ?? "all"), checkpointed \(isCheckpointed): \(live) bytes, predicted \(expected)"
          )
        }
      }
    }
  }
}
