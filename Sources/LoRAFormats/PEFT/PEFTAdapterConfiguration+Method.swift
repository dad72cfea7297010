import LoRATensor

extension PEFTAdapterConfiguration {
  /// A method that PEFT knows and this library supports, with what only that method has.
  public enum Method: Sendable, Hashable {
    /// `LORA`: LoRA, rsLoRA and DoRA.
    case lora(LoRA)
    /// `LOHA`.
    case loha(LoHa)
    /// `LOKR`.
    case lokr(LoKr)
    /// `IA3`.
    case ia3(IA3)

    /// PEFT's name of it, its `peft_type`.
    public var peftType: String {
      switch self {
      case .lora: "LORA"
      case .loha: "LOHA"
      case .lokr: "LOKR"
      case .ia3: "IA3"
      }
    }

    /// The names of all supported methods.
    static let supported = ["LORA", "LOHA", "LOKR", "IA3"]
  }

  /// What only LoRA has.
  public struct LoRA: Sendable, Hashable {
    /// Which of the base's biases were trained along, and are saved (`bias`).
    public enum Biases: String, Sendable, Hashable {
      /// None.
      case none
      /// Those of the layers with an adapter.
      case adapted = "lora_only"
      /// All of the model.
      case all
    }

    /// Tokens whose rows of an embedding were trained (`trainable_token_indices`).
    public enum TrainedTokens: Sendable, Hashable {
      /// Of the model's input embedding.
      case ofInput([Int])
      /// By embedding: each key is the end of a module's path.
      case byModule([Override<[Int]>])
    }

    /// The probability of dropping an input of the factors while training.
    public var dropout: Double
    /// Whether the scale is alpha / √rank (`use_rslora`).
    public var usesRankStabilizedScale: Bool
    /// Whether the norms of weights are trained apart (`use_dora`).
    public var isDoRA: Bool
    /// Whether the base keeps its weights as [in, out], as GPT-2 does (`fan_in_fan_out`). The
    /// factors in the file are the same either way.
    public var hasTransposedBase: Bool
    /// Which of the base's biases are saved along.
    public var biases: Biases
    /// Whether B has a bias of its own (`lora_bias`).
    public var hasFactorBias: Bool
    /// The tokens whose embeddings were trained.
    public var trainedTokens: TrainedTokens?
    /// Whether adapters of layers that share a weight share theirs (`ensure_weight_tying`).
    public var keepsWeightsTied: Bool

    /// Creates LoRA's options.
    public init(
      dropout: Double = 0, usesRankStabilizedScale: Bool = false, isDoRA: Bool = false,
      hasTransposedBase: Bool = false, biases: Biases = .none, hasFactorBias: Bool = false,
      trainedTokens: TrainedTokens? = nil, keepsWeightsTied: Bool = false
    ) {
      self.dropout = dropout
      self.usesRankStabilizedScale = usesRankStabilizedScale
      self.isDoRA = isDoRA
      self.hasTransposedBase = hasTransposedBase
      self.biases = biases
      self.hasFactorBias = hasFactorBias
      self.trainedTokens = trainedTokens
      self.keepsWeightsTied = keepsWeightsTied
    }
  }

  /// What LoHa has.
  public struct LoHa: Sendable, Hashable {
    /// The probability of dropping an output of the change while training.
    public var rankDropout: Double
    /// The probability of leaving out a layer's change while training.
    public var moduleDropout: Double
    /// Whether convolutions are kept in Tucker form (`use_effective_conv2d`).
    public var usesTuckerForm: Bool

    /// Creates LoHa's options.
    public init(
      rankDropout: Double = 0, moduleDropout: Double = 0, usesTuckerForm: Bool = false
    ) {
      self.rankDropout = rankDropout
      self.moduleDropout = moduleDropout
      self.usesTuckerForm = usesTuckerForm
    }
  }

  /// What LoKr has. Which of its two matrices are products of rank r, and their sizes, follow from
  /// the layer's: see ``shapes(outputs:inputs:rank:)``.
  public struct LoKr: Sendable, Hashable {
    /// The probability of dropping an output of the change while training.
    public var rankDropout: Double
    /// The probability of leaving out a layer's change while training.
    public var moduleDropout: Double
    /// Whether outputs that are kept are scaled up for those dropped (`rank_dropout_scale`).
    public var scalesRankDropout: Bool
    /// Whether convolutions are kept in Tucker form (`use_effective_conv2d`).
    public var usesTuckerForm: Bool
    /// Whether the first matrix may be a product too (`decompose_both`).
    public var decomposesBoth: Bool
    /// The wanted extent of the first matrix; -1 for one near the square root.
    public var factor: Int

    /// Creates LoKr's options.
    public init(
      rankDropout: Double = 0, moduleDropout: Double = 0, scalesRankDropout: Bool = false,
      usesTuckerForm: Bool = false, decomposesBoth: Bool = false, factor: Int = -1
    ) {
      self.rankDropout = rankDropout
      self.moduleDropout = moduleDropout
      self.scalesRankDropout = scalesRankDropout
      self.usesTuckerForm = usesTuckerForm
      self.decomposesBoth = decomposesBoth
      self.factor = factor
    }
  }

  /// What IA3 has.
  public struct IA3: Sendable, Hashable {
    /// The modules whose inputs are scaled rather than their outputs (`feedforward_modules`). As in
    /// PEFT a name is any end of a path, here not only after a dot.
    public var feedForward: Modules
    /// Whether the base keeps its weights as [in, out], as GPT-2 does (`fan_in_fan_out`).
    public var hasTransposedBase: Bool

    /// Creates IA3's options.
    public init(feedForward: Modules, hasTransposedBase: Bool = false) {
      self.feedForward = feedForward
      self.hasTransposedBase = hasTransposedBase
    }
  }
}

// MARK: - LoKr's sizes

extension PEFTAdapterConfiguration.LoKr {
  /// How PEFT divides a layer's weight [outputs, inputs] into C₁ ⊗ C₂.
  public struct Shapes: Sendable, Hashable {
    /// The extents of C₁.
    public var first: (rows: Int, columns: Int) { (firstRows, firstColumns) }
    /// The extents of C₂.
    public var second: (rows: Int, columns: Int) { (secondRows, secondColumns) }
    /// Whether C₁ is kept whole rather than as a product.
    public var isFirstWhole: Bool
    /// Whether C₂ is.
    public var isSecondWhole: Bool

    var firstRows: Int
    var firstColumns: Int
    var secondRows: Int
    var secondColumns: Int
  }

  /// How PEFT divides the weight of a layer with `outputs` and `inputs` (channels for convolutions)
  /// at rank `rank`. Traps if one is not above 0.
  ///
  /// Source: the rule that LyCORIS and PEFT share, of Yeh et al., 2024.
  public func shapes(outputs: Int, inputs: Int, rank: Int) -> Shapes {
    require(
      outputs > 0 && inputs > 0 && rank > 0,
      "LoKr of \(outputs) outputs, \(inputs) inputs and rank \(rank): all must be above 0")
    let (firstRows, secondRows) = Self.divided(outputs, near: factor)
    let (firstColumns, secondColumns) = Self.divided(inputs, near: factor)
    // A product is taken where it is smaller: 2 r < the larger side.
    let isSmall = rank <= Int.max / 2
    return Shapes(
      isFirstWhole: !(decomposesBoth && isSmall && 2 * rank < max(firstRows, firstColumns)),
      isSecondWhole: !(isSmall && 2 * rank < max(secondRows, secondColumns)),
      firstRows: firstRows, firstColumns: firstColumns, secondRows: secondRows,
      secondColumns: secondColumns)
  }

  /// Two numbers whose product is `size`: `factor` and the rest where that divides it, otherwise the
  /// pair of smallest sum whose smaller one is at most `factor` (-1: any).
  static func divided(_ size: Int, near factor: Int) -> (Int, Int) {
    if factor > 0, size % factor == 0 { return (factor, size / factor) }
    let limit = factor == -1 ? size : factor
    var best = (1, size)
    var divisor = 2
    while divisor <= limit, divisor <= size / divisor {
      if size % divisor == 0 { best = (divisor, size / divisor) }
      divisor += 1
    }
    return best
  }
}
