import LoRATensor

extension AdapterCombination {
  /// The largest matrix of which several are worked on at once: each thread holds a few copies.
  private static let mostElementsInParallel = 1 << 24

  /// `body` of every layer, on all threads where the layers are small; in the layers' order.
  static func forEach<Result: Sendable>(
    _ layers: [LayerShares],
    _ body: @Sendable (LayerShares) throws(CombinationError) -> Result
  ) throws(CombinationError) -> [Result] {
    try inParallel(layers.count, isSmall: { layers[$0].elementCount <= mostElementsInParallel }) {
      index throws(CombinationError) in try body(layers[index])
    }
  }

  /// `body` of every index: of the small ones on all threads, then of the others one by one. Throws
  /// the first error by index.
  static func inParallel<Result: Sendable>(
    _ count: Int, isSmall: (Int) -> Bool,
    _ body: (Int) throws(CombinationError) -> Result
  ) throws(CombinationError) -> [Result] {
    let results = Locked([Swift.Result<Result, CombinationError>?](repeating: nil, count: count))
    func run(_ index: Int) {
      let result = Swift.Result { () throws(CombinationError) in try body(index) }
      results.withLock { $0[index] = result }
    }
    let small = (0..<count).filter(isSmall)
    parallelFor(small.count) { run(small[$0]) }
    for index in 0..<count where !isSmall(index) { run(index) }
    var all: [Result] = []
    for result in results.withLock({ $0 }) {
      if let result { all.append(try result.get()) }
    }
    return all
  }

  /// One layer of the combination.
  func combine(
    _ layer: LayerShares, by method: Method, rank: Int
  ) throws(CombinationError) -> AdapterDescription.Layer {
    switch method {
    case .cat: return Self.result(layer, Self.sideBySide(layer))
    case .linear, .ties, .dareLinear, .dareTIES, .magnitudePrune:
      return Self.result(layer, try added(layer, by: method))
    case .svd, .tiesSVD, .dareLinearSVD, .dareTIESSVD, .magnitudePruneSVD:
      do {
        let svd = try decomposed(layer, by: method)
        return Self.result(layer, svd.factors(rank: min(rank, svd.count)))
      } catch {
        throw CombinationError(
          .nonFinite, subject: "layer '\(layer.path)'",
          problem: "its sum can't be decomposed: \(error)", remedy: Self.overflowRemedy(layer))
      }
    }
  }

  /// Throws if the combined factors of a layer are not finite.
  static func checkNumbers(
    of result: AdapterDescription.Layer, made layer: LayerShares
  ) throws(CombinationError) {
    for (name, factor) in [("A", result.lowRank?.a), ("B", result.lowRank?.b)] {
      do throws(UnstorableNumber) {
        try factor?.checkFinite()
      } catch {
        throw CombinationError(
          .nonFinite, subject: "layer '\(layer.path)'",
          problem: "element \(error.position) of its combined \(name) is \(error.value), beyond "
            + "float32's \(DType.float32.greatestNumber)", remedy: overflowRemedy(layer))
      }
    }
  }

  private static func overflowRemedy(_ layer: LayerShares) -> String {
    let weights = layer.shares.map { "\($0.weight) of '\($0.name)'" }.joined(separator: ", ")
    return "the weights are \(weights), with the layer's scale: give smaller ones"
  }

  /// B with the adapters' columns and A with their rows, those times their weights.
  private static func sideBySide(_ layer: LayerShares) -> (b: Tensor, a: Tensor) {
    (
      .concatenated(layer.shares.map(\.b), axis: 1),
      .concatenated(layer.shares.map { $0.a.scaled(by: Float($0.weight)) })
    )
  }

  /// The factors themselves, combined.
  private func added(
    _ layer: LayerShares, by method: Method
  ) throws(CombinationError) -> (b: Tensor, a: Tensor) {
    guard Set(layer.shares.map(\.change.rank)).count == 1 else {
      throw rankMismatch(layer.shares.map { ($0.name, $0.change.rank) }, layer: layer.path)
    }
    // The weight goes to both factors in equal parts, its sign to A.
    let roots = layer.shares.map { abs($0.weight).squareRoot() }
    let signed = zip(layer.shares, roots).map { $0.weight < 0 ? -$1 : $1 }
    return (
      mixed(layer, layer.shares.map(\.b), weights: roots, by: method, name: "lora_B"),
      mixed(layer, layer.shares.map(\.a), weights: signed, by: method, name: "lora_A")
    )
  }

  /// The combined product, decomposed.
  private func decomposed(
    _ layer: LayerShares, by method: Method
  ) throws(LinearAlgebraError) -> SingularValueDecomposition {
    if method == .svd {
      let (b, a) = Self.sideBySide(layer)
      if a.shape[0] < min(b.shape[0], a.shape[1]) {
        return try SingularValueDecomposition(ofProduct: b, a)
      }
      return try b.matrixProduct(with: a).singularValueDecomposition()
    }
    // Here the weight does not belong to the product: PEFT prunes and elects before weighting.
    let products = layer.shares.map { share in
      share.b.matrixProduct(with: share.a).scaled(by: Float(share.change.scale))
    }
    let weights = layer.shares.map(\.partWeight)
    return try mixed(layer, products, weights: weights, by: method, name: "delta")
      .singularValueDecomposition()
  }

  private static func result(
    _ layer: LayerShares, _ factors: (b: Tensor, a: Tensor)
  ) -> AdapterDescription.Layer {
    let rank = factors.a.shape[0]
    var (a, b) = (factors.a, factors.b)
    var isEmbedding = false
    if let first = layer.shares.first?.change {
      a = a.reshaped(to: Shape([rank] + first.a.shape.dropFirst()))
      b = b.reshaped(to: Shape([first.outputSize, rank] + first.b.shape.dropFirst(2)))
      isEmbedding = first.isEmbedding
    }
    return AdapterDescription.Layer(
      path: layer.path,
      change: LowRankChange(a: a, b: b, alpha: Double(rank), scale: 1, isEmbedding: isEmbedding))
  }

  /// The tensors, one an adapter, pruned and added up as the method does.
  private func mixed(
    _ layer: LayerShares, _ tensors: [Tensor], weights: [Double], by method: Method, name: String
  ) -> Tensor {
    var kept = tensors
    if method.prunes, let density, density < 1 {
      kept = zip(layer.shares, tensors).map { share, tensor in
        guard method.isRandom else { return tensor.keepingLargest(share: density) }
        var random = SeededRandom(seed: seed, path: "\(layer.path).\(name).\(share.index)")
        return tensor.keepingRandom(share: density, using: &random)
      }
    }
    let weights = weights.map { Float($0) }
    return method.electsSigns
      ? Tensor.disjointMean(of: kept, weights: weights, electing: majoritySign)
      : Tensor.weightedSum(of: kept, weights: weights)
  }
}
