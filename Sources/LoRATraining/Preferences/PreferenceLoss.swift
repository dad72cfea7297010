/// What is minimized to make a model prefer some completions to others.
///
/// ```swift
/// let loss = PreferenceLoss(.dpo, beta: 0.1)
/// let trainer = try Trainer(model, training: .adapter("tone"), on: preferences, loss: loss)
/// ```
///
/// p is the sum of the log-probabilities of a completion's tokens, r that under the reference, which is
/// the model without its adapter: no second model is held. Values are those of TRL's trainers.
public struct PreferenceLoss: Sendable, Hashable, Codable {
  /// The form of the loss.
  public enum Form: String, Sendable, Hashable, Codable, CaseIterable {
    /// `-log σ(β ((p - r) of the chosen - (p - r) of the rejected))`: Rafailov et al., *Direct
    /// preference optimization*, 2023.
    case dpo
    /// `(h - 1 / (2 β))²`, h being the difference of `(p - r) / tokens`: Azar et al., *A general
    /// theoretical paradigm to understand learning from human preferences*, 2023.
    case ipo
    /// The cross-entropy of prompt and chosen completion, and `-β log σ` of the logarithm of the ratio
    /// of odds, of mean log-probabilities: Hong et al., *ORPO: monolithic preference optimization
    /// without reference model*, 2024. Needs no reference. The cross-entropy is the mean over the
    /// tokens of a batch, as TRL's.
    case orpo
    /// `1 - σ(β (p - r - z))` of a desirable completion and `1 - σ(β (z - p + r))` of an undesirable
    /// one; z is the mean of p - r of the batch's prompts with each other's completions, at least 0:
    /// Ethayarajh et al., *KTO: model alignment as prospect theoretic optimization*, 2024.
    case kto
  }

  /// The form.
  public var form: Form
  /// How far the model may go from the reference: the smaller, the further. Of ORPO the weight of the
  /// odds.
  public var beta: Double
  /// The probability that a preference is the wrong way round, below 0.5: DPO's loss is then
  /// `-(1 - ε) log σ(x) - ε log σ(-x)`.
  public var labelSmoothing: Double
  /// Whether DPO and IPO do without the reference, as if it gave all completions one probability.
  public var isReferenceFree: Bool
  /// The weight of desirable completions in KTO.
  public var desirableWeight: Double
  /// The weight of undesirable completions in KTO.
  public var undesirableWeight: Double

  /// Creates a loss. Values are checked when it is used.
  public init(
    _ form: Form = .dpo, beta: Double = 0.1, labelSmoothing: Double = 0,
    isReferenceFree: Bool = false, desirableWeight: Double = 1, undesirableWeight: Double = 1
  ) {
    self.form = form
    self.beta = beta
    self.labelSmoothing = labelSmoothing
    self.isReferenceFree = isReferenceFree
    self.desirableWeight = desirableWeight
    self.undesirableWeight = undesirableWeight
  }

  /// Whether the log-probabilities of the reference have a part in it.
  public var needsReference: Bool { form != .orpo && !isReferenceFree }

  /// Throws ``TrainingError/invalidOption(name:value:expected:)`` for the first value out of range.
  package func check() throws(TrainingError) {
    try demand(beta > 0 && beta.isFinite, "beta", beta, "a finite number above 0, such as 0.1")
    try demand(
      labelSmoothing >= 0 && labelSmoothing < 0.5, "the label smoothing", labelSmoothing,
      "at least 0, below 0.5")
    if labelSmoothing > 0, form != .dpo {
      throw .invalidOption(
        name: "the label smoothing", value: "\(labelSmoothing)", expected: "0 but for DPO")
    }
    if isReferenceFree, form == .kto {
      throw .invalidOption(
        name: "the loss without a reference", value: "kto",
        expected: "dpo or ipo; orpo never has one")
    }
    for (name, weight) in [
      ("the weight of desirable completions", desirableWeight),
      ("the weight of undesirable completions", undesirableWeight),
    ] {
      try demand(weight >= 0 && weight.isFinite, name, weight, "a finite number, at least 0")
    }
  }

  /// Whether it compares two completions of a prompt.
  var wantsPairs: Bool { form != .kto }

  private enum CodingKeys: String, CodingKey {
    case form, beta, labelSmoothing, isReferenceFree, desirableWeight, undesirableWeight
  }

  /// Decodes the loss; absent keys have their defaults.
  public init(from decoder: any Decoder) throws {
    self.init()
    let values = try decoder.container(keyedBy: CodingKeys.self)
    try values.read(&form, .form)
    try values.read(&beta, .beta)
    try values.read(&labelSmoothing, .labelSmoothing)
    try values.read(&isReferenceFree, .isReferenceFree)
    try values.read(&desirableWeight, .desirableWeight)
    try values.read(&undesirableWeight, .undesirableWeight)
  }
}
