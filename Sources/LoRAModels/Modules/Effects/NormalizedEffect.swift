public import LoRAAutograd
import LoRATensor

/// A weight that is changed by products of low rank, its rows then brought to given lengths:
/// `y = x (m ⊙ V / ‖V‖)ᵀ + bias` with `V = W + scale Σ b a`, the norms being those of rows.
///
/// So each column of the product with V has a gain, `m / ‖V‖`. Norms are constants of the backward
/// pass.
public struct NormalizedEffect: Sendable {
  /// What is added to the weight. Has no bias.
  package let lowRank: LowRankEffect
  /// m, what the norms of the rows become, `[outputSize]`.
  package let magnitude: Variable
  /// Keeps norms from one pass to the next.
  package let norms: RowNorms

  /// Creates an effect. Traps if shapes do not fit each other.
  ///
  /// - Parameters:
  ///   - lowRank: what is added to the weight, without a bias.
  ///   - magnitude: what the norms of the rows become, `[outputSize]`.
  ///   - norms: an object that the adapter stores.
  public init(lowRank: LowRankEffect, magnitude: Variable, norms: RowNorms) {
    require(
      lowRank.bias == nil && magnitude.shape == [lowRank.factors[0].b.shape[0]],
      "magnitudes \(magnitude.shape) for factors with \(lowRank.factors[0].b.shape[0]) outputs, bias "
        + "\(lowRank.bias.map { "\($0.shape)" } ?? "none")")
    self.lowRank = lowRank
    self.magnitude = magnitude
    self.norms = norms
  }
}

extension NormalizedEffect {
  /// The output before it is scaled; with dropout also both products that are scaled, and the input
  /// that is left.
  var memory: AdapterMemory {
    let (inputs, outputs) = (lowRank.factors[0].a.shape[1], lowRank.factors[0].b.shape[0])
    return AdapterMemory(
      rank: lowRank.memory.rank,
      keptWidth: lowRank.dropoutRate > 0 ? 2 * outputs + inputs : outputs)
  }

  /// g, the magnitudes over the norms, `[outputSize]`.
  func gain(on layer: any LinearLayer) -> Variable {
    let lengths = HeldConstants.value(of: norms) { norms.value(of: lowRank, on: layer) }
    return magnitude / Variable(lengths)
  }

  /// The output of a layer on which this applies alone, at strength 1 and without dropout:
  /// `g ⊙ (x Wᵀ + s (x Aᵀ) Bᵀ) + bias`, one product and one pass over the output.
  func output(of layer: any LinearLayer, input x: Variable) -> Variable {
    let sum =
      layer.weight.map { x.linear(weight: Variable($0), lowRank: lowRank.terms(strength: 1)) }
      ?? layer.project(x) + product(x).scaled(by: lowRank.scale)
    return sum.scaledColumns(by: gain(on: layer), bias: layer.bias.map { Variable($0) })
  }

  /// `y + strength ((g - 1) ⊙ z + g ⊙ s (x Aᵀ) Bᵀ)` for `z = x Wᵀ`, which is given as `product` where
  /// several want it. With dropout z is that of the input that is left, as in PEFT.
  func apply(
    to y: Variable, input x: Variable, product z: Variable?, layer: any LinearLayer,
    strength: Float
  ) -> Variable {
    let x = lowRank.dropped(x) ?? x
    let z = lowRank.drops ? layer.project(x) : z ?? layer.project(x)
    let gain = gain(on: layer)
    let product = product(x)
    let change =
      z.scaledColumns(by: gain.adding(-1).scaled(by: strength))
      + product.scaledColumns(by: gain.scaled(by: lowRank.scale * strength))
    return y + change
  }

  /// The vectors `y` of `ids` with what is added to those of `table`, `vectors`: as on a linear layer,
  /// the norms being those of the table's columns.
  func apply(
    to y: Variable, vectors: Variable, ids: Tensor, table: Parameter, strength: Float
  ) -> Variable {
    let gain = gain(on: TableMatrix(table))
    let products = lowRank.factors.map { $0.a.gatheredColumns(ids).linear(weight: $0.b) }
    return y + vectors.scaledColumns(by: gain.adding(-1).scaled(by: strength))
      + products.dropFirst().reduce(products[0], +)
      .scaledColumns(by: gain.scaled(by: lowRank.scale * strength))
  }

  /// `Σ (x aᵀ) bᵀ`.
  private func product(_ x: Variable) -> Variable {
    let products = lowRank.factors.map { x.linear(weight: $0.a).linear(weight: $0.b) }
    return products.dropFirst().reduce(products[0], +)
  }

  /// What merging at strength 1 adds, `g ⊙ (W + s B A) - W`.
  func delta(on base: LinearWeights) -> LinearWeights {
    var sum = lowRank.delta.weight
    sum.add(base.weight)
    // A norm beyond float32 would make its row zero.
    let norms = sum.squaredRowNorms().scalars().map { square in
      square.isFinite ? max(square, .leastNormalMagnitude).squareRoot() : .nan
    }
    let gain = zip(magnitude.value.scalars(), norms).map { $0 / $1 }
    var result = sum * Tensor(gain, shape: [gain.count, 1])
    result.add(base.weight, times: -1)
    return LinearWeights(weight: result)
  }
}

/// The matrix that the factors of an embedding's adapter are for: the transpose of its table.
private final class TableMatrix: LinearLayer {
  private let table: Parameter
  let slot = AdapterSlot()

  init(_ table: Parameter) { self.table = table }

  var inputSize: Int { table.shape[0] }
  var outputSize: Int { table.shape[1] }
  var parameters: Named<Parameter> { ["weight": table] }

  func project(_ x: Variable) -> Variable {
    x.matrixProduct(with: Variable(table.value.converted(to: .float32)))
  }

  func denseWeight() -> Tensor { table.value.converted(to: .float32).transposed() }
}
