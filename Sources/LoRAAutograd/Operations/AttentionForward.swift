import CLoRAKernels
import LoRATensor

// Attention in tiles: 64 queries of one head at a time, against blocks of the keys that they see. Keys
// and values are packed once for all queries of a pass; scores of one block stay in the cache.

/// The columns of a packed panel, as `lk_pack_panels` has them.
let panelWidth = 32

/// `count` rounded up to whole panels.
func panelled(_ count: Int) -> Int { (count + panelWidth - 1) / panelWidth * panelWidth }

/// Rows of scores are this much longer than a block, so that a column of them, which products with
/// transposed probabilities read, is spread over the sets of the cache.
let scorePadding = 16

extension AttentionProblem {
  /// The floats of one key head's panels, row by row or transposed.
  var panelFloats: Int { panelled(S) * panelled(D) }

  /// Packs keys or values `x`, `[B, S, K, D]`, row by row: panels `[D / 32, S, 32]` a key head.
  func packRows(_ x: UnsafePointer<Float>, into panels: UnsafeMutablePointer<Float>) {
    packBlocks { b, g, keys in
      lk_pack_panels(
        keys.count, D, x + keyOffset(b, keys.lowerBound, g), K * D,
        panels + (b * K + g) * panelFloats + keys.lowerBound * panelWidth, S * panelWidth)
    }
  }

  /// Packs keys or values `x`, `[B, S, K, D]`, transposed: panels `[S / 32, D, 32]` a key head.
  func packTransposed(_ x: UnsafePointer<Float>, into panels: UnsafeMutablePointer<Float>) {
    packBlocks { b, g, keys in
      lk_pack_panels_transposed(
        D, keys.count, x + keyOffset(b, keys.lowerBound, g), K * D,
        panels + (b * K + g) * panelFloats + keys.lowerBound * D, D * panelWidth)
    }
  }

  private func packBlocks(_ body: (_ b: Int, _ g: Int, _ keys: Range<Int>) -> Void) {
    let block = 256
    let blocks = (S + block - 1) / block
    parallelFor(B * K * blocks) { index in
      let (head, start) = (index / blocks, index % blocks * block)
      body(head / K, head % K, start..<min(S, start + block))
    }
  }

  /// Calls `body` with blocks of at most `length` of the keys that `queries` see, which begin where
  /// panels do.
  func forEachBlock(_ queries: Range<Int>, length: Int, _ body: (Range<Int>) -> Void) {
    let keys = visibleKeys(queries)
    var start = keys.lowerBound / panelWidth * panelWidth
    while start < keys.upperBound {
      let end = min(keys.upperBound, start + length)
      body(start..<end)
      start = end
    }
  }

  /// Calls `body` with rows of the tile `queries`, counted from its first, and how many of `keys`
  /// the last of them sees: in one piece before the diagonal, in pieces of 32 rows along it, where
  /// half of the products would be of what the mask hides.
  func forEachStep(
    _ queries: Range<Int>, _ keys: Range<Int>, _ body: (_ rows: Range<Int>, _ visible: Int) -> Void
  ) {
    let first = firstQuery + queries.lowerBound
    if first >= keys.upperBound - 1 { return body(0..<queries.count, keys.count) }
    var start = 0
    while start < queries.count {
      let end = min(queries.count, start + 32)
      let visible = min(keys.count, first + end - keys.lowerBound)
      if visible > 0 { body(start..<end, visible) }
      start = end
    }
  }

  /// The same by keys: calls `body` with some of `keys`, counted from their first, and the first row
  /// of the tile that sees any of them.
  func forEachKeyStep(
    _ queries: Range<Int>, _ keys: Range<Int>, _ body: (_ keys: Range<Int>, _ row: Int) -> Void
  ) {
    let first = firstQuery + queries.lowerBound
    // What the first query sees is seen by all.
    let common = first + 1 - keys.lowerBound
    var start = common >= keys.count ? keys.count : max(0, common / 32 * 32)
    if start > 0 { body(0..<start, 0) }
    while start < keys.count {
      let end = min(keys.count, start + 32)
      body(start..<end, max(0, keys.lowerBound + start - first))
      start = end
    }
  }

  func tiledForward(into o: UnsafeMutablePointer<Float>, lse: UnsafeMutablePointer<Float>?) {
    let heads = B * K * panelFloats
    withScratch(2 * heads) { panels in
      packTransposed(k.floats, into: panels)
      packRows(v.floats, into: panels + heads)
      // Later tiles see more keys: hand those out first, so that the threads end together.
      parallelFor(B * H * tiles) { index in
        let (b, h) = (index / H % B, index % H)
        let tile = tiles - 1 - index / (B * H)
        let head = (b * K + h / (H / K)) * panelFloats
        forwardTile(
          b, h, queries(ofTile: tile), keys: panels + head, values: panels + heads + head, into: o,
          lse: lse)
      }
    }
  }

  /// The outputs of queries `rows` of head `h`.
  private func forwardTile(
    _ b: Int, _ h: Int, _ rows: Range<Int>, keys: UnsafePointer<Float>,
    values: UnsafePointer<Float>, into o: UnsafeMutablePointer<Float>,
    lse: UnsafeMutablePointer<Float>?
  ) {
    let block = 256
    let stride = block + scorePadding
    let (m, start) = (rows.count, rows.lowerBound)
    withScratch(m * (2 * D + stride + 4)) { scratch in
      let (query, sum, s) = (scratch, scratch + m * D, scratch + 2 * m * D)
      let largest = s + m * stride
      let factor = largest + m
      let total = UnsafeMutableRawPointer(factor + m).assumingMemoryBound(to: Double.self)
      lk_fill(m, -.infinity, largest)
      total.update(repeating: 0, count: m)
      packQueries(b, h, rows, into: query)
      var isFirst = true
      forEachBlock(rows, length: block) { range in
        forEachStep(rows, range) { part, n in
          lk_panel_product(
            part.count, panelled(n), D, query + part.lowerBound * D, D, 1,
            keys + range.lowerBound * D, D * panelWidth, false, s + part.lowerBound * stride, stride
          )
        }
        lk_attention_exponentials(
          m, range.count, stride, firstQuery + start, range.lowerBound, window, s, largest, total,
          factor)
        if !isFirst {
          for row in 0..<m where factor[row] != 1 {
            lk_scale(D, factor[row], sum + row * D, sum + row * D)
          }
        }
        forEachStep(rows, range) { part, n in
          lk_panel_product(
            part.count, D, n, s + part.lowerBound * stride, stride, 1,
            values + range.lowerBound * panelWidth, S * panelWidth, !isFirst,
            sum + part.lowerBound * D, D)
        }
        isFirst = false
      }
      // Heads of one position are neighbours: rows of the output are H * D apart.
      lk_attention_finish(
        m, D, sum, largest, total, o + queryOffset(b, start, h), H * D,
        lse.map { $0 + (b * H + h) * T + start })
    }
  }

  /// Copies queries `rows` of head `h`, multiplied by the scale, next to each other.
  func packQueries(
    _ b: Int, _ h: Int, _ rows: Range<Int>, into target: UnsafeMutablePointer<Float>
  ) {
    for (index, row) in rows.enumerated() {
      lk_scale(D, scale, q.floats + queryOffset(b, row, h), target + index * D)
    }
  }
}
