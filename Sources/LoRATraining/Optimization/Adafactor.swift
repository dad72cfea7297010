import CLoRAKernels
public import LoRAAutograd
public import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Adafactor, which remembers of a matrix's squared gradients only the means of its rows and columns.
///
/// ```swift
/// trainer.optimizer = Adafactor()                              // as torch.optim.Adafactor
/// trainer.optimizer = Adafactor(epsilon1: 1e-15, isRelative: false)  // as the Trainer of transformers
/// ```
///
/// Relative steps, PyTorch's, are the learning rate times the root mean square of the parameter's
/// values, at least ``epsilon2``. The factor B of a fresh LoRA is zero, so its first steps would be a
/// thousandth of the learning rate: for adapters ``isRelative`` false is better, the step that
/// transformers' `Adafactor(scale_parameter=False, relative_step=False)` makes, where the learning rate
/// is one of AdamW's size. Weight decay is decoupled.
///
/// Memory: of a matrix one float32 value per row and column, of other parameters one per element. Time:
/// three passes over the gradient.
///
/// Source: Shazeer and Stern, *Adafactor: adaptive learning rates with sublinear memory cost*, 2018;
/// `torch.optim.Adafactor`.
public struct Adafactor: Optimizer, Hashable {
  /// How fast the means forget: at step t the squared gradient counts as t to this power.
  public var decayExponent: Double
  /// The least root of a mean square that is divided by; PyTorch's default is that of float32.
  public var epsilon1: Double
  /// The least root mean square of values in a relative step.
  public var epsilon2: Double
  /// The largest root mean square of an update before the learning rate; larger ones are scaled down.
  public var clipThreshold: Double
  /// Whether steps are relative to the size of the values and shrink as 1 / sqrt(t) where the learning
  /// rate is larger than that.
  public var isRelative: Bool

  /// Creates the recipe. Values are checked when it is used.
  public init(
    decayExponent: Double = -0.8, epsilon1: Double = Double(Float.ulpOfOne),
    epsilon2: Double = 1e-3, clipThreshold: Double = 1, isRelative: Bool = true
  ) {
    self.decayExponent = decayExponent
    self.epsilon1 = epsilon1
    self.epsilon2 = epsilon2
    self.clipThreshold = clipThreshold
    self.isRelative = isRelative
  }

  /// The name and the settings.
  public var identifier: String {
    "Adafactor(decayExponent: \(decayExponent), epsilon1: \(epsilon1), epsilon2: \(epsilon2), "
      + "clipThreshold: \(clipThreshold), isRelative: \(isRelative))"
  }

  /// Throws for a setting out of range.
  public func check() throws(TrainingError) {
    try demand(
      decayExponent <= 0 && decayExponent.isFinite, "the decay", decayExponent, "at most 0")
    try demand(
      epsilon1 >= 1e-19 && epsilon1.isFinite, "epsilon1", epsilon1,
      "at least 1e-19, whose square float32 holds")
    try demand(epsilon2 >= 0 && epsilon2.isFinite, "epsilon2", epsilon2, "at least 0")
    try demand(
      clipThreshold > 0 && clipThreshold.isFinite, "the clipping threshold", clipThreshold,
      "above 0")
  }

  // As PyTorch's state dictionaries call them.
  private static let (rows, columns, elements) = ("row_var", "col_var", "variance")

  /// The means `row_var` and `col_var` of a matrix, or of the matrices in the last two dimensions;
  /// `variance` of a vector.
  public func stateShapes(of shape: Shape) -> [String: Shape] {
    let extents = shape.dimensions
    guard extents.count > 1 else { return [Self.elements: shape] }
    return [
      Self.rows: Shape(extents.dropLast()),
      Self.columns: Shape(extents.dropLast(2) + [extents[extents.count - 1]]),
    ]
  }

  /// Updates the means, and replaces the value.
  public func update(
    _ parameter: Parameter, gradient: Tensor, settings: UpdateSettings,
    state: inout ParameterState
  ) {
    let share = pow(Double(state.updates), decayExponent)
    let factors = Self.blend(gradient, settings.gradientScale, share, into: &state)
    let count = Double(max(1, parameter.shape.elementCount))
    var rate = settings.learningRate
    if isRelative {
      let size = (parameter.value.sumOfSquares() / count).squareRoot()
      rate = max(epsilon2, size) * min(rate, 1 / Double(state.updates).squareRoot())
    }
    let pass = UpdatePass(
      gradient: gradient, scale: settings.gradientScale, factors: factors, epsilon: epsilon1)
    let clip = max(1, (pass.sumOfSquares / count).squareRoot() / clipThreshold)
    pass.apply(
      to: parameter, rate: Float(rate / clip),
      keep: Float(1 - settings.learningRate * settings.weightDecay))
  }

  /// The means with a share of the squared gradient in them.
  private static func blend(
    _ gradient: Tensor, _ scale: Float, _ share: Double, into state: inout ParameterState
  ) -> (rows: [Float], columns: [Float]) {
    let columns = gradient.shape.count > 1 ? gradient.shape.innermost : gradient.elementCount
    let rows = gradient.elementCount / max(1, columns)
    let isMatrix = gradient.shape.count > 1
    let blocks = isMatrix ? rows / gradient.shape[gradient.shape.count - 2] : 1
    let perBlock = rows / max(1, blocks)
    func blended(_ name: String, _ squares: [Double]) -> [Float] {
      let old = state.take(name)
      let new = zip(old.scalars(), squares).map { mean, square in
        Float(Double(mean) + (square - Double(mean)) * share)
      }
      state.tensors[name] = Tensor(new, shape: old.shape)
      return new
    }
    let g = gradient
    var sums = [Double](repeating: 0, count: blocks * columns)
    sums.withUnsafeMutableBufferPointer { sums in
      guard let sums = sums.baseAddress else { return }
      withExtendedLifetime(g) {
        // Columns apart, so that sums do not depend on the number of threads.
        parallelTiles(columns, tile: max(16, elementTile / max(1, rows))) { part in
          for row in 0..<rows {
            lk_add_squares(
              part.count, g.floats + row * columns + part.lowerBound, scale,
              sums + row / perBlock * columns + part.lowerBound)
          }
        }
      }
    }
    guard isMatrix else { return ([1], blended(elements, sums)) }
    let square = Double(scale) * Double(scale)
    let rowMeans = withExtendedLifetime(g) {
      (0..<rows).map {
        square * lk_sum_squares(columns, g.floats + $0 * columns) / Double(columns)
      }
    }
    return (
      blended(Self.rows, rowMeans), blended(Self.columns, sums.map { $0 / Double(perBlock) })
    )
  }
}

/// The update of one parameter, which is computed row by row, twice, instead of being held.
private struct UpdatePass {
  let gradient: Tensor
  let scale: Float
  let floor: Float
  /// What each row's columns are multiplied by: its mean over the mean of all rows.
  let rowFactors: [Float]
  let columnMeans: [Float]
  let columns: Int
  let rowsPerBlock: Int

  init(
    gradient: Tensor, scale: Float, factors: (rows: [Float], columns: [Float]), epsilon: Double
  ) {
    self.gradient = gradient
    self.scale = scale
    floor = Float(epsilon * epsilon)
    columnMeans = factors.columns
    let isMatrix = gradient.shape.count > 1
    columns = isMatrix ? gradient.shape.innermost : gradient.elementCount
    rowsPerBlock = isMatrix ? gradient.shape[gradient.shape.count - 2] : 1
    guard isMatrix else {
      rowFactors = [1]
      return
    }
    var rows = factors.rows
    for start in stride(from: 0, to: rows.count, by: max(1, rowsPerBlock)) {
      let block = start..<start + rowsPerBlock
      let mean = rows[block].reduce(0.0) { $0 + Double($1) } / Double(rowsPerBlock)
      for row in block { rows[row] = Float(Double(rows[row]) / max(mean, epsilon)) }
    }
    rowFactors = rows
  }

  /// Calls `body` with each row of the update, in parallel tiles of rows.
  private func forEachRow(_ body: (_ row: Int, _ update: UnsafeMutablePointer<Float>) -> Void) {
    columnMeans.withUnsafeBufferPointer { means in
      guard let means = means.baseAddress else { return }
      withExtendedLifetime(gradient) {
        parallelTiles(rowFactors.count, tile: max(1, elementTile / max(1, columns))) { rows in
          withScratch(columns) { update in
            for row in rows {
              lk_adafactor_row(
                columns, gradient.floats + row * columns, scale, rowFactors[row],
                means + row / rowsPerBlock * columns, floor, update)
              body(row, update)
            }
          }
        }
      }
    }
  }

  var sumOfSquares: Double {
    var sums = [Double](repeating: 0, count: rowFactors.count)
    sums.withUnsafeMutableBufferPointer { sums in
      let place = sums
      forEachRow { row, update in place[row] = lk_sum_squares(columns, update) }
    }
    return sums.reduce(0, +)
  }

  func apply(to parameter: Parameter, rate: Float, keep: Float) {
    parameter.rewrite { old, new in
      forEachRow { row, update in
        let start = row * columns
        lk_scale(columns, keep, old + start, new + start)
        lk_axpy(columns, -rate, update, new + start)
      }
    }
  }
}
