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

  func tiledForward(into o: UnsafeMutablePointer<Float>, lse: UnsafeMutablePointer<Float>?) {
    let heads = B * K * panelFloats
    withScratch(2 * heads) { panels in
      packTransposed(k.floats, into: panels)
      packRows(v.floats, into: panels + heads)
      // Under a causal mask later tiles see more keys: hand those out first, so that the threads end
      // together.
      parallelFor(B * H * tiles) { index in
        let (b, h) = (index / H % B, index % H)
        let tile = tiles - 1 - index / (B * H)
        let head = (b * K + h / (H / K)) * panelFloats
        let rows = queries(ofTile: tile)
        intervals.withVisible(b, rows) { visible in
          forwardTile(
            b, h, rows, visible, keys: panels + head, values: panels + heads + head, into: o,
            lse: lse)
        }
      }
    }
  }

  /// The outputs of queries `rows` of head `h`.
  private func forwardTile(
    _ b: Int, _ h: Int, _ rows: Range<Int>, _ visible: VisibleKeys, keys: UnsafePointer<Float>,
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
      // Not every query sees some of the first block, and some see nothing.
      lk_fill(m * D, 0, sum)
      packQueries(b, h, rows, visible, into: query)
      var isFirst = true
      visible.forEachBlock(length: block) { range in
        visible.forEachStep(range) { rows, columns in
          lk_panel_product(
            rows.count, panelled(columns.count), D, query + rows.lowerBound * D, D, 1,
            keys + (range.lowerBound + columns.lowerBound) * D, D * panelWidth, false,
            s + rows.lowerBound * stride + columns.lowerBound, stride)
        }
        lk_attention_exponentials(
          m, range.count, stride, visible.first, visible.end, range.lowerBound, softCap,
          slope(h), bias(h, start, range.lowerBound), s, largest, total, factor)
        if !isFirst {
          for row in 0..<m where factor[row] != 1 {
            lk_scale(D, factor[row], sum + row * D, sum + row * D)
          }
        }
        visible.forEachStep(range) { rows, columns in
          lk_panel_product(
            rows.count, D, columns.count, s + rows.lowerBound * stride + columns.lowerBound,
            stride, 1, values + (range.lowerBound + columns.lowerBound) * panelWidth,
            S * panelWidth, true, sum + rows.lowerBound * D, D)
        }
        isFirst = false
      }
      // Heads of one position are neighbours: rows of the output are H * D apart.
      lk_attention_finish(
        m, D, sum, largest, total, o + queryOffset(b, start, h), H * D,
        lse.map { $0 + (b * H + h) * T + start })
    }
  }

  /// Copies queries `rows` of head `h`, multiplied by the scale, next to each other; zeros for those
  /// that see nothing, whatever they hold.
  func packQueries(
    _ b: Int, _ h: Int, _ rows: Range<Int>, _ visible: VisibleKeys,
    into target: UnsafeMutablePointer<Float>
  ) {
    for (index, row) in rows.enumerated() {
      if visible.isEmpty(index) {
        lk_fill(D, 0, target + index * D)
      } else {
        lk_scale(D, scale, q.floats + queryOffset(b, row, h), target + index * D)
      }
    }
  }
}
