import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// A linear layer as a ``Decoding`` sees it: the numbers of this pass, resolved once, and nothing that
/// would be differentiated.
struct DecodingLinear {
  let outputSize: Int
  private let product: Product

  private enum Product {
    case dense(Dense)
    /// A layer that only its own `callAsFunction` can compute: one that does not store its weight
    /// densely, or with an adapter that is not of low rank, or with dropout.
    case general(any LinearLayer)
  }

  init(_ layer: some LinearLayer) {
    outputSize = layer.outputSize
    product = Dense(layer).map { .dense($0) } ?? .general(layer)
  }

  /// Computes the outputs of several layers with one input, `[rows, in]`. With `accumulates` they are
  /// added to what is there.
  static func project(
    _ x: UnsafePointer<Float>, size: Int, _ decoding: Decoding, accumulates: Bool = false,
    _ layers: [(layer: DecodingLinear, y: UnsafeMutablePointer<Float>)]
  ) {
    var dense: [(layer: Dense, y: UnsafeMutablePointer<Float>)] = []
    dense.reserveCapacity(layers.count)
    for (layer, y) in layers {
      switch layer.product {
      case .dense(let layer): dense.append((layer, y))
      case .general(let layer):
        let output = decoding.general(x, size) { layer($0) }
        withExtendedLifetime(output) {
          let count = output.elementCount
          if accumulates {
            lk_add_row(1, count, output.floats, y)
          } else {
            y.update(from: output.floats, count: count)
          }
        }
      }
    }
    if !dense.isEmpty { Dense.project(x, rows: decoding.rows, accumulates: accumulates, dense) }
  }
}

/// A dense layer with the low-rank adapters that apply to the pass.
private struct Dense {
  let weight: Tensor
  let bias: Tensor?
  private let terms: [Term]
  /// What is added to single rows, where each has adapters of its own.
  private let rowTerms: [LowRankRows]

  private struct Term {
    let a: Tensor
    let b: Tensor
    let scale: Float
  }

  /// Nil for a layer that this can't compute.
  init?(_ layer: some LinearLayer) {
    var terms: [Term] = []
    var rowTerms: [LowRankRows] = []
    var offset: Tensor?
    switch layer.slot.contribution() {
    case .merged(let weights):
      (weight, bias) = (weights.weight, weights.bias)
      (self.terms, self.rowTerms) = ([], [])
      return
    case .none: break
    case .items(let assignment):
      // One new token a sequence.
      guard let parts = assignment.lowRankParts(positions: 1) else { return nil }
      rowTerms = parts
    case .adapters(let active):
      // A pass that decodes records nothing.
      for item in active {
        guard case .lowRank(let effect) = item.adapter.effect, !effect.drops else { return nil }
        let scale = effect.scale * item.strength
        for (a, b) in effect.factors {
          terms.append(Term(a: a.value, b: b.value, scale: scale))
        }
        if let bias = effect.bias?.value.scaled(by: scale) {
          offset = offset.map { $0 + bias } ?? bias
        }
      }
    }
    guard let weight = layer.weight?.value else { return nil }
    self.weight = weight
    let bias = layer.bias?.value.converted(to: .float32)
    self.bias = offset.map { offset in bias.map { $0 + offset } ?? offset } ?? bias
    self.terms = terms
    self.rowTerms = rowTerms
  }

  var outputSize: Int { weight.shape[0] }

  /// Computes the outputs of several layers with one input, `[rows, in]`. With `accumulates` they are
  /// added to what is there.
  static func project(
    _ x: UnsafePointer<Float>, rows: Int, accumulates: Bool = false,
    _ layers: [(layer: Dense, y: UnsafeMutablePointer<Float>)]
  ) {
    if rows <= mostFewRows {
      projectFew(x, rows: rows, accumulates, layers)
    } else {
      for (layer, y) in layers { layer.projectMany(x, rows: rows, accumulates, into: y) }
    }
    for (layer, y) in layers where !layer.rowTerms.isEmpty {
      LowRankRows.add(layer.rowTerms, input: x, to: y)
    }
  }

  /// The product of many rows, as sequences that are decoded together make them.
  private func projectMany(
    _ x: UnsafePointer<Float>, rows: Int, _ accumulates: Bool,
    into y: UnsafeMutablePointer<Float>
  ) {
    let reduced = terms.map { Tensor(shape: [rows, $0.a.shape[0]]) { _ in } }
    withExtendedLifetime((self, reduced)) {
      multiply(
        rows: rows, x, byTransposeOf: weight, precision: ProductPrecision.current,
        terms: zip(terms, reduced).map { term, h in
          ProductTerm.forward(
            a: term.a.floats, b: term.b.floats, rank: term.a.shape[0], inner: term.a.shape[1],
            scale: term.scale, h: UnsafeMutablePointer(mutating: h.floats))
        }, bias: bias?.floats, beta: accumulates ? 1 : 0, into: y)
    }
  }

  /// The products of few rows: one pass over the weights and another over what adapters add.
  private static func projectFew(
    _ x: UnsafePointer<Float>, rows: Int, _ accumulates: Bool,
    _ layers: [(layer: Dense, y: UnsafeMutablePointer<Float>)]
  ) {
    let ranks = layers.flatMap { $0.layer.terms.map { $0.a.shape[0] } }.reduce(0, +)
    withScratch(max(1, rows * ranks)) { scratch in
      var (products, added) = ([FewRowsProduct](), [FewRowsProduct]())
      var h = scratch
      for (layer, y) in layers {
        if let bias = layer.bias { layer.start(y, rows: rows, accumulates, bias: bias) }
        products.append(
          FewRowsProduct(
            x, byTransposeOf: layer.weight, accumulates: accumulates || layer.bias != nil, into: y))
        for term in layer.terms {
          added.append(FewRowsProduct(h, byTransposeOf: term.b, accumulates: true, into: y))
          h += rows * term.a.shape[0]
        }
      }
      h = scratch
      for (layer, _) in layers {
        for term in layer.terms {
          products.append(FewRowsProduct(x, byTransposeOf: term.a, into: h))
          h += rows * term.a.shape[0]
        }
      }
      multiplyFewRows(rows: rows, products)
      if added.isEmpty { return }
      h = scratch
      for (layer, _) in layers {
        for term in layer.terms {
          let n = rows * term.a.shape[0]
          lk_scale(n, term.scale, h, h)
          h += n
        }
      }
      addInTurn(added, rows: rows, layers.map(\.layer.terms.count))
    }
  }

  /// Adds the products, those of one layer one after the other: they have one target.
  private static func addInTurn(_ added: [FewRowsProduct], rows: Int, _ counts: [Int]) {
    for turn in 0..<(counts.max() ?? 0) {
      var first = 0
      var products: [FewRowsProduct] = []
      for count in counts {
        if turn < count { products.append(added[first + turn]) }
        first += count
      }
      multiplyFewRows(rows: rows, products)
    }
  }

  /// Puts the bias where the product will be added.
  private func start(
    _ y: UnsafeMutablePointer<Float>, rows: Int, _ accumulates: Bool, bias: Tensor
  ) {
    withExtendedLifetime(bias) {
      if accumulates { return lk_add_row(rows, outputSize, bias.floats, y) }
      for row in 0..<rows { (y + row * outputSize).update(from: bias.floats, count: outputSize) }
    }
  }
}
