import CLoRAKernels
import LoRATensor

extension AttentionProblem {
  /// The tiles of one key head's queries are dealt to so many pieces of work that there are at least
  /// this many in all: few enough that the sums that each keeps, `[S, D]` twice, stay small.
  private static let pieces = 16

  /// How many pieces the work of one key head is cut into.
  private var piecesPerKeyHead: Int {
    min(H / K * tiles, (Self.pieces + B * K - 1) / (B * K))
  }

  /// The gradients of queries, keys and values, and of the bias if it is asked for.
  ///
  /// A piece of work has some tiles of queries of the heads that share one key head, and sums up
  /// what they give to keys and values by itself; those sums are added in the order of the pieces.
  /// So the result does not depend on the threads, and memory grows with S, not with T times S.
  func backward(
    _ dy: Tensor, output: Tensor, lse: Tensor, withBias: Bool
  ) -> (dq: Tensor, dk: Tensor, dv: Tensor, dbias: Tensor?) {
    var dk = k
    var dv = v
    var dbias = withBias ? Tensor.zeros([H, distances]) : nil
    let dq = Tensor(shape: q.shape) { dq in
      dk = Tensor(shape: k.shape) { dk in
        dv = Tensor(shape: v.shape) { dv in
          withExtendedLifetime((self, dy, output, lse)) {
            func run(_ dbias: UnsafeMutablePointer<Float>?) {
              backward(
                dy.floats, output.floats, lse.floats, dq: dq, dk: dk, dv: dv, dbias: dbias)
            }
            if withBias {
              dbias?.withUnsafeMutableBytes { run($0.baseAddress?.floats) }
            } else {
              run(nil)
            }
          }
        }
      }
    }
    return (dq, dk, dv, dbias)
  }

  private func backward(
    _ dy: UnsafePointer<Float>, _ output: UnsafePointer<Float>, _ lse: UnsafePointer<Float>,
    dq: UnsafeMutablePointer<Float>, dk: UnsafeMutablePointer<Float>,
    dv: UnsafeMutablePointer<Float>, dbias: UnsafeMutablePointer<Float>?
  ) {
    let heads = B * K * panelFloats
    let pieces = piecesPerKeyHead
    let biasFloats = dbias == nil ? 0 : H / K * distances
    withScratch(3 * heads + B * K * pieces * (2 * S * D + biasFloats)) { scratch in
      let sums = scratch + 3 * heads
      let biasSums = sums + 2 * B * K * pieces * S * D
      packTransposed(k.floats, into: scratch)
      packTransposed(v.floats, into: scratch + heads)
      packRows(k.floats, into: scratch + 2 * heads)
      parallelFor(B * K * pieces) { index in
        let head = index / pieces
        let panels = scratch + head * panelFloats
        backwardPiece(
          head / K, head % K, piece: index % pieces, of: pieces,
          BackwardTile(
            dy: dy, output: output, lse: lse, dq: dq, keysTransposed: panels,
            valuesTransposed: panels + heads, keys: panels + 2 * heads,
            dk: sums + 2 * index * S * D, dv: sums + (2 * index + 1) * S * D,
            dbias: dbias.map { _ in biasSums + index * biasFloats }))
      }
      if let dbias {
        // A key head's queries are those of neighbouring heads.
        for index in 0..<B * K * pieces {
          let target = dbias + index / pieces % K * biasFloats
          lk_add(biasFloats, biasSums + index * biasFloats, target, target)
        }
      }
      let block = 64
      let blocks = (S + block - 1) / block
      parallelFor(B * K * blocks) { index in
        let (head, start) = (index / blocks, index % blocks * block)
        let keys = start..<min(S, start + block)
        let first = sums + 2 * head * pieces * S * D
        gather(first, pieces, keys, into: dk + keyOffset(head / K, 0, head % K))
        gather(first + S * D, pieces, keys, into: dv + keyOffset(head / K, 0, head % K))
      }
    }
  }

  /// Adds up the pieces' sums for some keys and writes them where the key head's rows lie.
  private func gather(
    _ sums: UnsafeMutablePointer<Float>, _ pieces: Int, _ keys: Range<Int>,
    into target: UnsafeMutablePointer<Float>
  ) {
    let (offset, n) = (keys.lowerBound * D, keys.count * D)
    for piece in 1..<max(pieces, 1) {
      lk_add(n, sums + 2 * piece * S * D + offset, sums + offset, sums + offset)
    }
    for row in keys { (target + row * K * D).update(from: sums + row * D, count: D) }
  }

  /// What the pieces of one key head read and write.
  private struct BackwardTile {
    let dy: UnsafePointer<Float>
    let output: UnsafePointer<Float>
    let lse: UnsafePointer<Float>
    let dq: UnsafeMutablePointer<Float>
    let keysTransposed: UnsafePointer<Float>
    let valuesTransposed: UnsafePointer<Float>
    let keys: UnsafePointer<Float>
    let dk: UnsafeMutablePointer<Float>
    let dv: UnsafeMutablePointer<Float>
    /// `[H / K, S + T - 1]`; nil if nobody wants it.
    let dbias: UnsafeMutablePointer<Float>?
  }

  private func backwardPiece(_ b: Int, _ g: Int, piece: Int, of pieces: Int, _ tile: BackwardTile) {
    let group = H / K
    let count = group * tiles
    lk_fill(S * D, 0, tile.dk)
    lk_fill(S * D, 0, tile.dv)
    if let dbias = tile.dbias { lk_fill(group * distances, 0, dbias) }
    // Dealt from the most work to the least, to and fro, so that all pieces get as much.
    for round in 0..<(count + pieces - 1) / pieces {
      let place = round.isMultiple(of: 2) ? piece : pieces - 1 - piece
      let item = round * pieces + place
      if item < count {
        let rows = queries(ofTile: tiles - 1 - item / group)
        intervals.withVisible(b, rows) { visible in
          backwardTile(b, g * group + item % group, rows, visible, tile)
        }
      }
    }
  }

  /// The gradients that queries `rows` of head `h` give.
  private func backwardTile(
    _ b: Int, _ h: Int, _ rows: Range<Int>, _ visible: VisibleKeys, _ tile: BackwardTile
  ) {
    let block = 128
    let stride = block + scorePadding
    let (m, start) = (rows.count, rows.lowerBound)
    let width = panelled(D)
    withScratch(m * (3 * D + 2 * width + 2 * stride + 1)) { scratch in
      let (query, gradient, dquery) = (scratch, scratch + m * D, scratch + 2 * m * D)
      let queryPanels = scratch + 3 * m * D
      let gradientPanels = queryPanels + m * width
      let p = gradientPanels + m * width
      let ds = p + m * stride
      let delta = ds + m * stride
      let dy = tile.dy + queryOffset(b, start, h)
      lk_fill(m * D, 0, dquery)
      packQueries(b, h, rows, visible, into: query)
      for row in 0..<m {
        if visible.isEmpty(row) {
          lk_fill(D, 0, gradient + row * D)
        } else {
          (gradient + row * D).update(from: dy + row * H * D, count: D)
        }
      }
      lk_pack_panels(m, D, query, D, queryPanels, m * panelWidth)
      lk_pack_panels(m, D, gradient, D, gradientPanels, m * panelWidth)
      // delta = rowsum(dy * output), which is rowsum(p * dp)
      lk_row_dots(m, D, gradient, D, tile.output + queryOffset(b, start, h), H * D, delta)
      visible.forEachBlock(length: block) { range in
        visible.forEachStep(range) { rows, columns in
          let (row, count) = (rows.lowerBound, panelled(columns.count))
          let offset = (range.lowerBound + columns.lowerBound) * D
          let scores = row * stride + columns.lowerBound
          lk_panel_product(
            rows.count, count, D, query + row * D, D, 1, tile.keysTransposed + offset,
            D * panelWidth, false, p + scores, stride)
          lk_panel_product(
            rows.count, count, D, gradient + row * D, D, 1, tile.valuesTransposed + offset,
            D * panelWidth, false, ds + scores, stride)
        }
        lk_attention_gradients(
          m, range.count, stride, visible.first, visible.end, range.lowerBound, softCap,
          slope(h), bias(h, start, range.lowerBound), p, ds, tile.lse + (b * H + h) * T + start,
          delta)
        if let dbias = tile.dbias {
          let sums = dbias + h % (H / K) * distances
          for row in 0..<m {
            let keys = visible.keys(ofRow: row).clamped(to: range)
            if keys.isEmpty { continue }
            let target = sums + distance(start + row, keys.lowerBound)
            let offset = row * stride + keys.lowerBound - range.lowerBound
            lk_add(keys.count, ds + offset, target, target)
          }
        }
        // dv += pᵀ dy, dk += dsᵀ q, dq += ds k
        visible.forEachKeyStep(range) { columns, rows in
          let row = rows.lowerBound
          let scores = row * stride + columns.lowerBound
          let offset = (range.lowerBound + columns.lowerBound) * D
          lk_panel_product(
            columns.count, D, rows.count, p + scores, 1, stride,
            gradientPanels + row * panelWidth, m * panelWidth, true, tile.dv + offset, D)
          lk_panel_product(
            columns.count, D, rows.count, ds + scores, 1, stride,
            queryPanels + row * panelWidth, m * panelWidth, true, tile.dk + offset, D)
        }
        visible.forEachStep(range) { rows, columns in
          let row = rows.lowerBound
          lk_panel_product(
            rows.count, D, columns.count, ds + row * stride + columns.lowerBound, stride, 1,
            tile.keys + (range.lowerBound + columns.lowerBound) * panelWidth, S * panelWidth, true,
            dquery + row * D, D)
        }
      }
      for row in 0..<m {
        lk_scale(D, scale, dquery + row * D, tile.dq + queryOffset(b, start + row, h))
      }
    }
  }
}
