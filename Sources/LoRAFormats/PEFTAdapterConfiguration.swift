package import LoRAJSON

/// The recipe of a LoRA adapter: PEFT's `adapter_config.json`.
///
/// ```swift
/// var recipe = PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .names(["q_proj", "v_proj"]))
/// recipe.matches(path: "model.layers.0.self_attn.q_proj")  // true
/// recipe.scale(forPath: "model.layers.0.self_attn.q_proj") // 2.0
/// ```
///
/// Fields that this library does not know are kept and written again. Fields that change what the
/// adapter computes in ways that are not supported are refused by name.
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
    /// `true`: A uniform as Kaiming's with a = √5, B zero.
    case standard
    /// `false`: both random.
    case random
    /// One of PEFT's names that leaves the base as it is, "gaussian" or "orthogonal" for example.
    case named(String)
  }

  /// The rank, `r`, from 1.
  public var rank: Int
  /// `lora_alpha`: the product of the factors is scaled by alpha / rank.
  public var alpha: Double
  /// The probability of dropping an input of the factors while training.
  public var dropout: Double
  /// Which modules get an adapter.
  public var targets: Modules
  /// Which do not in spite of that: names or a pattern.
  public var excluded: Modules?
  /// Whether the scale is alpha / √rank.
  public var usesRankStabilizedScale: Bool
  /// Ranks of single modules; the first key that matches counts.
  public var rankPattern: [Override<Int>]
  /// Alphas of single modules; the first key that matches counts.
  public var alphaPattern: [Override<Double>]
  /// The layers, by index, that `targets` is restricted to, where it is a list of names.
  public var layersToTransform: [Int]?
  /// What precedes a layer's index in paths, as in "layers"; empty: anything.
  public var layersPattern: [String]
  /// How the factors start.
  public var initialization: Initialization
  /// What the adapter is for, as in "CAUSAL_LM".
  public var taskType: String?
  /// The model that the adapter was made for: a path or a name on the hub.
  public var baseModelName: String?
  /// The base's revision on the hub.
  public var revision: String?
  /// Whether the adapter was saved for use rather than for more training.
  public var isForInference: Bool

  /// The object as it was read, for the fields that this type does not hold.
  package var original: JSONObject = [:]

  /// Creates a recipe.
  public init(
    rank: Int, alpha: Double, dropout: Double = 0, targets: Modules,
    usesRankStabilizedScale: Bool = false, taskType: String? = "CAUSAL_LM",
    baseModelName: String? = nil
  ) {
    self.rank = rank
    self.alpha = alpha
    self.dropout = dropout
    self.targets = targets
    self.usesRankStabilizedScale = usesRankStabilizedScale
    self.taskType = taskType
    self.baseModelName = baseModelName
    rankPattern = []
    alphaPattern = []
    layersPattern = []
    initialization = .standard
    isForInference = true
  }
}

// MARK: - Matching

extension PEFTAdapterConfiguration {
  /// Whether the module at `path` gets an adapter. Under `allLinear` every path that is not excluded
  /// does: the caller passes linear layers that are not the output head. Nothing matches
  /// `unspecified`.
  public func matches(path: String) -> Bool {
    switch excluded {
    case .names(let names): if names.contains(where: { isPath(path, namedBy: $0) }) { return false }
    case .pattern(let text): if PathPattern(unchecked: text).matchesWhole(path) { return false }
    case .allLinear, .unspecified, nil: break
    }
    switch targets {
    case .unspecified: return false
    case .allLinear: return true
    case .pattern(let text): return PathPattern(unchecked: text).matchesWhole(path)
    case .names(let names):
      // As in PEFT, a path given in full is not subject to the restriction to layers.
      if names.contains(where: { $0.utf8.elementsEqual(path.utf8) }) { return true }
      guard names.contains(where: { isPath(path, namedBy: $0) }) else { return false }
      guard let layersToTransform, !layersToTransform.isEmpty else { return true }
      guard let layer = layerIndex(of: path) else { return false }
      return layersToTransform.contains(layer)
    }
  }

  /// The index of the layer that `path` lies in.
  private func layerIndex(of path: String) -> Int? {
    if !layersPattern.isEmpty {
      for pattern in layersPattern {
        let full = PathPattern(unchecked: #"(?:^|.*?\.)\#(pattern)\.(?P<idx>\d+)\."#)
        if let index = full.group("idx", atStartOf: path) { return Int(index) }
      }
      return nil
    }
    // The first number that has two names before it and one after it.
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    for part in parts.dropFirst(2).dropLast() {
      if !part.isEmpty, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return Int(part) }
    }
    return nil
  }

  private static func value<Value>(_ overrides: [Override<Value>], for path: String) -> Value? {
    overrides.first { override in
      isPath(path, namedBy: override.key)
        || PathPattern(unchecked: #"(.*\.)?(\#(override.key))$"#).matchesWhole(path)
    }?.value
  }

  /// The rank of the adapter on the module at `path`.
  public func rank(forPath path: String) -> Int { Self.value(rankPattern, for: path) ?? rank }

  /// The alpha of the adapter on the module at `path`.
  public func alpha(forPath path: String) -> Double { Self.value(alphaPattern, for: path) ?? alpha }

  /// What the product of the factors on the module at `path` is multiplied by.
  public func scale(forPath path: String) -> Double {
    scale(alpha: alpha(forPath: path), rank: rank(forPath: path))
  }

  /// What the product of factors of rank `rank` is multiplied by.
  public func scale(alpha: Double, rank: Int) -> Double {
    usesRankStabilizedScale ? alpha / Double(rank).squareRoot() : alpha / Double(rank)
  }
}
