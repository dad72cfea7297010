import CLoRAKernels
package import LoRATensor

/// Low-rank terms for some rows of a matrix of activations, for batches in which items have
/// different adapters.
package struct LowRankRows: Sendable {
  /// The rows, counted over all dimensions but the last; ascending, disjoint.
  package let rows: [Range<Int>]
  /// The terms to add to each of them, in this order.
  package let terms: [LowRankTerm]

  package init(rows: [Range<Int>], terms: [LowRankTerm]) {
    self.rows = rows
    self.terms = terms
  }

  var rowCount: Int { rows.reduce(0) { $0 + $1.count } }

  /// `y += scale (x aᵀ) bᵀ` for the rows of each part, x `[..., in]`, y `[..., out]`.
  ///
  /// - Returns: the down-projected rows times the scale, `[rows, rank]` a term of each part.
  @discardableResult
  package static func add(
    _ parts: [LowRankRows], input x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>
  ) -> [[Tensor]] {
    let reduced = parts.map { part in
      part.terms.map { Tensor(shape: [part.rowCount, $0.a.shape[0]]) { _ in } }
    }
    let units = Unit.all(parts)
    withExtendedLifetime((reduced, parts)) {
      parallelFor(units.count) { index in
        let unit = units[index]
        for (term, h) in zip(parts[unit.part].terms, reduced[unit.part]) {
          unit.add(term, x, UnsafeMutablePointer(mutating: h.floats), to: y)
        }
      }
    }
    return reduced
  }
}

extension Variable {
  /// This output of a layer with `scale (x aᵀ) bᵀ` added to the rows of each part, in place where
  /// nobody else holds it.
  ///
  /// - Parameters:
  ///   - parts: no row is in two of them. Their terms have no inputs of their own.
  ///   - x: the layer's input, `[..., in]`.
  package consuming func adding(_ parts: [LowRankRows], input x: Variable) -> Variable {
    let shape = shape
    let (inner, out) = (x.shape.innermost, shape.innermost)
    let rowCount = shape.rowCount
    for part in parts {
      for term in part.terms {
        require(
          term.a.shape[1] == inner && term.b.shape[0] == out && term.input == nil
            && (part.rows.last?.upperBound ?? 0) <= rowCount,
          "rows \(part.rows) of \(shape), factors \(term.a.shape), \(term.b.shape)")
      }
    }
    var y = value
    let origin = detachedFromValue()
    let input = x.value
    let reduced: [[Tensor]] = y.withUnsafeMutableBytes { bytes in
      guard let y = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else { return [] }
      return withExtendedLifetime(input) { LowRankRows.add(parts, input: input.floats, to: y) }
    }
    return Self.recordRows(y, base: origin, x, parts, reduced)
  }

  /// How this variable came about, without its value: the value's bytes then have one owner less.
  private consuming func detachedFromValue() -> Variable {
    Variable(value: .zeros([0]), node: node)
  }

  private static func recordRows(
    _ y: Tensor, base: Variable, _ x: Variable, _ parts: [LowRankRows], _ reduced: [[Tensor]]
  ) -> Variable {
    // Inputs: the base's output, x, then a and b of each term.
    let terms = parts.flatMap(\.terms)
    let inputs = [base, x] + terms.flatMap { [$0.a, $0.b] }
    guard GradientMode.isRecording, inputs.contains(where: \.requiresGradient) else {
      return Variable(y)
    }
    let (saved, inputShape) = (x.saved, x.shape)
    let factors = parts.map { part in part.terms.map { ($0.a.value, $0.b.value, $0.scale) } }
    let rows = parts.map(\.rows)
    return record(y, inputs: inputs) { dy, inputs in
      let x = saved()
      let (inner, out) = (inputShape.innermost, dy.shape.innermost)
      var first = 2
      for (part, ranges) in rows.enumerated() {
        for (index, (a, b, scale)) in factors[part].enumerated() {
          let (rank, h) = (a.shape[0], reduced[part][index])
          let n = h.shape[0]
          withExtendedLifetime((x, dy, a, b, h)) {
            withScratch(max(1, n * rank)) { dh in
              forEachRange(ranges) { range, at in
                gemm(
                  m: range.count, n: rank, k: out, alpha: scale,
                  dy.floats + range.lowerBound * out, lda: out, b.floats, ldb: rank,
                  dh + at * rank, ldc: rank)
              }
              inputs.accumulate(to: first, shape: a.shape) { da, beta in
                forEachRange(ranges) { range, at in
                  gemm(
                    transposeA: true, m: rank, n: inner, k: range.count, dh + at * rank, lda: rank,
                    x.floats + range.lowerBound * inner, ldb: inner, beta: at == 0 ? beta : 1, da,
                    ldc: inner)
                }
              }
              inputs.accumulate(to: first + 1, shape: b.shape) { db, beta in
                forEachRange(ranges) { range, at in
                  gemm(
                    transposeA: true, m: out, n: rank, k: range.count,
                    dy.floats + range.lowerBound * out, lda: out, h.floats + at * rank, ldb: rank,
                    beta: at == 0 ? beta : 1, db, ldc: rank)
                }
              }
              inputs.accumulate(to: 1, shape: inputShape) { dx, beta in
                if beta == 0 { lk_fill(inputShape.elementCount, 0, dx) }
                forEachRange(ranges) { range, at in
                  gemm(
                    m: range.count, n: inner, k: rank, dh + at * rank, lda: rank, a.floats,
                    ldb: inner, beta: 1, dx + range.lowerBound * inner, ldc: inner)
                }
              }
            }
          }
          first += 2
        }
      }
      inputs.add(dy, to: 0)
    }
  }
}

/// Calls `body` with each range and the number of rows before it.
private func forEachRange(_ ranges: [Range<Int>], _ body: (_ range: Range<Int>, _ at: Int) -> Void)
{
  var at = 0
  for range in ranges {
    body(range, at)
    at += range.count
  }
}

/// Some neighbouring rows of one part: what a thread computes at a time. Belongs to shapes alone.
private struct Unit {
  /// The most rows of a unit: enough for a product to run well, few enough to share out.
  private static let mostRows = 64

  let part: Int
  let rows: Range<Int>
  /// The number of the part's rows before these.
  let at: Int

  static func all(_ parts: [LowRankRows]) -> [Unit] {
    var units: [Unit] = []
    for (index, part) in parts.enumerated() {
      forEachRange(part.rows) { range, at in
        for start in stride(from: range.lowerBound, to: range.upperBound, by: mostRows) {
          units.append(
            Unit(
              part: index, rows: start..<min(range.upperBound, start + mostRows),
              at: at + start - range.lowerBound))
        }
      }
    }
    return units
  }

  /// `y += scale (x aᵀ) bᵀ` for these rows, `scale x aᵀ` being left in `h`.
  func add(
    _ term: LowRankTerm, _ x: UnsafePointer<Float>, _ h: UnsafeMutablePointer<Float>,
    to y: UnsafeMutablePointer<Float>
  ) {
    let (a, b) = (term.a.value, term.b.value)
    let (rank, inner, out) = (a.shape[0], a.shape[1], b.shape[0])
    let x = x + rows.lowerBound * inner
    let h = h + at * rank
    let y = y + rows.lowerBound * out
    withExtendedLifetime((a, b)) {
      if rows.count <= mostFewRows {
        lk_gemv_f32(rows.count, rank, inner, x, a.floats, h, rank, false)
        lk_scale(rows.count * rank, term.scale, h, h)
        lk_gemv_f32(rows.count, out, rank, h, b.floats, y, out, true)
      } else {
        MatrixEngine.sgemm(
          false, true, rows.count, rank, inner, term.scale, x, inner, a.floats, inner, 0, h, rank)
        MatrixEngine.sgemm(
          false, true, rows.count, out, rank, 1, h, rank, b.floats, rank, 1, y, out)
      }
    }
  }
}
