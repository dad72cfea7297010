import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// The norms of the rows of `W + s B A`, kept from one pass to the next: what an adapter with a
/// ``NormalizedEffect`` stores one of. They are computed without forming the sum,
/// `‖w + s b A‖² = ‖w‖² + 2 s b · (A w) + s² b (A Aᵀ) bᵀ` for a row w of W and b of B.
///
/// That costs what `rank` more rows of the layer's input would. The first term is kept as long as the
/// layer's weight stays the same; the result as long as the factors do too, unless a training step
/// is being recorded: there they change each time, and whoever holds them stops the optimizer from
/// updating them in place.
///
/// Where the change nearly cancels the weight, the result has the error of `‖w‖²`, not its own.
public final class RowNorms: Sendable {
  private struct State: Sendable {
    var base: BaseNorms?
    var factors: (a: Tensor, b: Tensor)?
    var result: Tensor?
  }

  private struct BaseNorms: Sendable {
    weak var layer: (any LinearLayer)?
    let values: [Tensor]
    let squares: Tensor

    /// Whether these are the norms of `layer` as it is now.
    func belong(to other: any LinearLayer, _ current: [Tensor]) -> Bool {
      if values.count != current.count || (values.isEmpty && layer !== other) { return false }
      return zip(values, current).allSatisfy { $0.isSame(as: $1) }
    }
  }

  private let state = Locked(State())

  /// Creates a store without norms.
  public init() {}

  /// The norms, `[outputSize]`, of the rows of `layer`'s weight plus what `effect` adds to it.
  func value(of effect: LowRankEffect, on layer: any LinearLayer) -> Tensor {
    let (factors, scale) = (effect.joined, effect.scale)
    let isTraining = effect.factors.contains { $0.a.requiresGradient || $0.b.requiresGradient }
    let values = layer.weight.map { [$0.value] } ?? layer.namedParameters().map(\.parameter.value)
    let (known, result): (Tensor?, Tensor?) = state.withLock { state in
      guard let base = state.base, base.belong(to: layer, values) else { return (nil, nil) }
      guard !isTraining, let old = state.factors, old.a.isSame(as: factors.a),
        old.b.isSame(as: factors.b)
      else { return (base.squares, nil) }
      return (base.squares, state.result)
    }
    if let result { return result }
    let base = known ?? layer.squaredRowNorms()
    let norms = layer.norms(base: base, a: factors.a, b: factors.b, scale: scale)
    state.withLock { state in
      state.base = BaseNorms(layer: layer, values: values, squares: base)
      state.factors = isTraining ? nil : factors
      state.result = isTraining ? nil : norms
    }
    return norms
  }
}

extension LowRankEffect {
  /// One pair of factors with the same product.
  fileprivate var joined: (a: Tensor, b: Tensor) {
    if factors.count == 1 { return (factors[0].a.value, factors[0].b.value) }
    return (
      .concatenated(factors.map(\.a.value)), .concatenated(factors.map(\.b.value), axis: 1)
    )
  }
}

extension LinearLayer {
  /// The squares of the norms of W's rows, `[outputSize]`.
  func squaredRowNorms() -> Tensor { (weight?.value ?? denseWeight()).squaredRowNorms() }

  /// The norms of the rows of `W + scale b a`, given the squares of those of W.
  fileprivate func norms(base: Tensor, a: Tensor, b: Tensor, scale: Float) -> Tensor {
    // A W^T: the factor's rows are inputs like any others. Exact weights, whatever the pass rounds.
    let projected = ProductPrecision.withValue(.float32) {
      withoutGradients { project(Variable(a)).value }
    }
    let cross = projected.transposed()
    let gram = a.matrixProduct(with: a, transposeOther: true)
    let square = b.matrixProduct(with: gram)
    let (outputs, rank) = (b.shape[0], b.shape[1])
    return withExtendedLifetime((base, cross, square, b)) {
      Tensor(
        [Float](unsafeUninitializedCapacity: outputs) { norms, count in
          count = outputs
          guard let norms = norms.baseAddress else { return }
          withScratch(outputs) { dots in
            lk_row_dots(outputs, rank, cross.floats, rank, b.floats, rank, norms)
            lk_row_dots(outputs, rank, square.floats, rank, b.floats, rank, dots)
            lk_axpby(outputs, scale * scale, dots, 2 * scale, norms)
            lk_axpy(outputs, 1, base.floats, norms)
          }
          for row in 0..<outputs {
            // Never 0, so that a row of zeros stays one.
            norms[row] = max(norms[row], .leastNormalMagnitude).squareRoot()
          }
        })
    }
  }
}

extension Tensor {
  /// The sums of the squares of a matrix's rows, of any floating-point type, `[rows]`.
  func squaredRowNorms() -> Tensor {
    let (rows, columns) = (shape[0], shape[1])
    return Tensor(shape: [rows], dtype: .float32) { bytes in
      guard let sums = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
      parallelTiles(rows, tile: 64) { range in
        withScratch(max(1, range.count * columns)) { scratch in
          widen(rows: range, into: scratch)
          for (index, row) in range.enumerated() {
            sums[row] = Float(lk_sum_squares(columns, scratch + index * columns))
          }
        }
      }
    }
  }

  /// Whether this is the same tensor, not only an equal one: nobody has written to it since.
  func isSame(as other: Tensor) -> Bool {
    storage === other.storage && offset == other.offset && shape == other.shape
  }
}
