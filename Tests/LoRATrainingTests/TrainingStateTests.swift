import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATraining
import TestSupport
import Testing

/// Runs that are stopped and resumed: the same bits, and nothing taken for what it is not.
@Suite(.serialized) struct TrainingStateTests {
  /// What is trained, and how.
  enum Case: String, CaseIterable, CustomTestStringConvertible {
    case adapter, dora, pissa, loraPlus, full, sgd
    var testDescription: String { rawValue }
  }

  private func options(_ seed: UInt64 = 3) -> TrainingOptions {
    TrainingOptions(
      duration: .epochs(3), batchSize: 4, accumulation: 2, learningRate: 1e-2, schedule: .cosine,
      warmupSteps: 2, weightDecay: 0.1, clipNorm: 0.5, seed: seed)
  }

  private func data(_ seed: UInt64 = 0) throws -> TokenDataSet {
    let sequences = patternSequences(22, length: 20, vocabulary: 64, seed: seed).enumerated().map {
      Array($1.prefix(8 + $0 % 13))
    }
    return try TokenDataSet(sequences: sequences)
  }

  private func model(_ name: String = "llama-grouped") throws -> any PretrainedLanguageModel {
    try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
  }

  /// A fresh model, what of it is trained, and the trainer; as another process would make them.
  private func prepared(
    _ kind: Case, options: TrainingOptions? = nil
  ) throws -> (trainer: Trainer<TokenDataSet>, values: () -> [Tensor]) {
    var options = options ?? self.options()
    let model = try self.model(kind == .full ? "llama-llama3-bfloat16" : "llama-grouped")
    switch kind {
    case .adapter, .loraPlus, .sgd:
      try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
    case .dora: try model.inject(DoRA(rank: 2, dropout: 0.2), named: "a", seed: 3)
    case .pissa:
      try model.inject(LoRA(rank: 2, dropout: 0.2, initialization: .pissa), named: "a", seed: 3)
    case .full: break
    }
    if kind == .loraPlus { options.loraPlus = LoRAPlus(ratio: 4) }
    var trainer = try Trainer(
      model, training: kind == .full ? .full : .adapter("a"), on: data(), options: options)
    if kind == .sgd { trainer.optimizer = SGD(momentum: 0.9) }
    return (trainer, { kind == .full ? model.values : model.adapterValues("a") })
  }

  /// Stopped after every single step, saved, and resumed in what might be another process.
  @Test(arguments: Case.allCases) func aResumedRunEndsInTheSameBits(kind: Case) throws {
    let folder = try ScratchFolder.make()
    let (whole, values) = try prepared(kind)
    let expected = try whole.run()
    #expect(expected.steps == 9)
    for stop in 0...expected.steps {
      let path = "\(folder)/\(stop).safetensors"
      var first = try TrainingRun(prepared(kind).trainer)
      for _ in 0..<stop { #expect(try first.step() != nil) }
      try first.state().save(to: path)
      let (trainer, resumedValues) = try prepared(kind)
      var rest = try TrainingRun(trainer, from: TrainingState(path: path))
      #expect(rest.result.steps == stop && rest.isFinished == (stop == expected.steps))
      var reports: [StepReport] = []
      while let report = try rest.step() { reports.append(report) }
      #expect(reports.map(\.step) == Array(stop + 1..<expected.steps + 1))
      #expect(rest.result.losses == expected.losses && rest.result.tokens == expected.tokens)
      #expect(resumedValues() == values(), "stopped after step \(stop)")
    }
  }

  /// A state is a value: going on does not change it, and it can be gone on from twice.
  @Test func aStateIsAValue() throws {
    let (trainer, values) = try prepared(.adapter)
    var run = try TrainingRun(trainer)
    for _ in 0..<4 { _ = try run.step() }
    let state = run.state()
    let kept = state.values.mapValues { $0.scalars() }
    let moments = state.optimizer.parameters.mapValues { $0.tensors.mapValues { $0.scalars() } }
    while try run.step() != nil {}
    let end = values()
    #expect(state.step == 4 && state.values.mapValues { $0.scalars() } == kept)
    #expect(
      state.optimizer.parameters.mapValues { $0.tensors.mapValues { $0.scalars() } } == moments)
    // The same trainer goes back to it: parameters, moments and losses.
    #expect(try trainer.run(from: state).losses == run.result.losses)
    #expect(values() == end)
  }

  /// One state has one file: its bytes depend on nothing else.
  @Test func savingRepeats() throws {
    let folder = try ScratchFolder.make()
    for name in ["a", "b"] {
      var run = try TrainingRun(prepared(.adapter).trainer)
      for _ in 0..<3 { _ = try run.step() }
      try run.state().save(to: "\(folder)/\(name)")
    }
    #expect(FileManager.default.contentsEqual(atPath: folder + "/a", andPath: folder + "/b"))
    let again = try TrainingState(path: folder + "/a")
    try again.save(to: folder + "/a")
    #expect(FileManager.default.contentsEqual(atPath: folder + "/a", andPath: folder + "/b"))
    #expect(again.step == 3 && again.options == options())
  }

  /// Under a constant schedule a run is made longer; under others the steps would have been others.
  @Test func aRunIsMadeLonger() throws {
    var short = options()
    (short.schedule, short.duration) = (.constant, .steps(4))
    var long = short
    long.duration = .steps(7)
    let (whole, values) = try prepared(.adapter, options: long)
    let expected = try whole.run()
    let (trainer, _) = try prepared(.adapter, options: short)
    var run = try TrainingRun(trainer)
    while try run.step() != nil {}
    let state = run.state()
    let (other, otherValues) = try prepared(.adapter, options: long)
    #expect(try other.run(from: state).losses == expected.losses)
    #expect(otherValues() == values())
    short.duration = .steps(3)
    expectDifference(.options, state, try prepared(.adapter, options: short).trainer)
  }

  // MARK: - Another run

  private func expectDifference<Data: TrainingData>(
    _ part: RunPart, _ state: TrainingState, _ trainer: Trainer<Data>,
    _ comment: String = ""
  ) {
    let before = trainer.groups.flatMap { $0.parameters.map(\.parameter.value) }
    #expect("\(part) \(comment)") {
      _ = try TrainingRun(trainer, from: state)
    } throws: { error in
      guard case .differentRun(let found, let saved, let current)? = error as? TrainingError
      else { return false }
      return found == part && saved != current
    }
    #expect(trainer.groups.flatMap { $0.parameters.map(\.parameter.value) } == before)
  }

  private func state() throws -> TrainingState {
    var run = try TrainingRun(prepared(.adapter).trainer)
    for _ in 0..<2 { _ = try run.step() }
    return run.state()
  }

  @Test func otherOptionsAreErrors() throws {
    let state = try state()
    let changes: [(inout TrainingOptions) -> Void] = [
      { $0.batchSize = 3 }, { $0.accumulation = 1 }, { $0.learningRate = 2e-2 },
      { $0.schedule = .linear }, { $0.warmupSteps = 1 }, { $0.weightDecay = 0 },
      { $0.beta1 = 0.8 }, { $0.beta2 = 0.9 }, { $0.epsilon = 1e-6 }, { $0.clipNorm = 1 },
      { $0.seed = 4 }, { $0.shuffles = false }, { $0.precision = .float32 },
      { $0.duration = .epochs(4) }, { $0.duration = .steps(1) },
    ]
    for (index, change) in changes.enumerated() {
      var other = options()
      change(&other)
      let trainer = try prepared(.adapter, options: other).trainer
      expectDifference(.options, state, trainer, "\(index)")
    }
    var same = options()
    (same.checkpointing, same.memoryLimit, same.duration) = (.always, 1 << 40, .steps(9))
    _ = try TrainingRun(prepared(.adapter, options: same).trainer, from: state)
  }

  @Test func anotherAdapterIsAnError() throws {
    let state = try state()
    let adapters = [
      LoRA(rank: 2, alpha: 8, dropout: 0.2), LoRA(rank: 4, alpha: 16, dropout: 0.2),
      LoRA(rank: 4, alpha: 8, dropout: 0.1), LoRA(rank: 4, alpha: 8, dropout: 0.2, hasBias: true),
      LoRA(rank: 4, alpha: 8, dropout: 0.2, initialization: .pissa),
    ]
    for adapter in adapters {
      let model = try self.model()
      try model.inject(adapter, named: "a", seed: 3)
      let trainer = try Trainer(
        model, training: .adapter("a"), on: data(), options: options())
      expectDifference(.adapter, state, trainer, "\(adapter)")
    }
    let model = try self.model()
    try model.inject(
      LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", into: .names(["q_proj"]), seed: 3)
    expectDifference(
      .adapter, state, try Trainer(model, training: .adapter("a"), on: data(), options: options()))
    // The name is nobody's business.
    let renamed = try self.model()
    try renamed.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "b", seed: 3)
    _ = try TrainingRun(
      Trainer(renamed, training: .adapter("b"), on: data(), options: options()), from: state)
  }

  @Test func anotherModelIsAnError() throws {
    let state = try state()
    let other = try model("qwen2-window")
    try other.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
    expectDifference(
      .model, state, try Trainer(other, training: .adapter("a"), on: data(), options: options()))
    // One number of the base.
    let changed = try model()
    let parameter = changed.namedParameters()[3].parameter
    var value = parameter.value
    value.withUnsafeMutableBytes { $0[0] ^= 1 }
    parameter.value = value
    try changed.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
    expectDifference(
      .model, state, try Trainer(changed, training: .adapter("a"), on: data(), options: options()))
  }

  @Test func otherDataAreErrors() throws {
    let state = try state()
    var padded = try data()
    padded.paddingMultiple = 8
    let fewer = try TokenDataSet(examples: Array(data().examples.dropLast()))
    var examples = try data().examples
    examples[5].targets[3] = TrainingExample.ignored
    let masked = try TokenDataSet(examples: examples)
    for data in [try data(1), padded, fewer, masked] {
      let model = try self.model()
      try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
      expectDifference(
        .data, state, try Trainer(model, training: .adapter("a"), on: data, options: options()))
    }
  }

  @Test func anotherOptimizerOrObjectiveIsAnError() throws {
    struct Half: Objective {
      typealias Data = TokenDataSet
      func loss(
        _ model: any LanguageModel, _ batch: TokenDataSet.Batch, scale: Float
      ) -> Variable {
        model.loss(tokens: batch.tokens, targets: batch.targets, scale: scale / 2)
      }
    }
    let state = try state()
    var trainer = try prepared(.adapter).trainer
    trainer.optimizer = SGD(momentum: 0.9)
    expectDifference(.optimizer, state, trainer)
    trainer = try prepared(.adapter).trainer
    trainer.groups[0].learningRate *= 2
    expectDifference(.options, state, trainer)
    let model = try self.model()
    try model.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
    expectDifference(
      .objective, state,
      try Trainer(
        model, training: .adapter("a"), on: data(), objective: Half(), options: options()))
  }

  /// Parameters without a module, under a loss of one's own.
  @Test func aRunOfParametersResumes() throws {
    func trainer(_ model: ToyNetwork) throws -> Trainer<Points> {
      try Trainer(
        parameters: model.namedParameters(), on: Points(count: 20, seed: 1),
        options: TrainingOptions(duration: .epochs(4), batchSize: 6, learningRate: 2e-2)
      ) { Points.loss(model, $0, $1) }
    }
    let (whole, first, second) = (
      ToyNetwork(seed: 0), ToyNetwork(seed: 0), ToyNetwork(seed: 7)
    )
    let expected = try trainer(whole).run()
    let path = try ScratchFolder.make() + "/state"
    var run = try TrainingRun(trainer(first))
    for _ in 0..<5 { _ = try run.step() }
    try run.state().save(to: path)
    // All that the loss depends on is in the state: where the parameters start is not.
    let rest = try trainer(second).run(from: TrainingState(path: path))
    #expect(rest.losses == expected.losses && second.values == whole.values)
    let other = Parameter(.zeros([2]))
    expectDifference(
      .parameters, try TrainingState(path: path),
      try Trainer(
        parameters: [("other", other)], on: Points(count: 20, seed: 1),
        options: TrainingOptions(duration: .epochs(4), batchSize: 6, learningRate: 2e-2)
      ) { _, scale in Variable(other).sum().scaled(by: scale) })
  }

  // MARK: - Damaged files

  /// The tensors and the metadata of a saved state, to be spoilt.
  private func parts() throws -> (tensors: [String: Tensor], metadata: [String: String]) {
    let path = try ScratchFolder.make() + "/state"
    try state().save(to: path)
    let file = try SafetensorsFile(path: path)
    var tensors: [String: Tensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(named: name) }
    return (tensors, file.metadata)
  }

  private func kind(
    of tensors: [String: Tensor], _ metadata: [String: String]
  ) throws -> FormatError.Kind? {
    let path = try ScratchFolder.make() + "/state"
    try SafetensorsWriter.write(
      tensors.map { (name: $0.key, tensor: $0.value) }, metadata: metadata,
      copies: Set(tensors.keys), to: path)
    do {
      _ = try TrainingState(path: path)
      return nil
    } catch let error as FormatError {
      #expect(error.file == path)
      return error.kind
    }
  }

  @Test func damagedFilesAreErrors() throws {
    let (tensors, metadata) = try parts()
    let value = try #require(tensors.keys.sorted().first { $0.hasPrefix("value/") })
    let moment = try #require(tensors.keys.sorted().first { $0.hasPrefix("exp_avg/") })
    #expect(try self.kind(of: tensors, metadata) == nil)
    func kind(_ change: (inout [String: Tensor]) -> Void) throws -> FormatError.Kind? {
      var tensors = tensors
      change(&tensors)
      return try self.kind(of: tensors, metadata)
    }
    #expect(try kind { $0[value] = nil } == .missingTensor)
    #expect(try kind { $0["value/unknown"] = .zeros([1]) } == .unexpectedTensor)
    #expect(try kind { $0["unknown"] = .zeros([1]) } == .unexpectedTensor)
    #expect(try kind { $0[value] = $0[value]?.converted(to: .bfloat16) } == .typeMismatch)
    #expect(try kind { $0[value] = Tensor([Float.nan]) } == .nonFinite)
    #expect(try kind { $0["losses"] = .zeros([2]) } == .shapeMismatch)
    #expect(try kind { $0["losses"] = Tensor([Double.infinity, 1]) } == .nonFinite)
    #expect(try self.kind(of: tensors, [:]) == .missingKey)
    func kind(_ old: String, _ new: String) throws -> FormatError.Kind? {
      var metadata = metadata
      let text = try #require(metadata["state"])
      #expect(text.contains(old))
      metadata["state"] = text.replacing(old, with: new, maxReplacements: 1)
      return try self.kind(of: tensors, metadata)
    }
    #expect(try kind(#""version":1"#, #""version":2"#) == .unsupported)
    #expect(try kind("{", "[") == .malformed)
    #expect(try kind(#""batchSize":4"#, #""batchSize":0"#) == .malformed)
    #expect(try kind(#""tokens":"#, #""tokens":-"#) == .invalidValue)
    #expect(try kind(#""updates":{"#, #""updates":{"unknown":1,"#) == .unexpectedTensor)
    // What only the run to resume can tell.
    var (other, run) = (tensors, try prepared(.adapter).trainer)
    other[moment] = nil
    let path = try ScratchFolder.make() + "/state"
    try SafetensorsWriter.write(
      other.map { (name: $0.key, tensor: $0.value) }, metadata: metadata, to: path)
    expectDifference(.optimizer, try TrainingState(path: path), run)
    other = tensors
    other[value] = .zeros([3])
    try SafetensorsWriter.write(
      other.map { (name: $0.key, tensor: $0.value) }, metadata: metadata, to: path)
    run = try prepared(.adapter).trainer
    expectDifference(.adapter, try TrainingState(path: path), run)
    #expect(throws: FormatError.self) {
      try TrainingState(path: Fixtures.path("models/llama-grouped/model.safetensors"))
    }
  }
}
