import CLoRAKernels
import LoRATensor

extension Variable {
  /// Scaled dot-product attention with grouped heads; this variable holds the queries.
  ///
  /// - Parameters:
  ///   - keys: `[batch, keyPositions, keyHeads, size]`; head `h` of the queries uses key head
  ///     `h / (heads / keyHeads)`.
  ///   - values: in the keys' shape.
  ///   - mask: the keys that each query sees. Within a sequence the last query is at the last key's
  ///     position.
  ///   - scale: the factor of the scores, `1 / sqrt(size)` if nil.
  ///   - softCap: the soft cap c of the scaled scores s, which become `c tanh(s / c)`, as in Gemma
  ///     2; nil for none.
  ///   - slopes: ALiBi's slope of each head, `[heads]`: of every score, slope times the distance from the
  ///     last key that the query sees is subtracted; empty for none. Meant for causal masks, under which
  ///     that key is at the query's own position. Source: Press et al., *Train short, test long*, 2022.
  ///   - sinks: the score of each head, `[heads]`, that takes part in the softmax and has no value
  ///     (gpt-oss); nil for none. Source: Xiao et al., *Efficient streaming language models with attention
  ///     sinks*, 2023.
  ///   - bias: what is added to every score by the distance of its key from the query, `[heads, keys +
  ///     positions - 1]`: a column for each distance from -(keys - 1), the first key's from the last query,
  ///     to positions - 1. Nil for none. Not for cross attention, whose queries have no position among
  ///     the keys, and not with a soft cap. Source: Raffel et al., *Exploring the limits of transfer
  ///     learning with a unified text-to-text transformer*, 2020.
  /// - Returns: the queries' shape, `[batch, positions, heads, size]`; zeros for a query that sees
  ///   no key.
  ///
  /// Memory grows linearly with the sequence length: tiles of scores are computed, used and
  /// dropped, and recomputed in the backward pass from the logarithm of each row's sum. Tiles that
  /// the mask empties are never computed. Source: Dao et al., *FlashAttention*, 2022.
  public func attention(
    keys: Variable, values: Variable, mask: AttentionMask, scale: Float? = nil,
    softCap: Float? = nil, slopes: [Float] = [], sinks: Variable? = nil,
    bias: Variable? = nil
  ) -> Variable {
    require(
      sinks.map { $0.shape == [shape[2]] } ?? true,
      "sinks \(sinks.map { "\($0.shape)" } ?? "") for queries \(shape)")
    require(
      slopes.isEmpty || slopes.count == shape[2] && slopes.allSatisfy(\.isFinite),
      "\(slopes.count) slopes for queries \(shape)")
    require(
      shape.count == 4 && keys.shape.count == 4 && keys.shape == values.shape
        && keys.shape[0] == shape[0] && keys.shape[3] == shape[3] && keys.shape[2] > 0
        && shape[2] % keys.shape[2] == 0,
      "attention of queries \(shape), keys \(keys.shape), values \(values.shape)")
    require(
      softCap.map { $0 >= .leastNormalMagnitude && $0.isFinite } ?? true,
      "a soft cap of \(softCap ?? 0); it must be above 0, or nil for none")
    if let bias {
      require(
        bias.shape == [shape[2], keys.shape[1] + shape[1] - 1] && bias.value.dtype == .float32,
        "a bias \(bias.value.dtype) \(bias.shape) for queries \(shape) and keys \(keys.shape)")
      require(
        mask.hasPositions && softCap == nil,
        "a bias by distance with \(softCap == nil ? "cross attention" : "a soft cap")")
    }
    let problem = AttentionProblem(
      q: value, k: keys.value, v: values.value,
      intervals: mask.intervals(batch: shape[0], queries: shape[1], keys: keys.shape[1]),
      scale: scale ?? 1 / Float(shape[3]).squareRoot(), softCap: softCap ?? 0, slopes: slopes,
      bias: bias?.value)
    let inputs = [self, keys, values] + [sinks, bias].compactMap { $0 }
    let isRecorded = GradientMode.isRecording && inputs.contains(where: \.requiresGradient)
    let isBiasNeeded = bias?.requiresGradient ?? false
    var (output, lse) = problem.forward(keepingSums: isRecorded || sinks != nil)
    if let sinks { problem.share(&output, &lse, with: sinks.value.scalars()) }
    guard isRecorded, let sums = lse else { return Variable(output) }
    let result = output
    return Self.record(result, inputs: inputs) { dy, inputs in
      let (dq, dk, dv, dbias) = problem.backward(
        dy, output: result, lse: sums, withBias: isBiasNeeded)
      inputs.add(dq, to: 0)
      inputs.add(dk, to: 1)
      inputs.add(dv, to: 2)
      if let sinks, inputs.isNeeded(3) {
        inputs.add(
          problem.gradient(ofSinks: sinks.value.scalars(), dy, output: result, lse: sums), to: 3)
      }
      if let dbias { inputs.add(dbias, to: sinks == nil ? 3 : 4) }
    }
  }

  /// Causal attention: ``attention(keys:values:mask:scale:softCap:slopes:sinks:bias:)`` with
  /// ``AttentionMask/causal(window:)``.
  public func attention(
    keys: Variable, values: Variable, scale: Float? = nil, window: Int? = nil
  ) -> Variable {
    attention(keys: keys, values: values, mask: .causal(window: window), scale: scale)
  }
}

/// One attention, its shapes named once: batch B, query positions T, key positions S, heads H,
/// key heads K, head size D.
struct AttentionProblem: Sendable {
  /// Queries of one head are treated in tiles of this many rows, so that no `[T, T]` matrix exists.
  static let queryTile = 64
  /// Below so many queries packing the keys costs more than it gives.
  private static let fewQueries = 8

  let q: Tensor
  let k: Tensor
  let v: Tensor
  let intervals: KeyIntervals
  let scale: Float
  /// 0 for none.
  let softCap: Float
  /// One of each head; empty for none.
  let slopes: [Float]
  /// What scores of a distance get, `[H, S + T - 1]`; nil for nothing.
  let bias: Tensor?

  var B: Int { q.shape[0] }
  var T: Int { q.shape[1] }
  var S: Int { k.shape[1] }
  var H: Int { q.shape[2] }
  var K: Int { k.shape[2] }
  var D: Int { q.shape[3] }

  /// The number of tiles of queries of one head.
  var tiles: Int { (T + Self.queryTile - 1) / Self.queryTile }

  /// The rows of a tile of queries.
  func queries(ofTile tile: Int) -> Range<Int> {
    let start = tile * Self.queryTile
    return start..<min(T, start + Self.queryTile)
  }

  func slope(_ h: Int) -> Float { slopes.isEmpty ? 0 : slopes[h] }

  /// The number of distances.
  var distances: Int { S + T - 1 }

  /// Which distance key `key` has from query `row`.
  func distance(_ row: Int, _ key: Int) -> Int { key - row + T - 1 }

  /// The bias of head `h` as kernels take it, for queries from `row` and keys from `key` on.
  func bias(_ h: Int, _ row: Int, _ key: Int) -> UnsafePointer<Float>? {
    bias.map { $0.floats + h * distances + distance(row, key) }
  }

  /// Offsets of one head's row: queries (and outputs) of head h, keys of key head g.
  func queryOffset(_ b: Int, _ row: Int, _ h: Int) -> Int { ((b * T + row) * H + h) * D }
  func keyOffset(_ b: Int, _ row: Int, _ g: Int) -> Int { ((b * S + row) * K + g) * D }

  /// The attention's output, and the logarithms of its rows' sums, `[B, H, T]`, if they are asked
  /// for.
  func forward(keepingSums: Bool) -> (output: Tensor, lse: Tensor?) {
    let lse = keepingSums ? Tensor.zeros([B, H, T]) : nil
    let output = Tensor(shape: q.shape) { o in
      withExtendedLifetime((self, lse)) {
        let sums = lse.map { UnsafeMutablePointer(mutating: $0.floats) }
        if T < Self.fewQueries {
          fewRowsForward(into: o, lse: sums)
        } else {
          tiledForward(into: o, lse: sums)
        }
      }
    }
    return (output, lse)
  }

  /// All queries of a head at once, keys and values where they lie: for decoding.
  private func fewRowsForward(
    into o: UnsafeMutablePointer<Float>, lse: UnsafeMutablePointer<Float>?
  ) {
    if T == 0 { return }
    parallelFor(B * H) { index in
      let (b, h) = (index / H, index % H)
      intervals.withVisible(b, 0..<T) { visible in
        fewRowsForward(
          b, h, visible, into: o + queryOffset(b, 0, h), lse: lse.map { $0 + (b * H + h) * T })
      }
    }
  }

  private func fewRowsForward(
    _ b: Int, _ h: Int, _ visible: VisibleKeys, into o: UnsafeMutablePointer<Float>,
    lse: UnsafeMutablePointer<Float>?
  ) {
    let keys = visible.keys
    if keys.isEmpty {
      for row in 0..<T { lk_fill(D, 0, o + row * H * D) }
      if let lse { lk_fill(T, -.infinity, lse) }
      return
    }
    let offset = keyOffset(b, keys.lowerBound, h / (H / K))
    withScratch(T * keys.count) { s in
      MatrixEngine.sgemm(
        false, true, T, keys.count, D, 1, q.floats + queryOffset(b, 0, h), H * D,
        k.floats + offset, K * D, 0, s, keys.count)
      lk_attention_softmax(
        T, keys.count, keys.count, visible.first, visible.end, keys.lowerBound, scale, softCap,
        slope(h), bias(h, 0, keys.lowerBound), s, lse)
      MatrixEngine.sgemm(
        false, false, T, D, keys.count, 1, s, keys.count, v.floats + offset, K * D, 0, o, H * D)
    }
  }
}
