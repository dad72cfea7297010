public import ArgumentParser
import LoRAFormats
public import LoRAKit
import LoRAModels

/// What is trained: an adapter of one of the methods, or with `full` the model itself.
struct TrainingMethod: ExpressibleByArgument, Hashable, Sendable, CustomStringConvertible {
  /// The name, as in "lora".
  let description: String

  static let lora = TrainingMethod(description: "lora")
  static let full = TrainingMethod(description: "full")

  /// The recipe of an adapter; nil where none is trained.
  var recipe: TrainingRecipe? { TrainingRecipe.all.first { $0.name == description } }

  /// Whether an adapter of the method has this hyperparameter.
  func has(_ hyperparameter: TrainingRecipe.Hyperparameter) -> Bool {
    recipe?.hyperparameters.contains(hyperparameter) ?? false
  }

  private init(description: String) { self.description = description }

  init?(argument: String) {
    guard Self.allValueStrings.contains(argument) else { return nil }
    description = argument
  }

  static var allValueStrings: [String] { TrainingRecipe.all.map(\.name) + ["full"] }
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
  var virtualTokens: Int?
  var targets: PEFTAdapterConfiguration.Modules?

  /// The flags among these that the method has no use for.
  var meaningless: [String] {
    [
      ("--rank", rank != nil && !method.has(.rank)),
      ("--alpha", alpha != nil && !method.has(.alpha)),
      ("--dropout", dropout != nil && !method.has(.dropout)),
      ("--rslora", isRankStabilized && !method.has(.rankStabilization)),
      ("--init", initialization != nil && !method.has(.initialization)),
      ("--virtual-tokens", virtualTokens != nil && !method.has(.virtualTokens)),
      ("--targets", targets != nil && (method == .full || method.has(.virtualTokens))),
    ].filter(\.1).map(\.0)
  }

  /// Throws for a hyperparameter that nothing can be learned with, before any model is opened.
  func check() throws(AdapterError) {
    guard let recipe = method.recipe, method.has(.rank) else { return }
    try LoRA.check(
      rank: rank ?? recipe.rank, alpha: alpha ?? recipe.alpha, dropout: dropout ?? 0,
      isRankStabilized: isRankStabilized)
  }

  /// The recipe as PEFT writes it down, for `model`.
  func configuration(for model: any PretrainedTokenModel) -> PEFTAdapterConfiguration {
    let recipe = method.recipe ?? TrainingRecipe.all[0]
    var values = TrainingRecipe.Values()
    values.dropout = dropout ?? values.dropout
    values.isRankStabilized = isRankStabilized
    values.virtualTokens = virtualTokens ?? values.virtualTokens
    var result = PEFTAdapterConfiguration(
      method: recipe.options(values), rank: rank ?? recipe.rank,
      alpha: alpha ?? recipe.alpha, targets: targets ?? recipe.targets(model))
    recipe.complete(&result, model)
    if let initialization, initialization != .kaiming {
      result.initialization = .named(initialization.rawValue)
    }
    return result
  }
}
