import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATensor

/// What the training of an adapter would take, and settings to begin with: what `lora plan` prints.
///
/// ```swift
/// var plan = try TrainingPlan(of: trainer, limits: .init(memory: 8 << 30, seconds: 1800))
/// plan.adapters[0].memory.total     // bytes, from shapes alone
/// plan.settings.rank                // what to begin with, and why: settings.reasons
/// try plan.time(trainer.predictTime())
/// plan.problem                      // nil, or why nothing fits
/// ```
///
/// The rules are rules of thumb, each with its number in ``PlannedSettings/reasons``: they are where a search
/// begins, not its end.
public struct TrainingPlan: Sendable {
  /// What a training must not exceed.
  public struct Limits: Sendable, Hashable {
    /// The bytes of memory; nil for what the machine has available.
    public var memory: Int?
    /// The seconds of all steps; nil for any.
    public var seconds: Double?

    /// Creates limits.
    public init(memory: Int? = nil, seconds: Double? = nil) {
      self.memory = memory
      self.seconds = seconds
    }
  }

  /// Settings that are decided already; nil is for the plan to choose.
  public struct Decided: Sendable, Hashable {
    /// The rank.
    public var rank: Int?
    /// The number of examples in a batch.
    public var batchSize: Int?
    /// The number of passes over the data.
    public var epochs: Int?

    /// Creates settings that are decided.
    public init(rank: Int? = nil, batchSize: Int? = nil, epochs: Int? = nil) {
      self.rank = rank
      self.batchSize = batchSize
      self.epochs = epochs
    }
  }

  /// What there is to learn from.
  public struct Data: Sendable, Hashable {
    /// The positions of each example, ascending.
    public let lengths: [Int]
    /// The number of tokens, or of labels, that are learned in a pass.
    public let targetCount: Int

    /// The number of positions of all examples.
    public var tokenCount: Int { lengths.reduce(0, +) }
    /// The length that this part of the examples does not exceed; 0.5 for the median.
    public func length(at part: Double) -> Int {
      lengths.isEmpty ? 0 : lengths[min(lengths.count - 1, Int(Double(lengths.count) * part))]
    }
  }

  /// The ranks that adapters are planned with.
  public static let ranks = [4, 8, 16, 32, 64]

  /// The data.
  public let data: Data
  /// What the plan keeps to.
  public let limits: Limits
  /// The bytes of memory that the plan counts on; nil if the system does not say.
  public let memoryLimit: Int?
  /// What adapters of every rank on every choice of layers would take.
  public internal(set) var adapters: [PlannedAdapter] = []
  /// The memory of training the whole model in batches as they are recommended.
  public internal(set) var wholeModelMemory: TrainingMemory
  /// What to begin with.
  public internal(set) var settings: PlannedSettings
  /// The memory of that.
  public internal(set) var memory: TrainingMemory
  /// What was measured, once it was.
  public internal(set) var time: TimePrediction?
  /// Why no settings are within the limits; nil if these are.
  public internal(set) var problem: String?

  let decided: Decided
  let choices: [PlannedTargets]
  private let workload: TrainingWorkload
  /// The sequences of an example.
  private let sequencesPerExample: Int
  /// The values that are trained beside the factors of linear layers.
  private let otherCount: Int
  /// Whether tokens are learned, and not labels or vectors.
  let learnsTokens: Bool

  /// Plans the training that `trainer` describes: its model and its data. An adapter of any rank on all
  /// linear layers is what it trains; its options do not matter.
  ///
  /// Reads no weights and computes nothing; time: a pass over the examples' lengths.
  ///
  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` where memory can't be predicted: a loss of
  /// one's own, a model that is not this library's, a whole model as target.
  public init<Examples>(
    of trainer: Trainer<Examples>, limits: Limits = Limits(), decided: Decided = Decided()
  ) throws(TrainingError) {
    guard let workload = trainer.workload, case .adapter(let ranks) = workload.target,
      let model = trainer.model?.module
    else {
      throw .invalidOption(
        name: "what is planned", value: trainer.objective,
        expected: "an adapter on a model of this library with an objective of this library")
    }
    self.workload = workload
    self.limits = limits
    self.decided = decided
    memoryLimit = limits.memory ?? AvailableMemory.current
    let count = trainer.data.exampleCount
    data = Data(
      lengths: (0..<count).map { trainer.data.tokenCount(of: [$0]) }.sorted(),
      targetCount: trainer.data.targetCount(of: Array(0..<count)))
    learnsTokens = Examples.self == TokenDataSet.self
    sequencesPerExample = max(1, workload.batchSize / min(trainer.options.batchSize, count))
    choices = PlannedTargets.all(of: model)
    let sizes = choices[0].layers
    otherCount =
      trainer.groups.flatMap(\.parameters).reduce(0) { $0 + $1.parameter.shape.elementCount }
      - ranks.reduce(0) { $0 + $1.value * (sizes[$1.key] ?? 0) }
    settings = PlannedSettings(targets: choices[0], rank: decided.rank ?? 8, batchSize: 1)
    memory = workload.memory
    wholeModelMemory = memory
    choose()
    list()
  }

  /// The number of values of an adapter of `rank` on `targets`.
  func trainedCount(_ targets: PlannedTargets, rank: Int) -> Int {
    otherCount + targets.layers.values.reduce(0) { $0 + rank * $1 }
  }

  /// What is computed with these settings.
  func workload(_ settings: PlannedSettings) -> TrainingWorkload {
    var result = workload
    if settings.usesBFloat16 { result.weightType = .bfloat16 }
    result.target = .adapter(ranks: settings.targets.layers.mapValues { _ in settings.rank })
    result.batchSize = sequencesPerExample * min(settings.batchSize, data.lengths.count)
    result.length = min(workload.length, settings.sequenceLength ?? workload.length)
    result.isCheckpointed = settings.isCheckpointed
    result.accumulates = settings.accumulation > 1
    result.otherTrainedCount = 0
    result.otherTrainedCount =
      trainedCount(settings.targets, rank: settings.rank) - result.trainedCount
    return result
  }

  /// Whether the weights are float32 and could be narrower.
  var canNarrow: Bool { workload.weightType == .float32 }
  /// The numbers of a token's vector.
  var width: Int { workload.configuration.hiddenSize }
  /// The positions of the longest example as it is batched.
  var longest: Int { workload.length }

  private mutating func list() {
    memory = workload(settings).memory
    var whole = workload(settings)
    whole.target = .full
    whole.otherTrainedCount = 0
    wholeModelMemory = whole.memory
    adapters = choices.flatMap { targets in
      Self.ranks.map { rank in
        var other = settings
        (other.targets, other.rank) = (targets, rank)
        let memory = workload(other).memory
        return PlannedAdapter(
          targets: targets, rank: rank, trainedCount: trainedCount(targets, rank: rank),
          memory: memory, fits: memoryLimit.map { memory.total <= $0 } ?? true)
      }
    }
  }

  /// Takes over how long the steps of the recommended settings take, and keeps to the limit of time: with
  /// fewer passes, then with a part of one. Other adapters' times follow by what there is to compute.
  ///
  /// `prediction` is of a trainer with these settings; how many steps it is of does not matter.
  public mutating func time(_ prediction: TimePrediction) {
    time = prediction
    limitTime(secondsPerStep: prediction.seconds(of: 1))
    let own = workload(settings).operationsPerPosition
    let seconds = self.seconds ?? 0
    for index in adapters.indices {
      var other = settings
      (other.targets, other.rank) = (adapters[index].targets, adapters[index].rank)
      adapters[index].seconds = seconds * workload(other).operationsPerPosition / own
    }
  }

  /// The seconds of all steps with the recommended settings; nil until they were measured.
  public var seconds: Double? { time.map { $0.seconds(of: stepCount) } }

  /// The number of steps with the recommended settings.
  public var stepCount: Int { settings.steps ?? stepsPerEpoch * settings.epochs }

  /// The number of steps of a pass.
  public var stepsPerEpoch: Int {
    BatchOrder(
      exampleCount: max(1, data.lengths.count), batchSize: settings.batchSize,
      accumulation: settings.accumulation, seed: nil
    ).stepsPerEpoch
  }
}
