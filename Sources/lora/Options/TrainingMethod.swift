public import ArgumentParser
public import LoRAKit

/// What is trained: an adapter of one of the methods, or with `full` the model itself.
enum TrainingMethod: String, ExpressibleByArgument, CaseIterable, Sendable {
  case lora
  case dora
  case loha
  case lokr
  case ia3
  case full
}

extension LoRA.Initialization: ExpressibleByArgument {}

/// The hyperparameters of an adapter, as flags give them; nil is the method's default.
struct AdapterRecipe {
  var method: TrainingMethod
  var rank: Int?
  var alpha: Double?
  var dropout: Double?
  var isRankStabilized = false
  var initialization: LoRA.Initialization?
  var targets: PEFTAdapterConfiguration.Modules?

  /// The flags among these that the method has no use for.
  var meaningless: [String] {
    let isLowRank = method == .lora || method == .dora
    let hasRank = method != .ia3 && method != .full
    return [
      ("--rank", rank != nil && !hasRank), ("--alpha", alpha != nil && !hasRank),
      ("--dropout", dropout != nil && !isLowRank), ("--rslora", isRankStabilized && !isLowRank),
      ("--init", initialization != nil && method != .lora),
      ("--targets", targets != nil && method == .full),
    ].filter(\.1).map(\.0)
  }

  /// Throws for a hyperparameter that nothing can be learned with, before any model is opened.
  func check() throws(AdapterError) {
    guard method != .ia3, method != .full else { return }
    try LoRA.check(
      rank: rank ?? 8, alpha: alpha ?? usualAlpha, dropout: dropout ?? 0,
      isRankStabilized: isRankStabilized)
  }

  /// PEFT's, where it has one for the method.
  private var usualAlpha: Double { method == .loha || method == .lokr ? 8 : 16 }

  /// The recipe as PEFT writes it down, for `model`.
  func configuration(for model: any LanguageModel) -> PEFTAdapterConfiguration {
    typealias Configuration = PEFTAdapterConfiguration
    let method: Configuration.Method =
      switch method {
      case .lora, .dora, .full:
        .lora(
          Configuration.LoRA(
            dropout: dropout ?? 0, usesRankStabilizedScale: isRankStabilized,
            isDoRA: method == .dora))
      case .loha: .loha(Configuration.LoHa())
      case .lokr: .lokr(Configuration.LoKr())
      case .ia3: .ia3(Configuration.IA3(feedForward: .names([])))
      }
    var result = Configuration(
      method: method, rank: rank ?? 8, alpha: alpha ?? usualAlpha,
      targets: targets ?? defaultTargets(of: model))
    if case .ia3 = result.method { result.setFeedForward(for: model) }
    if let initialization, initialization != .kaiming {
      result.initialization = .named(initialization.rawValue)
    }
    return result
  }

  /// All linear layers; for IA3 keys, values and what leaves the feed-forward block, as its paper
  /// has it.
  private func defaultTargets(
    of model: any LanguageModel
  ) -> PEFTAdapterConfiguration.Modules {
    guard method == .ia3 else { return .allLinear }
    let isFused = model.linearLayers().contains { $0.path.hasSuffix(".c_attn") }
    return .names(isFused ? ["c_attn", "mlp.c_proj"] : ["k_proj", "v_proj", "down_proj"])
  }
}

extension PEFTAdapterConfiguration {
  /// Makes IA3 scale the inputs of what leaves a feed-forward block, as its paper has it. The names
  /// are some of the targets', which PEFT demands.
  fileprivate mutating func setFeedForward(for model: any LanguageModel) {
    let last = ["down_proj", "mlp.c_proj"]
    var names: [String] = []
    switch targets {
    case .names(let targets): names = targets
    case .allLinear:
      // What the targets are saved as.
      names = Set(
        model.linearLayers().filter { $0.layer !== model.outputHead }.map { path, _ in
          path.split(separator: ".").last.map(String.init) ?? path
        }
      ).sorted()
      targets = .names(names)
    case .pattern, .unspecified: break
    }
    let feedForward = names.filter { name in
      last.contains { name == $0 || name.hasSuffix(".\($0)") }
    }
    if case .pattern = targets {
      method = .ia3(IA3(feedForward: .names(["down_proj", "mlp.c_proj"])))
    } else {
      method = .ia3(IA3(feedForward: .names(feedForward)))
    }
  }
}
