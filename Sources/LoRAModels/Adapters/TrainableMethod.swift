package import LoRAFormats
package import LoRATensor

/// A method of PEFT's configurations of which fresh adapters are made. The options of a method conform
/// in the file of its adapter.
package protocol TrainableMethod: OfferedMethod {
  /// How many pairs of factors of its rank a layer gets; nil where the rank alone does not say how
  /// large they are.
  var factorPairs: Int? { get }
  /// Throws for options that an injection would leave out; by default for another start than the
  /// standard one.
  func checkTrainable(_ configuration: PEFTAdapterConfiguration) throws(AdapterError)
  /// The recipe for the layer at `path`.
  func recipe(
    forPath path: String, of configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> any AdapterMethod
}

/// A method of PEFT's configurations that makes an adapter of a whole model.
package protocol TrainableModelMethod: OfferedMethod {
  /// The fresh adapter of `model`. Throws for options that can't be trained.
  func makeAdapter(
    for model: any VirtualTokenModel, using random: inout SeededRandom
  ) throws(AdapterError) -> any LinearAdapter
}

/// A method of PEFT's configurations as the command line offers it.
package protocol OfferedMethod: Sendable {
  /// The recipes, by name.
  static var recipes: [TrainingRecipe] { get }
  /// The name of the one of ``recipes`` that these options are.
  var recipeName: String { get }
}

extension OfferedMethod {
  package var recipeName: String { Self.recipes[0].name }
}

extension TrainableMethod {
  package var factorPairs: Int? { nil }

  package func checkTrainable(_ configuration: PEFTAdapterConfiguration) throws(AdapterError) {
    try configuration.demandStandardInitialization()
  }
}

/// A method as the command line offers it: which hyperparameters it has, and the configuration that
/// they make.
package struct TrainingRecipe: Sendable {
  /// A hyperparameter that a method may have.
  package enum Hyperparameter: Sendable {
    case rank, alpha, dropout, rankStabilization, initialization, virtualTokens
  }

  /// Hyperparameters that PEFT has among a method's options.
  package struct Values: Sendable {
    package var dropout = 0.0
    package var isRankStabilized = false
    package var virtualTokens = 20

    package init() {}
  }

  /// The name, as in "lora".
  package let name: String
  /// The hyperparameters that it has.
  package let hyperparameters: Set<Hyperparameter>
  /// The rank where none is given.
  package let rank: Int
  /// The alpha where none is given.
  package let alpha: Double
  /// The options of PEFT's method.
  package let options: @Sendable (Values) -> PEFTAdapterConfiguration.Method
  /// The targets where none are given.
  package let targets: @Sendable (any Module) -> PEFTAdapterConfiguration.Modules
  /// What else the configuration says for a model.
  package let complete: @Sendable (inout PEFTAdapterConfiguration, any Module) -> Void

  package init(
    name: String, hyperparameters: Set<Hyperparameter>, rank: Int = 8, alpha: Double = 16,
    targets: @escaping @Sendable (any Module) -> PEFTAdapterConfiguration.Modules = { _ in
      .allLinear
    },
    complete: @escaping @Sendable (inout PEFTAdapterConfiguration, any Module) -> Void = { _, _ in
    },
    options: @escaping @Sendable (Values) -> PEFTAdapterConfiguration.Method
  ) {
    self.name = name
    self.hyperparameters = hyperparameters
    self.rank = rank
    self.alpha = alpha
    self.options = options
    self.targets = targets
    self.complete = complete
  }

  /// A recipe whose one hyperparameter is the number of virtual tokens; `options` makes PEFT's options
  /// of it.
  package static func ofVirtualTokens(
    named name: String,
    options: @escaping @Sendable (_ count: Int) -> PEFTAdapterConfiguration.Method
  ) -> TrainingRecipe {
    TrainingRecipe(
      name: name, hyperparameters: [.virtualTokens], targets: { _ in .unspecified }
    ) {
      options($0.virtualTokens)
    }
  }

  /// All that there are.
  package static let all: [TrainingRecipe] = PEFTAdapterConfiguration.Method.types.flatMap {
    ($0 as? any OfferedMethod.Type)?.recipes ?? []
  }
}

extension PEFTAdapterConfiguration {
  /// The options of the method, if it can be trained.
  var trainable: (any TrainableMethod)? { method.anyOptions as? any TrainableMethod }

  /// The name of the recipe that the configuration is one of, as in "dora".
  package var recipeName: String {
    (method.anyOptions as? any OfferedMethod)?.recipeName ?? method.peftType.lowercased()
  }

  /// Throws for a rank, alpha or dropout that nothing can be learned with.
  func checkScale(forPath path: String) throws(AdapterError) {
    try LoRAModels.LoRA.check(
      rank: rank(forPath: path), alpha: alpha(forPath: path), dropout: dropout,
      isRankStabilized: usesRankStabilizedScale)
  }

  /// Throws unless the parameters start as usual.
  func demandStandardInitialization() throws(AdapterError) {
    guard initialization == .standard else {
      throw unusableInitialization("the standard initialization, true")
    }
  }

  /// Throws for what LoHa and LoKr can drop of a change while training, and unless the parameters start
  /// as usual.
  func demandPlainTraining(rankDropout: Double, moduleDropout: Double) throws(AdapterError) {
    try AdapterError.refuse(rankDropout > 0, "rank_dropout", "\(rankDropout)")
    try AdapterError.refuse(moduleDropout > 0, "module_dropout", "\(moduleDropout)")
    try demandStandardInitialization()
  }

  func unusableInitialization(_ expected: String) -> AdapterError {
    .invalidValue(
      parameter: method.initializationKey, value: "\(initialization)", expected: expected)
  }
}

extension AdapterError {
  /// Throws for a hyperparameter that nothing can be learned with.
  static func demand(
    _ isUsable: Bool, _ parameter: String, _ value: some Sendable, _ expected: String
  ) throws(AdapterError) {
    if !isUsable {
      throw .invalidValue(parameter: parameter, value: "\(value)", expected: expected)
    }
  }

  /// Throws if something is asked for that can't be trained.
  static func refuse(
    _ isThere: Bool, _ parameter: String, _ value: String
  ) throws(AdapterError) {
    if isThere {
      throw .invalidValue(
        parameter: parameter, value: value, expected: "none: that can't be trained here yet")
    }
  }
}
