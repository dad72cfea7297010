import Foundation
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// Everything that can be stored decodes what earlier versions wrote. A key that a version adds gets a
/// default in its type's decoder; the texts here stay as they are.
@Suite struct StoredValuesTests {
  private func decoded<Value: Decodable>(_ text: String, as type: Value.Type) throws -> Value {
    try JSONDecoder().decode(type, from: Data(text.utf8))
  }

  /// What is stored decodes to itself, and so does `text` to `value`.
  private func expect<Value: Codable & Equatable>(_ text: String, _ value: Value) throws {
    #expect(try decoded(text, as: Value.self) == value)
    let again = try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value))
    #expect(again == value)
  }

  @Test func trainingOptions() throws {
    try expect("{}", TrainingOptions())
    var old = TrainingOptions(
      duration: .steps(7), batchSize: 3, accumulation: 2, learningRate: 0.1, schedule: .linear,
      warmupSteps: 4, weightDecay: 0.2, beta1: 0.8, beta2: 0.7, epsilon: 1e-6, clipNorm: 0.1,
      seed: .max, shuffles: false, precision: .bfloat16)
    // As they were before LoRA+, checkpointing and the limit of memory.
    try expect(
      """
      {"duration":{"steps":{"_0":7}},"batchSize":3,"accumulation":2,"learningRate":0.1,
      "schedule":"linear","warmupSteps":4,"weightDecay":0.2,"beta1":0.8,"beta2":0.7,
      "epsilon":1e-6,"clipNorm":0.1,"seed":18446744073709551615,"shuffles":false,
      "precision":"bfloat16"}
      """, old)
    (old.loraPlus, old.checkpointing, old.memoryLimit) = (LoRAPlus(ratio: 16), .never, 1 << 40)
    try expect(
      """
      {"duration":{"steps":{"_0":7}},"batchSize":3,"accumulation":2,"learningRate":0.1,
      "schedule":"linear","warmupSteps":4,"weightDecay":0.2,"beta1":0.8,"beta2":0.7,
      "epsilon":1e-6,"clipNorm":0.1,"seed":18446744073709551615,"shuffles":false,
      "precision":"bfloat16","loraPlus":{"ratio":16,"embeddingLearningRate":1e-6},
      "checkpointing":"never","memoryLimit":1099511627776,"fromALaterVersion":[1]}
      """, old)
    try expect(#"{"duration":{"epochs":{"_0":2}}}"#, TrainingOptions(duration: .epochs(2)))
    #expect(throws: DecodingError.self) {
      try decoded(#"{"batchSize":"3"}"#, as: TrainingOptions.self)
    }
  }

  @Test func loRAPlus() throws {
    try expect(#"{"ratio":4}"#, LoRAPlus(ratio: 4))
    #expect(throws: DecodingError.self) { try decoded("{}", as: LoRAPlus.self) }
  }

  @Test func stableDecay() throws {
    try expect("{}", StableDecay())
    var options = TrainingOptions(schedule: .stable)
    options.stableDecay = StableDecay(
      steps: 9, warmup: .cosine, decay: .root, least: 0.25, cycles: 1.5)
    options.neftuneAlpha = 5
    try expect(
      """
      {"schedule":"wsd","neftuneAlpha":5,"stableDecay":{"steps":9,"warmup":"cosine",
      "decay":"1-sqrt","least":0.25,"cycles":1.5}}
      """, options)
  }

  @Test func preferences() throws {
    try expect("{}", PreferenceLoss())
    try expect(
      """
      {"form":"kto","beta":0.5,"labelSmoothing":0.125,"isReferenceFree":true,
      "desirableWeight":2,"undesirableWeight":3}
      """,
      PreferenceLoss(
        .kto, beta: 0.5, labelSmoothing: 0.125, isReferenceFree: true, desirableWeight: 2,
        undesirableWeight: 3))
    try expect(#"{"step":3,"loss":0.5}"#, EvaluationPoint(step: 3, loss: 0.5))
    let evaluation = try decoded(
      #"{"loss":0.5,"margin":1.5,"accuracy":0.75,"examples":4}"#, as: PreferenceEvaluation.self)
    #expect(evaluation.loss == 0.5 && evaluation.margin == 1.5 && evaluation.examples == 4)
    #expect(evaluation.accuracy == 0.75)
  }

  @Test func trainingResult() throws {
    let empty = try decoded("{}", as: TrainingResult.self)
    #expect(empty.losses.isEmpty && !empty.isStopped && !empty.isCancelled && empty.tokens == 0)
    let result = try decoded(
      """
      {"losses":[1.5,1.25],"isCancelled":false,"isStopped":true,"trainedParameterCount":12,
      "tokens":34}
      """, as: TrainingResult.self)
    #expect(result.losses == [1.5, 1.25] && result.isStopped && result.steps == 2)
    #expect(result.trainedParameterCount == 12 && result.tokens == 34)
  }

  @Test func stepReport() throws {
    let report = try decoded(
      """
      {"step":3,"stepCount":9,"loss":1.5,"gradientNorm":0.5,"learningRate":0.001,"tokens":70,
      "tokensPerSecond":1000.5,"epoch":0.75}
      """, as: StepReport.self)
    #expect(report.step == 3 && report.stepCount == 9 && report.loss == 1.5)
    #expect(report.gradientNorm == 0.5 && report.epoch == 0.75 && report.tokens == 70)
  }

  @Test func evaluation() throws {
    try expect(#"{"nll":1.5,"tokens":7}"#, Evaluation(nll: 1.5, tokens: 7))
  }

  @Test func strengthSweep() throws {
    let evaluation = Evaluation(nll: 1.5, tokens: 7)
    try expect(
      """
      {"adapters":["a"],"grid":[0,1],"settings":[{"strengths":[0],
      "evaluation":{"nll":1.5,"tokens":7}},{"strengths":[1]}],
      "best":{"strengths":[0],"evaluation":{"nll":1.5,"tokens":7}}}
      """,
      StrengthSweep(
        adapters: ["a"], grid: [0, 1],
        settings: [
          .init(strengths: [0], evaluation: evaluation), .init(strengths: [1], evaluation: nil),
        ]))
  }

  @Test func trainingMemory() throws {
    let memory = try decoded(
      #"{"weights":1,"trained":2,"activations":3,"loss":4,"scratch":5,"process":6}"#,
      as: TrainingMemory.self)
    #expect(memory.total == 21)
  }

  @Test func promptCompletion() throws {
    try expect(
      #"{"prompt":"a","completion":"b"}"#, PromptCompletion(prompt: "a", completion: "b"))
  }

  @Test func namesOfChoices() throws {
    func expectNames<Value: Codable & Equatable & CaseIterable>(
      _ type: Value.Type, _ names: [String]
    ) throws {
      #expect(try names.map { try decoded("\"\($0)\"", as: type) } == Array(type.allCases))
    }
    try expectNames(LearningRateSchedule.self, ["constant", "linear", "cosine", "wsd"])
    try expectNames(StableDecay.Form.self, ["linear", "cosine", "1-sqrt"])
    try expectNames(PreferenceLoss.Form.self, ["dpo", "ipo", "orpo", "kto"])
    try expectNames(Checkpointing.self, ["automatic", "always", "never"])
    try expectNames(LongExamples.self, ["error", "truncate", "skip", "split"])
    try expectNames(ProductPrecision.self, ["float32", "bfloat16", "ofWeights"])
  }

  @Test func adapterMethods() throws {
    try expect(
      #"{"rank":4,"alpha":8,"dropout":0.5,"isRankStabilized":true}"#,
      LoRA(rank: 4, alpha: 8, dropout: 0.5, isRankStabilized: true))
    try expect(
      #"{"rank":4,"alpha":8,"dropout":0.5,"isRankStabilized":true}"#,
      DoRA(rank: 4, alpha: 8, dropout: 0.5, isRankStabilized: true))
    try expect(#"{"rank":4,"alpha":8}"#, LoHa(rank: 4, alpha: 8))
    try expect(
      #"{"rank":4,"alpha":8,"decomposesBoth":true,"factor":3}"#,
      LoKr(rank: 4, alpha: 8, decomposesBoth: true, factor: 3))
    try expect(#"{"feedForward":["down_proj"]}"#, IA3(feedForward: ["down_proj"]))
  }

  @Test func seededRandom() throws {
    try expect(
      #"{"seed":3,"stream":18446744073709551615,"block":5}"#,
      SeededRandom(seed: 3, stream: .max, block: 5))
  }
}
