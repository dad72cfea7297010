import LoRATensor

/// The rank that a decomposition is cut to.
public enum RankChoice: Sendable, Hashable {
  /// This rank, or less where a matrix has less.
  case rank(Int)
  /// The smallest rank whose matrix keeps at least this share (0 to 1) of the energy, the sum of the
  /// squares of the singular values.
  case energy(Double)

  /// The rank for `svd`, at least 1.
  func rank(of svd: SingularValueDecomposition) -> Int {
    switch self {
    case .rank(let rank): min(rank, svd.count)
    case .energy(let share): svd.rank(keeping: share)
    }
  }

  func check() throws(CombinationError) {
    switch self {
    case .rank(let rank) where rank < 1:
      throw CombinationError(
        .invalidOption, subject: "rank", problem: "\(rank) is not one",
        remedy: "give a rank of at least 1")
    case .energy(let share) where !(share > 0 && share <= 1):
      throw CombinationError(
        .invalidOption, subject: "energy", problem: "\(share) is not a share of the energy to keep",
        remedy: "give one above 0 and up to 1, 0.99 for example")
    default: break
    }
  }
}

/// What became of one layer when its change was cut to a rank.
public struct LayerCut: Sendable, Hashable {
  /// The layer's path.
  public let path: String
  /// The rank before; of a difference of weights the smaller side.
  public let originalRank: Int
  /// The rank now.
  public let rank: Int
  /// The share of the energy that is kept, from 0 to 1: one minus the square of the relative error
  /// in the Frobenius norm.
  public let energy: Double
  /// The Frobenius norm of the change before.
  public let norm: Double

  /// Creates a report.
  package init(path: String, originalRank: Int, rank: Int, energy: Double, norm: Double) {
    self.path = path
    self.originalRank = originalRank
    self.rank = rank
    self.energy = energy
    self.norm = norm
  }
}

extension AdapterDescription {
  /// The adapter with smaller factors: each layer's change s B A is replaced by the nearest one of
  /// the chosen rank, and what became of the layers. Nothing larger than the factors is formed.
  ///
  /// ```swift
  /// let (small, layers) = try adapter.reduced(to: .energy(0.99))
  /// ```
  ///
  /// Layers whose rank is no larger keep their factors bit for bit; the others have the scale 1.
  /// Throws ``CombinationError`` for changes other than plain low-rank ones.
  public func reduced(
    to choice: RankChoice
  ) throws(CombinationError) -> (adapter: AdapterDescription, layers: [LayerCut]) {
    try choice.check()
    let results = try AdapterCombination.inParallel(layers.count, isSmall: { _ in true }) {
      index throws(CombinationError) in try Self.reduced(layers[index], to: choice)
    }
    var result = self
    result.layers = results.map(\.layer)
    return (result, results.map(\.cut))
  }

  private static func reduced(
    _ layer: Layer, to choice: RankChoice
  ) throws(CombinationError) -> (layer: Layer, cut: LayerCut) {
    let change = try AdapterCombination.combinable(layer, adapter: "the adapter")
    let rank = change.rank
    let svd: SingularValueDecomposition
    do {
      svd = try SingularValueDecomposition(
        ofProduct: change.b.reshaped(to: [change.outputSize, rank]),
        change.a.reshaped(to: [rank, change.a.elementCount / rank]), scale: change.scale)
    } catch {
      throw CombinationError(
        .nonFinite, subject: "layer '\(layer.path)'",
        problem: "its change can't be decomposed: \(error)",
        remedy: "the factors are finite, their products are not: the adapter is damaged, or the "
          + "training that made it diverged")
    }
    if svd.energy == 0, !layer.hasNoEffect {
      throw CombinationError(
        .nonFinite, subject: "layer '\(layer.path)'",
        problem:
          "its factors are not zero, but their products are: they are below what float32 holds",
        remedy: "scale the factors up, or leave the layer out")
    }
    let kept = choice.rank(of: svd)
    func cut(_ rank: Int, _ share: Double) -> LayerCut {
      LayerCut(
        path: layer.path, originalRank: change.rank, rank: rank, energy: share,
        norm: svd.energy.squareRoot())
    }
    if kept >= rank { return (layer, cut(rank, 1)) }
    let (b, a) = svd.factors(rank: kept)
    var reduced = layer
    // The new factors are numbers that no narrower type was ever to hold.
    reduced.storedType = .float32
    reduced.change = LowRankChange(
      a: a.reshaped(to: Shape([kept] + change.a.shape.dropFirst())),
      b: b.reshaped(to: Shape([change.outputSize, kept] + change.b.shape.dropFirst(2))),
      alpha: Double(kept), scale: 1, isEmbedding: change.isEmbedding)
    return (reduced, cut(kept, svd.share(ofRank: kept)))
  }
}

extension SingularValueDecomposition {
  /// The share of the energy that the matrix of rank `rank` has; 1 of a matrix of zeros.
  func share(ofRank rank: Int) -> Double {
    energy > 0 ? truncated(to: rank).energy / energy : 1
  }
}
