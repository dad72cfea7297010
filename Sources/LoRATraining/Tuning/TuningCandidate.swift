import Foundation
public import LoRAFormats
public import LoRAModels

/// A choice of an adapter's hyperparameters: a point of the ``TuningSpace``.
///
/// Without arguments it is what `lora train` takes where nothing is said, but for the rate of a new head.
public struct TuningCandidate: Sendable, Hashable, Codable {
  /// Which linear layers get an adapter.
  public enum Targets: String, Sendable, Hashable, Codable, CaseIterable {
    /// All but the output head.
    case allLinear = "all-linear"
    /// Those of the attention blocks.
    case attention
    /// Those of the feed-forward blocks.
    case feedForward = "feed-forward"
  }

  /// The method, by its name in `lora train --method`: "lora", "dora" and so on.
  public var method = "lora"
  /// The rank.
  public var rank = 8
  /// What the product of the factors is scaled by is alpha / rank.
  public var alpha = 16.0
  /// The probability of dropping an element of the adapter's input.
  public var dropout = 0.0
  /// The layers.
  public var targets = Targets.allLinear
  /// The learning rate.
  public var learningRate = 1e-3
  /// The learning rate of a head of labels; nil: that of the adapter.
  public var headLearningRate: Double?
  /// The number of examples in a batch.
  public var batchSize = 8

  /// The steps over which the learning rate of a search's candidates rises.
  package static var warmupSteps: Int { 5 }

  /// Creates the default.
  public init() {}

  /// The adapter's configuration on `model`. Throws `AdapterError` for a method that is unknown, and for
  /// targets that the model's architecture does not tell apart.
  public func configuration(
    for model: any PretrainedTokenModel
  ) throws(AdapterError) -> PEFTAdapterConfiguration {
    guard let recipe = TrainingRecipe.all.first(where: { $0.name == method }) else {
      throw .invalidValue(
        parameter: "method", value: method,
        expected: TrainingRecipe.all.map(\.name).joined(separator: ", "))
    }
    var values = TrainingRecipe.Values()
    values.dropout = dropout
    let modules: PEFTAdapterConfiguration.Modules
    if targets == .allLinear {
      modules = recipe.targets(model)
    } else {
      let names = targets.layerNames(of: model)
      guard !names.isEmpty else {
        throw .invalidValue(
          parameter: "targets", value: targets.rawValue,
          expected: "all-linear: which layers these are is not known of this model")
      }
      modules = .names(names)
    }
    var result = PEFTAdapterConfiguration(
      method: recipe.options(values), rank: rank, alpha: alpha, targets: modules)
    recipe.complete(&result, model)
    return result
  }
}

extension TuningCandidate.Targets {
  /// The ends of the paths of these layers of `model`; empty where that is not known, and for all.
  package func layerNames(of model: any Module) -> [String] {
    switch self {
    case .allLinear: []
    case .attention:
      model.layerNames(ofRoles: ["attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output"])
    case .feedForward: model.layerNames(ofRoles: ["ffn_gate", "ffn_up", "ffn_down"])
    }
  }
}

extension TuningCandidate: CustomStringConvertible {
  /// The choice in one line, what is as usual left out.
  public var description: String {
    let usual = TuningCandidate()
    var parts = ["\(method) rank \(rank)", "learning rate \(rounded(learningRate, digits: 2))"]
    if batchSize != usual.batchSize { parts.append("batch \(batchSize)") }
    if alpha != usual.alpha { parts.append("alpha \(rounded(alpha, digits: 3))") }
    if dropout != usual.dropout { parts.append("dropout \(dropout)") }
    if targets != usual.targets { parts.append(targets.rawValue) }
    if let headLearningRate { parts.append("head \(rounded(headLearningRate, digits: 2))") }
    return parts.joined(separator: ", ")
  }

  /// A number with some significant digits.
  private func rounded(_ number: Double, digits: Int) -> String {
    String(format: "%.\(digits)g", number)
  }
}

extension TuningRecord.Trial {
  /// The options of a training of this trial with `steps` steps; `others` are those that are not searched.
  package func options(_ others: TrainingOptions, steps: Int) -> TrainingOptions {
    var options = others
    options.duration = .steps(steps)
    options.batchSize = candidate.batchSize
    options.learningRate = candidate.learningRate
    if stage == .default {
      options.schedule = .constant
      options.warmupSteps = 0
    } else {
      options.schedule = .stable
      options.stableDecay = StableDecay()
      options.warmupSteps = TuningCandidate.warmupSteps
    }
    return options
  }
}
