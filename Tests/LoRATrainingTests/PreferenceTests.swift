import Foundation
import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATesting
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Preferences, step by step as TRL learns them; see Tests/Reference/preferences.py.
@Suite(.serialized) struct PreferenceTests {
  private struct Run: Decodable {
    let model: String
    let steps: Int
    let batch: Int
    let learning_rate: Double
    let r: Int
    let lora_alpha: Float
    let target_modules: [String]
    let cases: [Case]
    let pairs: [[[Int]]]
    let judged: [Judged]

    struct Judged: Decodable {
      let prompt: [Int]
      let completion: [Int]
      let label: Bool

      init(from decoder: any Decoder) throws {
        var values = try decoder.unkeyedContainer()
        prompt = try values.decode([Int].self)
        completion = try values.decode([Int].self)
        label = try values.decode(Bool.self)
      }
    }

    func data(_ form: PreferenceLoss.Form) throws -> PreferenceDataSet {
      try PreferenceDataSet(
        form == .kto
          ? judged.map {
            .init(
              prompt: $0.prompt, chosen: $0.label ? $0.completion : nil,
              rejected: $0.label ? nil : $0.completion)
          } : pairs.map { .init(prompt: $0[0], chosen: $0[1], rejected: $0[2]) })
    }
  }

  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let `case`: String
    let form: PreferenceLoss.Form
    let beta: Double
    let label_smoothing: Double?
    let desirable_weight: Double?
    let undesirable_weight: Double?

    var testDescription: String { `case` }
    var loss: PreferenceLoss {
      PreferenceLoss(
        form, beta: beta, labelSmoothing: label_smoothing ?? 0,
        desirableWeight: desirable_weight ?? 1, undesirableWeight: undesirable_weight ?? 1)
    }
  }

  private static let run: Run? = try? ReferenceFile("preferences.safetensors").metadata("run")
  static let cases = run?.cases ?? []

  @Test func thereAreCases() { #expect(Self.cases.count == 5) }

  private func adapted(_ type: DType? = nil) throws -> any PretrainedLanguageModel {
    let reference = try ReferenceFile("preferences.safetensors")
    let run = try #require(Self.run)
    let model = try PretrainedModel(
      path: Fixtures.path("models/\(run.model)"), type: type ?? .float32
    ).languageModel
    try model.inject(
      LoRA(rank: run.r, alpha: run.lora_alpha), named: "a", into: .names(run.target_modules))
    for (path, parameter) in model.adapterParameters(named: "a") {
      parameter.value = try reference.tensor("initial/base_model.model.\(path)")
    }
    return model
  }

  private func options(_ run: Run, batch: Int? = nil, accumulation: Int = 1) -> TrainingOptions {
    TrainingOptions(
      duration: .steps(run.steps), batchSize: batch ?? run.batch, accumulation: accumulation,
      learningRate: run.learning_rate, clipNorm: 0, shuffles: false)
  }

  /// A hundred steps: losses, gradients' norms and the adapter.
  @Test(arguments: cases) func followsTRL(item: Case) throws {
    let reference = try ReferenceFile("preferences.safetensors")
    let run = try #require(Self.run)
    let model = try adapted()
    let base = model.values
    let trainer = try Trainer(
      model, training: .adapter("a"), on: run.data(item.form), loss: item.loss,
      options: options(run))
    var reports: [StepReport] = []
    try trainer.run {
      reports.append($0)
      return .continue
    }
    let losses = try reference.numbers("\(item.case)/losses")
    let norms = try reference.numbers("\(item.case)/gradient_norms")
    #expect(reports.count == 100 && losses.count == 100)
    for (report, (loss, norm)) in zip(reports, zip(losses, norms)) {
      #expect(abs(report.loss - loss) < 1e-5 * max(1, abs(loss)), "\(item.case) \(report.step)")
      #expect(
        abs(Double(report.gradientNorm) - norm) < 1e-5 * max(1, 2 * norm),
        "\(item.case) \(report.step)")
    }
    for (path, parameter) in model.adapterParameters(named: "a") {
      let expected = try reference.tensor("\(item.case)/final/base_model.model.\(path)")
      #expect(largestDifference(parameter.value, expected) < 1e-4, "\(item.case), \(path)")
    }
    #expect(model.values == base)
  }

  /// The margin of the first batch, and that the loss is that of training.
  @Test(arguments: cases) func evaluatesAsTRL(item: Case) throws {
    let reference = try ReferenceFile("preferences.safetensors")
    let run = try #require(Self.run)
    let model = try adapted()
    let all = try run.data(item.form)
    let data = try PreferenceDataSet(Array(all.examples.prefix(run.batch)))
    let evaluation = try model.withAdapters(["a": 1]) {
      try model.evaluate(on: data, loss: item.loss, batchSize: run.batch)
    }
    #expect(abs(evaluation.loss - (try reference.numbers("\(item.case)/losses"))[0]) < 1e-5)
    #expect(abs(evaluation.margin - (try reference.numbers("\(item.case)/margins"))[0]) < 1e-5)
    #expect(evaluation.examples == run.batch)
    guard item.loss.needsReference, item.form != .kto else { return }
    let off = try model.withAdapters([:]) { try model.evaluate(on: data, loss: item.loss) }
    #expect(abs(off.margin) < 1e-5, "without the adapter the model is its reference")
  }

  /// Computed once, whatever the order: the same bits after an interruption, and one batch is two halves.
  @Test(arguments: [PreferenceLoss.Form.dpo, .orpo, .kto]) func resumesWithTheSameBits(
    form: PreferenceLoss.Form
  ) throws {
    let run = try #require(Self.run)
    func trainer(_ model: any PretrainedLanguageModel) throws -> Trainer<PreferenceDataSet> {
      let options = TrainingOptions(duration: .steps(9), batchSize: 3, learningRate: 1e-3, seed: 4)
      return try Trainer(
        model, training: .adapter("a"), on: run.data(form), loss: PreferenceLoss(form),
        options: options)
    }
    let whole = try adapted()
    try trainer(whole).run()
    let (first, second) = (try adapted(), try adapted())
    var part = try TrainingRun(try trainer(first))
    for _ in 0..<4 { _ = try part.step() }
    try trainer(second).run(from: part.state())
    #expect(second.adapterValues("a") == whole.adapterValues("a"))
    #expect(first.adapterValues("a") != whole.adapterValues("a"))
  }

  @Test func halfBatchesAreAWhole() throws {
    let run = try #require(Self.run)
    func trained(_ batch: Int, _ accumulation: Int) throws -> [Tensor] {
      let model = try adapted()
      var options = options(run, batch: batch, accumulation: accumulation)
      options.duration = .steps(6)
      try Trainer(model, training: .adapter("a"), on: run.data(.dpo), options: options).run()
      return model.adapterValues("a")
    }
    for (a, b) in zip(try trained(4, 1), try trained(2, 2)) {
      #expect(largestDifference(a, b) < 1e-5)
    }
  }

  /// A model that reads a source: the prompt is the source and the token that begins targets.
  @Test(arguments: PreferenceLoss.Form.allCases) func encoderDecodersLearnThemToo(
    form: PreferenceLoss.Form
  ) throws {
    let model = try PretrainedModel(path: Fixtures.path("encoder_decoders/t5-gated")).languageModel
    let start = try #require(model.targetStart)
    func example(_ index: Int) -> PreferenceDataSet.Example {
      let source = Array(repeating: 5 + index, count: 2 + index) + [1, start]
      let (good, bad) = ([7, 8, 1], [9, 10 + index, 11, 12, 1])
      guard form == .kto else { return .init(prompt: source, chosen: good, rejected: bad) }
      return .init(
        prompt: source, chosen: index % 2 == 0 ? good : nil, rejected: index % 2 == 0 ? nil : bad)
    }
    let data = try PreferenceDataSet((0..<4).map(example))
    // Alone and in a batch of unequal lengths it is the same, and it is the sum over the target.
    let batch = data.batch(of: [0, 1, 2, 3])
    let losses = try model.tokenLosses(tokens: batch.rows.tokens, targets: batch.rows.targets)
    let alone = data.batch(of: [0])
    let first = try model.tokenLosses(tokens: alone.rows.tokens, targets: alone.rows.targets)
    #expect(abs(losses[row: 0].sum() - first[row: 0].sum()) < 1e-5)
    try model.inject(LoRA(rank: 4, alpha: 8), named: "a")
    let options = TrainingOptions(duration: .steps(12), batchSize: 4, learningRate: 2e-2)
    let loss = PreferenceLoss(form, beta: 0.5)
    let before = try model.evaluate(on: data, loss: loss)
    try Trainer(model, training: .adapter("a"), on: data, loss: loss, options: options).run()
    let after = try model.evaluate(on: data, loss: loss)
    #expect(after.loss < before.loss && after.margin > before.margin)
  }

  @Test func withoutTheReferenceTheAdapterIsAllThereIs() throws {
    let run = try #require(Self.run)
    let model = try adapted()
    let data = try run.data(.dpo)
    let free = try model.withAdapters([:]) {
      try model.evaluate(on: data, loss: PreferenceLoss(.dpo, isReferenceFree: true))
    }
    #expect(free.margin != 0 && abs(free.loss - log(2)) > 1e-4)
  }

  /// Losses with gradients of both forms of a head, against finite differences.
  @Test func targetLossesAreDifferentiated() throws {
    var random = SeededRandom(seed: 1)
    let states = Parameter(random.normal([2, 3, 8]))
    let head = Parameter(random.normal([11, 8], standardDeviation: 0.5))
    let targets = Tensor([3, -100, 10, -100, 0, 7] as [Int64], shape: [2, 3])
    for softCap in [nil, 2] as [Float?] {
      let report = checkGradients(of: [states, head]) {
        Variable(states).targetLosses(weight: Variable(head), targets: targets, softCap: softCap)
      }
      #expect(report.isCorrect && report.count > 100, "\(report)")
    }
    let logits = Variable(states).linear(weight: Variable(head))
    let plain = Variable(states).targetLosses(weight: Variable(head), targets: targets)
    #expect(largestDifference(logits.targetLosses(targets).value, plain.value) < 1e-6)
    let report = checkGradients(of: [states, head]) {
      Variable(states).linear(weight: Variable(head)).targetLosses(targets)
    }
    #expect(report.isCorrect && report.count > 100, "\(report)")
  }

  // MARK: What is refused

  @Test func whatCannotBeLearnedIsNamed() throws {
    let run = try #require(Self.run)
    let model = try adapted()
    func refused(
      _ form: PreferenceLoss.Form, _ target: TrainingTarget = .adapter("a"), batch: Int = 4
    )
      -> String
    {
      do {
        _ = try Trainer(
          model, training: target, on: run.data(form == .kto ? .kto : .dpo),
          loss: PreferenceLoss(form), options: TrainingOptions(batchSize: batch))
        return ""
      } catch { return "\(error)" }
    }
    #expect(refused(.dpo, .full).contains("second one in memory"))
    #expect(refused(.kto, .full).contains("second one in memory"))
    #expect(refused(.kto, batch: 1).contains("at least 2"))
    #expect(refused(.orpo) == "")
    #expect(throws: TrainingError.self) {
      _ = try Trainer(
        model, training: .adapter("a"), on: run.data(.kto), loss: PreferenceLoss(.dpo))
    }
    for loss in [
      PreferenceLoss(beta: 0), PreferenceLoss(beta: .nan), PreferenceLoss(labelSmoothing: 0.5),
      PreferenceLoss(.ipo, labelSmoothing: 0.1), PreferenceLoss(.kto, desirableWeight: -1),
      PreferenceLoss(.kto, isReferenceFree: true),
    ] {
      #expect(throws: TrainingError.self, "\(loss)") { try loss.check() }
    }
    for examples: [PreferenceDataSet.Example] in [
      [], [.init(prompt: [1])], [.init(prompt: [], chosen: [1], rejected: [2, 3])],
      [.init(prompt: [1], chosen: [], rejected: [2])],
      [.init(prompt: [1], chosen: [2], rejected: [3]), .init(prompt: [1], chosen: [2])],
    ] {
      #expect(throws: TrainingError.self, "\(examples)") { _ = try PreferenceDataSet(examples) }
    }
    let outside = try PreferenceDataSet([.init(prompt: [1], chosen: [64], rejected: [3])])
    #expect(throws: TrainingError.self) { try outside.check(for: model, loss: PreferenceLoss()) }
    let long = try PreferenceDataSet([
      .init(prompt: [1], chosen: Array(repeating: 3, count: 10_000), rejected: [3])
    ])
    #expect(throws: TrainingError.self) { try long.check(for: model, loss: PreferenceLoss()) }
  }

  // MARK: Files

  private func read(_ content: String, _ name: String = "p.jsonl") throws -> [PreferenceText] {
    let path = try ScratchFolder.make() + "/" + name
    try Data(content.utf8).write(to: URL(filePath: path))
    return try PreferenceText.read(path)
  }

  @Test func recordsArePairsOrJudgements() throws {
    let pair = PreferenceText(prompt: "a", chosen: "b", rejected: "c", line: 1)
    #expect(
      try read(#"{"prompt": "a", "chosen": "b", "rejected": "c", "source": 3}"#) == [pair])
    #expect(
      try read(#"[{"prompt": "a", "chosen": "b", "rejected": "c"}]"#, "p.json") == [pair])
    #expect(
      try read("prompt,completion,label\na,b,true\na,c,0\n", "p.csv") == [
        PreferenceText(prompt: "a", chosen: "b", line: 2),
        PreferenceText(prompt: "a", rejected: "c", line: 3),
      ])
    #expect(
      try read(#"{"prompt": "", "completion": "b", "label": false}"#) == [
        PreferenceText(prompt: "", rejected: "b", line: 1)
      ])
  }

  @Test(arguments: [
    (#"{"prompt": "a", "chosen": "b"}"#, "'rejected' is missing"),
    (#"{"chosen": "b", "rejected": "c"}"#, "there is no 'prompt'"),
    (#"{"prompt": "a", "chosen": "b", "rejected": "b"}"#, "the same text"),
    (#"{"prompt": "a", "chosen": "", "rejected": "b"}"#, "'chosen' is empty"),
    (
      #"{"prompt": ["a"], "chosen": "b", "rejected": "c"}"#,
      "expected an object with a role and a content"
    ),
    (#"{"prompt": "a", "completion": "b"}"#, "found none"),
    (#"{"prompt": "a", "completion": "b", "label": "good"}"#, "found 'good'"),
    (#"{"prompt": "a", "completion": "b", "label": 2}"#, "expected true"),
    (#"["a"]"#, "found an array"), ("", "it holds no examples"),
    (
      "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"
        + #"{"prompt": "a", "completion": "b", "label": true}"#, "on line 1 is a pair"
    ),
  ]) func damagedRecordsAreNamed(content: String, expected: String) throws {
    do {
      _ = try read(content)
      Issue.record("read: \(content)")
    } catch {
      #expect("\(error)".contains(expected), "\(error)")
    }
  }

  @Test func textsAreCutAtTheBeginningOfTheirPrompts() throws {
    let tokenizer = TextTests.Letters()
    let text = PreferenceText(
      prompt: String(repeating: "abcd", count: 30), chosen: "yes", rejected: "no", line: 7)
    let (whole, notes) = try PreferenceDataSet.encoding(
      [text], tokenizer: tokenizer, longest: 10_000)
    #expect(notes.isEmpty)
    let full = whole.examples[0]
    let length = max(full.chosen?.count ?? 0, full.rejected?.count ?? 0)
    let (cut, said) = try PreferenceDataSet.encoding(
      [text], tokenizer: tokenizer, longest: length + 7)
    #expect(said.count == 1 && said[0].contains("line 7"))
    let example = cut.examples[0]
    #expect(example.chosen == full.chosen && example.rejected == full.rejected)
    #expect(example.prompt.count == 8 && cut.longestRow == length + 7)
    #expect(Array(example.prompt.suffix(4)) == Array(full.prompt.suffix(4)))
    #expect(throws: FormatError.self) {
      _ = try PreferenceDataSet.encoding(
        [text], tokenizer: tokenizer, longest: 12, longExamples: .error)
    }
    #expect(throws: TrainingError.self) {
      _ = try PreferenceDataSet.encoding(
        [text], tokenizer: tokenizer, longest: 12, longExamples: .split)
    }
    #expect(throws: TrainingError.self, "none is left") {
      _ = try PreferenceDataSet.encoding(
        [text], tokenizer: tokenizer, longest: 12, longExamples: .skip)
    }
  }
}
