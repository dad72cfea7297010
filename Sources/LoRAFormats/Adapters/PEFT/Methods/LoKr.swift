import LoRAFiles
import LoRATensor

// PEFT's `LOKR`.

extension PEFTAdapterConfiguration {
  /// What LoKr has. Which of its two matrices are products of rank r, and their sizes, follow from
  /// the layer's: see ``shapes(outputs:inputs:rank:)``.
  package struct LoKr: Sendable, Hashable {
    /// The probability of dropping an output of the change while training.
    package var rankDropout: Double
    /// The probability of leaving out a layer's change while training.
    package var moduleDropout: Double
    /// Whether outputs that are kept are scaled up for those dropped (`rank_dropout_scale`).
    package var scalesRankDropout: Bool
    /// Whether convolutions are kept in Tucker form (`use_effective_conv2d`).
    package var usesTuckerForm: Bool
    /// Whether the first matrix may be a product too (`decompose_both`).
    package var decomposesBoth: Bool
    /// The wanted extent of the first matrix; -1 for one near the square root.
    package var factor: Int

    /// Creates LoKr's options.
    package init(
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
}

extension PEFTAdapterConfiguration.Method {
  /// `LOKR`.
  package static func lokr(_ options: PEFTAdapterConfiguration.LoKr) -> Self { Self(options) }
}

extension PEFTAdapterConfiguration.LoKr: PEFTMethod {
  static let peftType = "LOKR"
  static let initializationKey = "init_weights"
  static let rankKeys = PEFTRankKeys.rankAndAlpha("alpha")
  static let keys: [PEFTKey<Self>] = [
    .probability("rank_dropout", \.rankDropout),
    .probability("module_dropout", \.moduleDropout),
    .flag("rank_dropout_scale", \.scalesRankDropout),
    .flag("use_effective_conv2d", \.usesTuckerForm),
    .flag("decompose_both", \.decomposesBoth),
    .integer("decompose_factor", \.factor),
  ]
  static let parts = [
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
  ].map { PEFTPart($0) }

  init() { self.init(factor: -1) }

  // MARK: Reading

  func change(_ layer: inout PEFTLayerReader) throws(FormatError) -> KroneckerChange {
    let first = try factor("lokr_w1", core: nil, &layer)
    let second = try factor("lokr_w2", core: "lokr_t2", &layer)
    // Unlike LyCORIS PEFT scales by alpha / rank even where neither matrix is a product.
    return KroneckerChange(
      first: first, second: second, rank: layer.rank, alpha: layer.alpha, scale: layer.scale)
  }

  private func factor(
    _ name: String, core: String?, _ layer: inout PEFTLayerReader
  ) throws(FormatError) -> KroneckerChange.Factor {
    if let whole = try layer.take(name) {
      guard (core == nil ? 2...2 : 2...4).contains(whole.tensor.shape.count) else {
        throw layer.mismatch(whole, "expected [rows, columns]")
      }
      return .whole(whole.tensor)
    }
    guard layer.names["\(name)_a"] != nil || layer.names["\(name)_b"] != nil else {
      return .whole(try layer.require(name).tensor)
    }
    let rank = layer.rank
    let (a, b) = (try layer.require("\(name)_a"), try layer.require("\(name)_b"))
    let t = if let core { try layer.take(core) } else { nil as PEFTLayerReader.Part? }
    for (part, axis) in [(a, t == nil ? 1 : 0), (b, 0)] {
      guard part.tensor.shape.count == 2, part.tensor.shape[axis] == rank else {
        throw layer.mismatch(
          part, axis == 1 ? "expected [rows, \(rank)]" : "expected [\(rank), columns]",
          remedy: PEFTLayerReader.rankRemedy)
      }
    }
    guard let t else { return .product(a.tensor, b.tensor) }
    try layer.checkCore(t)
    return .tucker(a.tensor, b.tensor, core: t.tensor)
  }

  // MARK: Writing

  func tensors(
    of change: KroneckerChange, _ layer: PEFTLayerWriter
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    try layer.check(rank: nil, scale: change.scale)
    guard change.magnitude == nil else { throw layer.inexpressible("LoKr with magnitudes") }
    var result: [(part: String, tensor: Tensor)] = []
    let rank = layer.configuration.rank(forPath: layer.path)
    for (name, factor) in [("lokr_w1", change.first), ("lokr_w2", change.second)] {
      switch factor {
      case .whole(let tensor): result.append((name, tensor))
      case .product(let a, let b):
        guard a.shape[1] == rank else {
          throw layer.mismatch(
            "its factors have rank \(a.shape[1]), the configuration says \(rank)")
        }
        result += [("\(name)_a", a), ("\(name)_b", b)]
      case .tucker(let a, let b, let core):
        guard name == "lokr_w2" else { throw layer.inexpressible("core of LoKr's first matrix") }
        guard a.shape[0] == rank else {
          throw layer.mismatch(
            "its factors have rank \(a.shape[0]), the configuration says \(rank)")
        }
        result += [("\(name)_a", a), ("\(name)_b", b), ("lokr_t2", core)]
      }
    }
    return result
  }

  // MARK: Describing

  /// The rank that PEFT must be told: of a product its own, otherwise one at which PEFT too keeps
  /// both matrices whole.
  func rankAndScale(of change: KroneckerChange) -> (rank: Int, alpha: Double, scale: Double)? {
    (rank(of: change), change.alpha, change.scale)
  }

  private func rank(of change: KroneckerChange) -> Int {
    for factor in [change.first, change.second] {
      switch factor {
      case .whole: continue
      case .product(let a, _): return a.shape[1]
      case .tucker(let a, _, _): return a.shape[0]
      }
    }
    var needed = 1
    if case .whole(let tensor) = change.second {
      needed = (max(tensor.shape[0], tensor.shape[1]) + 1) / 2
    }
    if decomposesBoth, case .whole(let tensor) = change.first {
      needed = max(needed, (max(tensor.shape[0], tensor.shape[1]) + 1) / 2)
    }
    return max(needed, change.rank ?? 1)
  }

  static func describing(
    _ changes: [(path: String, change: KroneckerChange)], of description: AdapterDescription,
    keeping kept: Self?
  ) throws(FormatError) -> Self {
    let kept = kept ?? Self()
    for (path, change) in changes where change.magnitude != nil {
      throw PEFTAdapterConfiguration.withMagnitudes(path, change)
    }
    var factors = [kept.factor, -1]
    for (_, change) in changes {
      let sizes = Self.sizes(change.first)
      factors += [sizes.rows, sizes.columns].filter { !factors.contains($0) }
      if factors.count > 64 { break }
    }
    var options = kept
    options.usesTuckerForm = changes.contains {
      if case .tucker = $0.change.second { true } else { false }
    }
    for factor in factors {
      for decomposesBoth in [kept.decomposesBoth, !kept.decomposesBoth] {
        options.factor = factor
        options.decomposesBoth = decomposesBoth
        if changes.allSatisfy({ options.divides($0.change) }) { return options }
      }
    }
    options.factor = -1
    options.decomposesBoth = false
    let bad = changes.first { !options.divides($0.change) }
    throw PEFTAdapterConfiguration.inexpressible(
      "layer '\(bad?.path ?? "")'",
      "no 'decompose_factor' makes PEFT divide the weights of all layers into matrices of these "
        + "sizes")
  }

  /// The extents of the matrix that a factor makes; axes of a kernel do not count where they are
  /// apart.
  private static func sizes(_ factor: KroneckerChange.Factor) -> (rows: Int, columns: Int) {
    switch factor {
    case .whole(let tensor): (tensor.shape[0], tensor.shape[1])
    case .product(let a, let b): (a.shape[0], b.shape[1])
    case .tucker(let a, let b, _): (a.shape[1], b.shape[1])
    }
  }

  private static func isWhole(_ factor: KroneckerChange.Factor) -> Bool {
    if case .whole = factor { true } else { false }
  }

  /// Whether PEFT would divide the layer's weight as it is.
  private func divides(_ change: KroneckerChange) -> Bool {
    let (first, second) = (Self.sizes(change.first), Self.sizes(change.second))
    let (outputs, overflows) = first.rows.multipliedReportingOverflow(by: second.rows)
    let (inputs, overflowsToo) = first.columns.multipliedReportingOverflow(by: second.columns)
    guard !overflows, !overflowsToo, outputs > 0, inputs > 0 else { return false }
    let shapes = shapes(outputs: outputs, inputs: inputs, rank: rank(of: change))
    return shapes.first == first && shapes.second == second
      && shapes.isFirstWhole == Self.isWhole(change.first)
      && shapes.isSecondWhole == Self.isWhole(change.second)
  }
}

// MARK: - LoKr's sizes

extension PEFTAdapterConfiguration.LoKr {
  /// How PEFT divides a layer's weight [outputs, inputs] into C₁ ⊗ C₂.
  package struct Shapes: Sendable, Hashable {
    /// The extents of C₁.
    package var first: (rows: Int, columns: Int) { (firstRows, firstColumns) }
    /// The extents of C₂.
    package var second: (rows: Int, columns: Int) { (secondRows, secondColumns) }
    /// Whether C₁ is kept whole rather than as a product.
    package var isFirstWhole: Bool
    /// Whether C₂ is.
    package var isSecondWhole: Bool

    var firstRows: Int
    var firstColumns: Int
    var secondRows: Int
    var secondColumns: Int
  }

  /// How PEFT divides the weight of a layer with `outputs` and `inputs` (channels for convolutions)
  /// at rank `rank`. Traps if one is not above 0.
  ///
  /// Source: the rule that LyCORIS and PEFT share, of Yeh et al., 2024.
  package func shapes(outputs: Int, inputs: Int, rank: Int) -> Shapes {
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
