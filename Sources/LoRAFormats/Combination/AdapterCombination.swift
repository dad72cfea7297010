import LoRAFiles
import LoRATensor

/// One adapter made of several, each with a weight, as PEFT's `add_weighted_adapter` makes it.
///
/// ```swift
/// let sum = try AdapterCombination(.cat).combine([
///   .init(support, weight: 0.7, name: "support"), .init(polite, weight: -0.2, name: "polite"),
/// ])
/// ```
///
/// Which one to take:
/// - **`cat`** is the weighted sum of the adapters, exactly: Σ wᵢ sᵢ Bᵢ Aᵢ. Its rank is the sum of
///   theirs. It computes what enabling the adapters together with these strengths computes.
/// - **`svd`** is the nearest adapter of a chosen rank to that sum.
/// - **`linear`** is *not* the sum: it adds the factors themselves, so its product
///   (Σ √wᵢ Bᵢ)(Σ √wᵢ Aᵢ) has a term √(wᵢ wⱼ) Bᵢ Aⱼ for every pair of adapters besides the sum.
///   Those cross terms mean nothing unless the adapters were trained from the same A. It is cheap and
///   keeps the rank; of one adapter it is exact.
/// - **`ties`**, **`dareLinear`**, **`dareTIES`** and **`magnitudePrune`** drop part of the numbers
///   first, of the factors (cross terms again) or, in their `SVD` forms, of the whole products.
///
/// Layers that only some of the adapters have are combined from those. A result has the scale 1: its
/// factors hold the weights. One adapter alone is combined linearly, whatever the method. The random
/// draws of the DARE methods follow from the seed, the layer's path and the adapter's place in the
/// list, and from nothing else. PEFT lets the first adapter's `use_rslora` scale the result once more, by
/// the root of its rank; here `cat` is the sum whichever adapters are rank-stabilized.
///
/// Sources: PEFT 0.21; Yadav et al., *TIES-merging*, 2023; Yu et al., *Language models are super
/// Mario* (DARE), 2024.
public struct AdapterCombination: Sendable {
  /// How adapters become one; the raw values are PEFT's names.
  public enum Method: String, Sendable, Hashable, CaseIterable {
    /// The factors added, each times the root of its weight. Needs equal ranks.
    case linear
    /// The factors side by side: the sum.
    case cat
    /// The nearest adapter of a given rank to the sum.
    case svd
    /// The largest numbers of the factors, those whose sign the majority has, averaged.
    case ties
    /// The same of the whole products, decomposed.
    case tiesSVD = "ties_svd"
    /// Random numbers of the factors, made larger by what was dropped, added.
    case dareLinear = "dare_linear"
    /// The same of the whole products, decomposed.
    case dareLinearSVD = "dare_linear_svd"
    /// Random numbers of the factors, those whose sign the majority has, averaged.
    case dareTIES = "dare_ties"
    /// The same of the whole products, decomposed.
    case dareTIESSVD = "dare_ties_svd"
    /// The largest numbers of the factors, added.
    case magnitudePrune = "magnitude_prune"
    /// The same of the whole products, decomposed.
    case magnitudePruneSVD = "magnitude_prune_svd"

    /// Whether it works on whole products and decomposes the result, to a rank of one's choice.
    package var decomposes: Bool { rawValue.hasSuffix("svd") }
    /// Whether it drops numbers, and so needs a density.
    package var prunes: Bool { ![.linear, .cat, .svd].contains(self) }
    /// Whether it drops numbers at random, and so depends on the seed.
    package var isRandom: Bool { rawValue.hasPrefix("dare") }
    /// Whether it elects a sign for every number.
    package var electsSigns: Bool {
      [.ties, .tiesSVD, .dareTIES, .dareTIESSVD].contains(self)
    }
  }

  /// How TIES elects the sign of a number.
  public enum MajoritySign: String, Sendable, Hashable, CaseIterable {
    /// The sign of the sum of the adapters' numbers.
    case total
    /// The sign that most adapters have.
    case frequency
  }

  /// What becomes of parameters and token vectors that an adapter replaces whole, which no weight
  /// applies to.
  public enum Replacements: String, Sendable, Hashable, CaseIterable {
    /// They are an error.
    case refused
    /// They are taken over as they are. Two adapters that replace the same are an error still.
    case kept
    /// They are left out, as PEFT leaves them out. Two adapters that replace the same are an error
    /// still, as in PEFT.
    case dropped
  }

  /// An adapter to combine.
  public struct Part: Sendable {
    /// The adapter.
    public var adapter: AdapterDescription
    /// How much of it; negative to take it away.
    public var weight: Double
    /// What errors call it.
    public var name: String

    /// Creates a part.
    public init(_ adapter: AdapterDescription, weight: Double = 1, name: String) {
      self.adapter = adapter
      self.weight = weight
      self.name = name
    }
  }

  /// How the adapters become one.
  public var method: Method
  /// The rank of what is decomposed; nil for the largest rank of the adapters, as in PEFT. A layer's
  /// smaller side limits it. Other methods do not look at it.
  public var rank: Int?
  /// The share of the numbers that pruning keeps, from 0 (above 0 if at random) to 1. Methods that
  /// prune need it, others do not look at it.
  public var density: Double?
  /// How signs are elected.
  public var majoritySign: MajoritySign
  /// What random draws depend on.
  public var seed: UInt64
  /// What becomes of parameters that are replaced whole.
  public var replacements: Replacements

  /// Creates a way to combine.
  public init(
    _ method: Method, rank: Int? = nil, density: Double? = nil,
    majoritySign: MajoritySign = .total, seed: UInt64 = 0, replacements: Replacements = .refused
  ) {
    self.method = method
    self.rank = rank
    self.density = density
    self.majoritySign = majoritySign
    self.seed = seed
    self.replacements = replacements
  }
}

extension AdapterCombination {
  /// The combination of `parts`.
  ///
  /// Refuses what PEFT refuses (different ranks where factors are added, a missing or negative
  /// density, two adapters that replace one module), and what PEFT takes and computes something else
  /// with: DoRA's magnitudes, biases of factors, replaced modules (see ``Replacements``).
  public func combine(_ parts: [Part]) throws(CombinationError) -> AdapterDescription {
    try checkOptions(parts)
    let method = parts.count == 1 ? .linear : method
    let layers = try Self.layers(of: parts)
    let largest = layers.flatMap(\.shares).map(\.change.rank).max() ?? 0
    if !method.decomposes, method != .cat {
      let ranks = parts.map { part in part.adapter.layers.compactMap(\.lowRank?.rank).max() ?? 0 }
      guard Set(ranks).count == 1 else {
        throw rankMismatch(zip(parts, ranks).map { ($0.name, $1) })
      }
    }
    let (replaced, tokens) = try replaced(by: parts)
    let combined = try Self.forEach(layers) { layer throws(CombinationError) in
      let result = try combine(layer, by: method, rank: rank ?? largest)
      try Self.checkNumbers(of: result, made: layer)
      return result
    }
    return AdapterDescription(layers: combined, replacements: replaced, replacedTokens: tokens)
  }

  /// What the adapters have of one layer.
  struct LayerShares: Sendable {
    /// An adapter's factors, made matrices where they are those of a convolution.
    struct Share: Sendable {
      /// The adapter's place in the list.
      let index: Int
      let name: String
      let change: LowRankChange
      /// The adapter's weight.
      let partWeight: Double
      /// That times the layer's scale.
      var weight: Double { partWeight * change.scale }

      var a: Tensor { change.a.reshaped(to: [change.rank, change.a.elementCount / change.rank]) }
      var b: Tensor { change.b.reshaped(to: [change.outputSize, change.rank]) }
    }

    let path: String
    var shares: [Share] = []

    /// The number of elements of the layer's weight.
    var elementCount: Int {
      shares.first.map { $0.change.outputSize * ($0.change.a.elementCount / $0.change.rank) } ?? 0
    }
  }

  private func checkOptions(_ parts: [Part]) throws(CombinationError) {
    func refuse(_ option: String, _ problem: String, _ remedy: String) -> CombinationError {
      CombinationError(.invalidOption, subject: option, problem: problem, remedy: remedy)
    }
    guard !parts.isEmpty else {
      throw CombinationError(
        .empty, problem: "there are no adapters to combine", remedy: "give at least one")
    }
    for part in parts where !part.weight.isFinite {
      throw refuse("weight of '\(part.name)'", "\(part.weight) is no number", "give a finite one")
    }
    for part in parts where part.adapter.layers.isEmpty {
      throw CombinationError(
        .empty, subject: "adapter '\(part.name)'", problem: "it has no layers to combine",
        remedy: "leave it out")
    }
    if parts.count == 1 { return }
    if method.decomposes, let rank, rank < 1 {
      throw refuse("rank", "\(rank) is not one", "give a rank of at least 1")
    }
    guard method.prunes else { return }
    guard let density else {
      throw refuse(
        "density", "\(method.rawValue) needs the share of the numbers to keep, and none was given",
        "give a density from 0 to 1, 0.5 for example")
    }
    guard density >= 0, density.isFinite, density > 0 || !method.isRandom else {
      throw refuse(
        "density", "\(density) is not a share of the numbers to keep",
        "give one \(method.isRandom ? "above 0 and up to" : "from 0 to") 1")
    }
  }

  /// The refusal to add factors of different ranks, of one layer or at all.
  func rankMismatch(
    _ ranks: [(name: String, rank: Int)], layer: String? = nil
  ) -> CombinationError {
    let text = ranks.map { "'\($0.name)' \($0.rank)" }.joined(separator: ", ")
    return CombinationError(
      .rankMismatch, subject: layer.map { "layer '\($0)'" } ?? "",
      problem: "\(method.rawValue) adds factors, which must have one rank; these have: \(text)",
      remedy: "combine them by cat, or by \(method == .linear ? "svd" : method.rawValue + "_svd")")
  }

  /// The layers that any adapter has, with what each has of them.
  private static func layers(of parts: [Part]) throws(CombinationError) -> [LayerShares] {
    var layers: [LayerShares] = []
    var places: [ExactName: Int] = [:]
    for (index, part) in parts.enumerated() {
      for layer in part.adapter.layers {
        let change = try combinable(layer, adapter: part.name)
        let place = places[ExactName(layer.path)] ?? layers.count
        if place == layers.count {
          places[ExactName(layer.path)] = place
          layers.append(LayerShares(path: layer.path))
        }
        if let first = layers[place].shares.first {
          try check(change, of: part.name, isLike: first, path: layer.path)
        }
        layers[place].shares.append(
          .init(
            index: index, name: part.name, change: change, partWeight: part.weight))
      }
    }
    return layers
  }

  private static func check(
    _ change: LowRankChange, of name: String, isLike first: LayerShares.Share, path: String
  ) throws(CombinationError) {
    let same =
      change.outputSize == first.change.outputSize
      && change.a.shape.dropFirst().elementsEqual(first.change.a.shape.dropFirst())
    guard same, change.isEmbedding == first.change.isEmbedding else {
      throw CombinationError(
        .shapeMismatch, subject: "layer '\(path)'",
        problem: "the factors of '\(first.name)' are \(first.change.a.shape) and "
          + "\(first.change.b.shape), those of '\(name)' \(change.a.shape) and \(change.b.shape)",
        remedy: "combine adapters of one base model")
    }
  }

  /// The factors of a layer that can be combined.
  static func combinable(
    _ layer: AdapterDescription.Layer, adapter: String
  ) throws(CombinationError) -> LowRankChange {
    func refuse(_ what: String, _ remedy: String) -> CombinationError {
      CombinationError(
        .unsupported, subject: "layer '\(layer.path)' of '\(adapter)'", problem: what,
        remedy: remedy)
    }
    guard let change = layer.lowRank, change.magnitude == nil else {
      throw refuse(
        "\(layer.change.methodName) adapters can't be combined: their effects do not add up",
        // What changes no weight can't be merged either.
        layer.change.measured.site == .layer
          ? "merge it into the base instead, or enable the adapters together"
          : "enable the adapters together")
    }
    if change.middle != nil {
      throw refuse(
        "factors in Tucker form can't be combined", "enable the adapters together instead")
    }
    if let bias = change.bias, !bias.isZero {
      throw refuse(
        "a bias of factors (lora_bias) can't be combined", "enable the adapters together instead")
    }
    for (name, factor) in [("A", change.a), ("B", change.b)] {
      if let index = factor.firstNonFiniteIndex() {
        throw CombinationError(
          .nonFinite, subject: "layer '\(layer.path)' of '\(adapter)'",
          problem: "element \(index) of \(name) is not a finite number",
          remedy: "the training that made it diverged: train again with a lower learning rate")
      }
    }
    return change
  }

  /// What the adapters replace whole, as far as it is taken over.
  private func replaced(
    by parts: [Part]
  ) throws(CombinationError) -> (
    [AdapterDescription.Replacement], [AdapterDescription.ReplacedTokens]
  ) {
    var owners: [ExactName: String] = [:]
    for part in parts {
      let paths = part.adapter.replacements.map(\.path) + part.adapter.replacedTokens.map(\.path)
      for path in paths {
        if replacements == .refused {
          throw CombinationError(
            .replacement, subject: "'\(path)' of '\(part.name)'",
            problem: "the adapter brings a whole new value of it, which no weight applies to",
            remedy: "choose whether such values are kept as they are or dropped")
        }
        if let owner = owners.updateValue(part.name, forKey: ExactName(path)), owner != part.name {
          throw CombinationError(
            .replacement, subject: "'\(path)'",
            problem: "both '\(owner)' and '\(part.name)' bring a whole new value of it",
            remedy: "such modules can't be merged: train them in one adapter only")
        }
      }
    }
    guard replacements == .kept else { return ([], []) }
    return (
      parts.flatMap(\.adapter.replacements), parts.flatMap(\.adapter.replacedTokens)
    )
  }
}
