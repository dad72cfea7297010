public import LoRAAutograd
public import LoRAModels
import LoRATensor

/// What another adapter, or the base, would say at each position, beside the tokens of the data: knowledge
/// distillation.
///
/// ```swift
/// try model.inject(LoRA(rank: 4), named: "small")
/// let trainer = try Trainer(
///   model, training: .adapter("small"), on: data, objective: Distillation(from: ["large": 1]))
/// ```
///
/// The loss of a target is `(1 - share)` times its cross-entropy plus `share` times the divergence of the model's
/// distribution of the next token from the teacher's, at a temperature. The teacher is the same model under other
/// adapters, so that it takes no second model in memory: a second forward pass, and a second chunk of logits.
/// With a share of 1 the data's own tokens are only read, not learned. The base as teacher, of no adapter, keeps an
/// adapter near to what the model says anyway.
///
/// Source: Hinton et al., *Distilling the knowledge in a neural network*, 2015.
public struct Distillation: Objective, Hashable {
  /// The adapters of the teacher; none: the base.
  public var teacher: AdapterSelection
  /// The share of the teacher in the loss, from 0 to 1.
  public var share: Float = 0.5
  /// What the logits of both are divided by, above 0: more makes unlikely tokens count.
  public var temperature: Float = 1

  /// Creates the objective.
  public init(from teacher: AdapterSelection) { self.teacher = teacher }

  /// The name and the settings.
  public var identifier: String {
    "Distillation from \(teacher), \(share) at temperature \(temperature)"
  }

  /// `scale` times the weighted sum of the losses of the batch's targets.
  public func loss(
    _ model: any LanguageModel, _ batch: TokenDataSet.Batch, scale: Float
  ) throws -> Variable {
    let taught = try teacherStates(model, batch)
    let hidden = batch.hiddenStates(of: model)
    return batch.sum { targets, weight in
      let soft = model.divergence(
        hidden, from: taught, targets: targets, temperature: temperature,
        scale: scale * weight * share)
      guard share < 1 else { return soft }
      return soft + model.loss(hidden, targets: targets, scale: scale * weight * (1 - share))
    }
  }

  private func teacherStates(
    _ model: any LanguageModel, _ batch: TokenDataSet.Batch
  ) throws -> Tensor {
    func run(_ module: some LanguageModel) throws -> Tensor {
      try module.withAdapters(teacher) {
        withoutGradients {
          EmbeddingNoise.suspended {
            Dropout.suspended { batch.hiddenStates(of: module).value.converted(to: .float32) }
          }
        }
      }
    }
    return try run(model)
  }

  /// Throws ``TrainingError`` for settings out of range, for examples that the model can't read, and for a model
  /// with virtual tokens, whose positions are not the teacher's.
  public func check(_ model: any LanguageModel, on data: TokenDataSet) throws {
    guard (0...1).contains(share) else {
      throw TrainingError.invalidOption(
        name: "the teacher's share", value: "\(share)", expected: "from 0 to 1")
    }
    guard temperature > 0, temperature.isFinite else {
      throw TrainingError.invalidOption(
        name: "the temperature", value: "\(temperature)", expected: "a finite number above 0")
    }
    try NextToken().check(model, on: data)
    guard (model as? any VirtualTokenModel).map({ $0.promptCount == 0 }) ?? true else {
      throw TrainingError.invalidOption(
        name: "distillation", value: "with virtual tokens", expected: "a method without a prompt")
    }
    func select(_ module: some LanguageModel) throws { try module.withAdapters(teacher) {} }
    try select(model)
  }

  /// The workload of ``NextToken`` with the teacher's hidden states and logits.
  public func workload(
    _ model: any LanguageModel, training target: TrainingTarget, on data: TokenDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    var workload = NextToken().workload(model, training: target, on: data, batchSize: batchSize)
    workload?.hasTeacher = true
    return workload
  }
}

extension Distillation: TestedObjective {}
