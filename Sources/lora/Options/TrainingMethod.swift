import ArgumentParser
import LoRAKit

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

  /// Attaches a fresh adapter to `model`.
  func inject(
    into model: some LanguageModel, named name: String, seed: UInt64
  ) throws -> InjectionReport {
    func inject(_ method: some AdapterMethod) throws -> InjectionReport {
      let modules = targets ?? defaultTargets(of: model)
      let selector = LayerSelector(PEFTAdapterConfiguration(rank: 1, alpha: 1, targets: modules))
      return try model.inject(method, named: name, into: selector, seed: seed)
    }
    let (rank, dropout) = (rank ?? 8, Float(dropout ?? 0))
    // PEFT's defaults are kept where it has any.
    let alpha = Float(alpha ?? (method == .loha || method == .lokr ? 8 : 16))
    switch method {
    case .lora:
      return try inject(
        LoRA(
          rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isRankStabilized,
          initialization: initialization ?? .kaiming))
    case .dora:
      return try inject(
        DoRA(rank: rank, alpha: alpha, dropout: dropout, isRankStabilized: isRankStabilized))
    case .loha: return try inject(LoHa(rank: rank, alpha: alpha))
    case .lokr: return try inject(LoKr(rank: rank, alpha: alpha))
    case .ia3: return try inject(IA3())
    case .full: throw CommandError("--method full trains no adapter")
    }
  }

  /// All linear layers; for IA3 keys, values and what leaves the feed-forward block, as its paper
  /// has it.
  private func defaultTargets(
    of model: some LanguageModel
  ) -> PEFTAdapterConfiguration.Modules {
    guard method == .ia3 else { return .allLinear }
    let isFused = model.linearLayers().contains { $0.path.hasSuffix(".c_attn") }
    return .names(isFused ? ["c_attn", "mlp.c_proj"] : ["k_proj", "v_proj", "down_proj"])
  }
}
