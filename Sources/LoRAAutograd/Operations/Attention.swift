import CLoRAKernels
import LoRATensor

/// Queries of one head are treated in tiles of this many rows, so that no `[T, T]` matrix exists.
private let queryTile = 64

extension Variable {
  /// Causal scaled dot-product attention with grouped heads, this variable being the queries.
  ///
  /// - Parameters:
  ///   - keys: `[batch, keyPositions, keyHeads, size]`; heads `h` of the queries share key head
  ///     `h / (heads / keyHeads)`. The last query stands at the last key's position.
  ///   - values: of the keys' shape.
  ///   - scale: what scores are multiplied by, `1 / sqrt(size)` if nil.
  ///   - window: how many positions back a query sees, itself included; all if nil.
  /// - Returns: the queries' shape, `[batch, positions, heads, size]`.
  ///
  /// Memory grows linearly with the sequence: tiles of scores are computed, used and forgotten, and
  /// again in the backward pass from the logarithm of each row's sum.
  /// Source: Dao et al., *FlashAttention*, 2022.
  public func attention(
    keys: Variable, values: Variable, scale: Float? = nil, window: Int? = nil
  ) -> Variable {
    precondition(
      shape.count == 4 && keys.shape.count == 4 && keys.shape == values.shape
        && keys.shape[0] == shape[0] && keys.shape[3] == shape[3] && keys.shape[2] > 0
        && shape[2] % keys.shape[2] == 0 && keys.shape[1] >= shape[1],
      "attention of queries \(shape), keys \(keys.shape), values \(values.shape)")
    let problem = AttentionProblem(
      q: value, k: keys.value, v: values.value,
      scale: scale ?? 1 / Float(shape[3]).squareRoot(), window: window ?? 0)
    let isRecorded =
      GradientMode.isRecording
      && (requiresGradient || keys.requiresGradient || values.requiresGradient)
    let (output, lse) = problem.forward(keepingSums: isRecorded)
    guard let lse else { return Variable(output) }
    return Self.record(output, inputs: [self, keys, values]) { dy, inputs in
      let (dq, dk, dv) = problem.backward(dy, output: output, lse: lse)
      inputs.add(dq, to: 0)
      inputs.add(dk, to: 1)
      inputs.add(dv, to: 2)
    }
  }
}

/// One attention, its shapes named once: batch B, query positions T, key positions S, heads H,
/// key heads K, head size D.
private struct AttentionProblem: Sendable {
  let q: Tensor
  let k: Tensor
  let v: Tensor
  let scale: Float
  let window: Int

  private var B: Int { q.shape[0] }
  private var T: Int { q.shape[1] }
  private var S: Int { k.shape[1] }
  private var H: Int { q.shape[2] }
  private var K: Int { k.shape[2] }
  private var D: Int { q.shape[3] }

  /// The position of the first query among the keys.
  private var firstQuery: Int { S - T }

  /// The keys that queries `rows` can see at all.
  private func visibleKeys(_ rows: Range<Int>) -> Range<Int> {
    let last = firstQuery + rows.upperBound
    let first = window > 0 ? max(0, firstQuery + rows.lowerBound - window + 1) : 0
    return first..<last
  }

  private func forEachTile(_ body: (Range<Int>) -> Void) {
    for start in stride(from: 0, to: T, by: queryTile) { body(start..<min(T, start + queryTile)) }
  }

  /// Pointers to one head's first element: queries (and outputs) of head h, keys of its group.
  private func queryOffset(_ b: Int, _ row: Int, _ h: Int) -> Int { ((b * T + row) * H + h) * D }
  private func keyOffset(_ b: Int, _ row: Int, _ g: Int) -> Int { ((b * S + row) * K + g) * D }

  func forward(keepingSums: Bool) -> (output: Tensor, lse: Tensor?) {
    var sums: Tensor?
    let tiles = (T + queryTile - 1) / queryTile
    let output = Tensor(shape: q.shape) { o in
      let lse = Tensor.zeros(keepingSums ? [B, H, T] : [0])
      withExtendedLifetime((self, lse)) {
        let lsePointer = keepingSums ? UnsafeMutablePointer(mutating: lse.floats) : nil
        // Later tiles see more keys: hand those out first, so that the threads end together.
        parallelFor(B * H * tiles) { index in
          let (b, h) = (index / tiles / H, index / tiles % H)
          let start = (tiles - 1 - index % tiles) * queryTile
          let rows = start..<min(T, start + queryTile)
          let keys = visibleKeys(rows)
          let g = h / (H / K)
          withScratch(rows.count * keys.count) { s in
            MatrixEngine.sgemm(
              false, true, rows.count, keys.count, D, 1, q.floats + queryOffset(b, start, h), H * D,
              k.floats + keyOffset(b, keys.lowerBound, g), K * D, 0, s, keys.count)
            lk_attention_softmax(
              rows.count, keys.count, keys.count, firstQuery + start, keys.lowerBound, window,
              scale, s, lsePointer.map { $0 + (b * H + h) * T + start })
            MatrixEngine.sgemm(
              false, false, rows.count, D, keys.count, 1, s, keys.count,
              v.floats + keyOffset(b, keys.lowerBound, g), K * D, 0, o + queryOffset(b, start, h),
              H * D)
          }
        }
      }
      sums = keepingSums ? lse : nil
    }
    return (output, sums)
  }

  func backward(_ dy: Tensor, output: Tensor, lse: Tensor) -> (dq: Tensor, dk: Tensor, dv: Tensor) {
    // delta = rowsum(dy * output), [B, T, H].
    let delta = Tensor(shape: [B, T, H]) { delta in
      withExtendedLifetime((dy, output)) {
        lk_row_dots(B * T * H, D, dy.floats, D, output.floats, D, delta)
      }
    }
    var dk = k
    var dv = v
    let dq = Tensor(shape: q.shape) { dq in
      dk = Tensor(shape: k.shape) { dk in
        dv = Tensor(shape: v.shape) { dv in
          withExtendedLifetime((self, dy, lse, delta)) {
            parallelFor(B * K) { index in
              let (b, g) = (index / K, index % K)
              keyHeadBackward(b, g, dy: dy, lse: lse, delta: delta, dq: dq, dk: dk, dv: dv)
            }
          }
        }
      }
    }
    return (dq, dk, dv)
  }

  /// The gradients of one key head and of the queries that share it: one thread's work, so that
  /// the sums over heads have a fixed order.
  private func keyHeadBackward(
    _ b: Int, _ g: Int, dy: Tensor, lse: Tensor, delta: Tensor, dq: UnsafeMutablePointer<Float>,
    dk: UnsafeMutablePointer<Float>, dv: UnsafeMutablePointer<Float>
  ) {
    for row in 0..<S {
      lk_fill(D, 0, dk + keyOffset(b, row, g))
      lk_fill(D, 0, dv + keyOffset(b, row, g))
    }
    withScratch(2 * min(queryTile, T) * S + queryTile) { scratch in
      for h in g * (H / K)..<(g + 1) * (H / K) {
        forEachTile { rows in
          let keys = visibleKeys(rows)
          let (m, n, start) = (rows.count, keys.count, rows.lowerBound)
          let (p, dp, d) = (scratch, scratch + m * n, scratch + 2 * m * n)
          let queries = q.floats + queryOffset(b, start, h)
          let gradient = dy.floats + queryOffset(b, start, h)
          let (keyRows, valueRows) = (
            k.floats + keyOffset(b, keys.lowerBound, g), v.floats + keyOffset(b, keys.lowerBound, g)
          )
          let (dKeys, dValues) = (
            dk + keyOffset(b, keys.lowerBound, g), dv + keyOffset(b, keys.lowerBound, g)
          )
          MatrixEngine.sgemm(
            false, true, m, n, D, 1, queries, H * D, keyRows, K * D, 0, p, n)
          lk_attention_probabilities(
            m, n, n, firstQuery + start, keys.lowerBound, window, scale, p,
            lse.floats + (b * H + h) * T + start)
          for row in 0..<m { d[row] = delta.floats[(b * T + start + row) * H + h] }
          // dv += pᵀ dy;  dp = dy vᵀ;  ds = p (dp - delta) scale
          MatrixEngine.sgemm(true, false, n, D, m, 1, p, n, gradient, H * D, 1, dValues, K * D)
          MatrixEngine.sgemm(false, true, m, n, D, 1, gradient, H * D, valueRows, K * D, 0, dp, n)
          lk_attention_scores_backward(m, n, n, p, dp, d, scale)
          // dq = ds k;  dk += dsᵀ q
          MatrixEngine.sgemm(
            false, false, m, D, n, 1, dp, n, keyRows, K * D, 0, dq + queryOffset(b, start, h), H * D
          )
          MatrixEngine.sgemm(true, false, n, D, m, 1, dp, n, queries, H * D, 1, dKeys, K * D)
        }
      }
    }
  }
}
