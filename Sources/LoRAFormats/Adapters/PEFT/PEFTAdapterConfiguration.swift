package import LoRAJSON

/// The recipe of an adapter as PEFT knows it: `adapter_config.json` of LoRA, LoHa, LoKr or IA3.
///
/// ```swift
/// var recipe = PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .names(["q_proj", "v_proj"]))
/// try model.inject(recipe, named: "support")
/// ```
///
/// Fields that this library does not know are kept and written again. Fields that change what the
/// adapter computes in ways that are not supported are refused by name, as are other methods.
public struct PEFTAdapterConfiguration: Sendable, Hashable {
  /// A choice of modules by their paths.
  public enum Modules: Sendable, Hashable {
    /// Each name is a module's whole path, or the end of one after a dot.
    case names([String])
    /// A regular expression that must match the whole path.
    case pattern(String)
    /// Every linear layer but the output head.
    case allLinear
    /// What PEFT takes for the architecture; saved adapters name their modules.
    case unspecified
  }

  /// A value for the modules whose path matches `(.*\.)?(key)$`.
  public struct Override<Value: Sendable & Hashable>: Sendable, Hashable {
    /// The end of the paths, a regular expression.
    public var key: String
    /// What holds for them.
    public var value: Value

    /// Creates an override.
    public init(key: String, value: Value) {
      self.key = key
      self.value = value
    }
  }

  /// How the factors start.
  public enum Initialization: Sendable, Hashable {
    /// `true`: no effect. LoRA's A is uniform as Kaiming's with a = √5, B zero.
    case standard
    /// `false`: all factors random.
    case random
    /// One of PEFT's names, "gaussian" or "pissa" for example.
    case named(String)

    /// Whether starting this way takes a part out of the base's weights, so that what is trained
    /// afterwards fits the changed base alone: PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA.
    package var changesBase: Bool {
      guard case .named(let name) = self else { return false }
      return name.hasPrefix("pissa") || ["olora", "corda", "loftq", "lora_ga"].contains(name)
    }
  }

  /// Which method, with what only that has.
  public var method: Method
  /// The rank, `r`, from 1. IA3 has none.
  public var rank: Int
  /// `lora_alpha` of LoRA, `alpha` of LoHa and LoKr: what the factors make is scaled by
  /// alpha / rank. IA3 has none.
  public var alpha: Double
  /// Which modules get an adapter.
  public var targets: Modules
  /// Which do not in spite of that: names or a pattern.
  public var excluded: Modules?
  /// Ranks of single modules; the first key that matches counts.
  public var rankPattern: [Override<Int>]
  /// Alphas of single modules; the first key that matches counts.
  public var alphaPattern: [Override<Double>]
  /// The layers, by index, that `targets` is restricted to, where it is a list of names.
  public var layersToTransform: [Int]?
  /// What precedes a layer's index in paths, as in "layers"; empty: anything.
  public var layersPattern: [String]
  /// Modules that are trained and saved whole beside the adapter (`modules_to_save`), by the end of
  /// their paths.
  public var savedModules: [String]
  /// How the factors start.
  public var initialization: Initialization
  /// What the adapter is for, as in "CAUSAL_LM".
  public var taskType: String?
  /// The model that the adapter was made for: a path or a name on the hub.
  public var baseModelName: String?
  /// The base's revision on the hub.
  package var revision: String?
  /// Whether the adapter was saved for use rather than for more training.
  package var isForInference: Bool

  /// The object as it was read, for the fields that this type does not hold.
  package var original: JSONObject = [:]

  /// Creates a recipe of any method.
  public init(
    method: Method, rank: Int = 8, alpha: Double = 8, targets: Modules,
    taskType: String? = "CAUSAL_LM", baseModelName: String? = nil
  ) {
    self.method = method
    self.rank = rank
    self.alpha = alpha
    self.targets = targets
    self.taskType = taskType
    self.baseModelName = baseModelName
    rankPattern = []
    alphaPattern = []
    layersPattern = []
    savedModules = []
    initialization = .standard
    isForInference = true
  }

  /// Creates a LoRA recipe.
  public init(
    rank: Int, alpha: Double, dropout: Double = 0, targets: Modules,
    usesRankStabilizedScale: Bool = false, taskType: String? = "CAUSAL_LM",
    baseModelName: String? = nil
  ) {
    self.init(
      method: .lora(LoRA(dropout: dropout, usesRankStabilizedScale: usesRankStabilizedScale)),
      rank: rank, alpha: alpha, targets: targets, taskType: taskType, baseModelName: baseModelName)
  }

  /// The probability of dropping an input of the adapter while training; 0 for methods without.
  package var dropout: Double { method.options.dropout }
}
