package import CLoRAKernels

/// Matrix products by the kernels of this package: those that OpenBLAS does not have (narrow
/// weights, factors rounded to bfloat16, low-rank terms added on the way) and those where sharing
/// the packed rows among the threads pays.
///
/// The rows' factor is packed once for all threads, a chunk or a few at a time, into a block that fits
/// the second-level cache; every thread packs the panels of the other factor that it works on right
/// before they are used. No element of the result is summed in an order that depends on the
/// division of work. Source: Van Zee and van de Geijn, *BLIS*, 2015.
package enum BlockedProduct {
  /// The most rows that are packed at once.
  private static let blockRows = 768

  /// What the kernels in use are made for.
  package static var tile: lk_gemm_tile { lk_gemm_shape() }

  /// A thin product with the same rows: h = scale (a factorᵀ), [m, rank], contiguous.
  package struct Side {
    let factor: lk_factor
    let rank: Int
    let scale: Float
    let h: UnsafeMutablePointer<Float>
  }

  /// c = alpha (a bᵀ + Σ tails) + beta c, c of shape [m, n] with `ldc` elements between its rows.
  ///
  /// - Parameters:
  ///   - k: the length of the sums.
  ///   - a: m rows; `b`: n rows. One of the strides of each should be 1.
  ///   - rounds: both factors are rounded to bfloat16. The tails never are.
  ///   - sides: thin products that share the packed rows. Complete before the tails are read, so
  ///     that a tail may be made of one.
  ///   - tails: terms in float32 that are added while the tile lies in registers.
  package static func compute(
    m: Int, n: Int, k: Int, _ a: lk_factor, _ b: lk_factor, sides: [Side] = [],
    tails: [lk_gemm_tail] = [], rounds: Bool = false, alpha: Float = 1, beta: Float = 0,
    _ c: UnsafeMutablePointer<Float>,
    ldc: Int
  ) {
    guard m > 0, n > 0 else { return }
    let tailDepth = tails.reduce(0) { $0 + $1.depth }
    if tailDepth > Int(LK_GEMM_TAIL) {
      compute(
        m: m, n: n, k: k, a, b, sides: sides, rounds: rounds, alpha: alpha, beta: beta, c, ldc: ldc)
      for tail in tails {
        compute(m: m, n: n, k: tail.depth, tail.a, tail.b, alpha: alpha, beta: 1, c, ldc: ldc)
      }
      return
    }
    let tile = tile
    let chunks = lk_gemm_chunks(k, rounds)
    let blocks = (m + blockRows - 1) / blockRows
    let mostRows = (m + blocks - 1) / blocks
    let together = chunksTogether(chunks, ofBytes: mostRows * tile.depth * 4, result: m * n * 4)
    let groups = (chunks + together - 1) / together
    var job = lk_gemm()
    (job.m, job.n, job.k, job.chunks) = (mostRows, n, k, chunks)
    (job.rounds, job.alpha, job.beta, job.tail_depth) = (rounds, alpha, beta, tailDepth)
    let room = room(job, groups: groups)
    withScratch(room.packed + room.packed_tail) { packed in
      job.packed = UnsafeMutableRawPointer(packed).assumingMemoryBound(to: UInt32.self)
      job.packed_tail = packed + room.packed
      tails.withUnsafeBufferPointer { tails in
        for block in 0..<blocks {
          let row = block * m / blocks
          let rows = (block + 1) * m / blocks - row
          (job.m, job.a, job.b) = (rows, a.advanced(byRows: row), b)
          (job.c, job.ldc) = (c + row * ldc, ldc)
          // Tails of this block's rows.
          let blockTails = tails.map {
            lk_gemm_tail(a: $0.a.advanced(byRows: row), b: $0.b, depth: $0.depth)
          }
          blockTails.withUnsafeBufferPointer { blockTails in
            job.tails = blockTails.baseAddress
            job.tail_count = blockTails.count
            for group in 0..<groups {
              (job.first_chunk, job.end_chunk) = part(group, of: groups, job)
              pack(job, tile)
              for side in sides {
                var thin = job
                (thin.n, thin.b, thin.ldc) = (side.rank, side.factor, side.rank)
                (thin.c, thin.alpha) = (side.h + row * side.rank, side.scale)
                (thin.beta, thin.tail_count, thin.tail_depth) = (0, 0, 0)
                multiply(thin, tile)
              }
              if job.end_chunk == chunks, tailDepth > 0 { packTails(job, tile) }
              multiply(job, tile)
            }
          }
        }
      }
    }
  }

  /// How many chunks of the rows' factor, of so many bytes each, are packed at a time.
  ///
  /// One is best where the result stays in the caches from one chunk to the next. Where it is too
  /// large for them, as logits are, all chunks that fit half of the second level are: the result
  /// is then read and written fewer times.
  private static func chunksTogether(_ chunks: Int, ofBytes bytes: Int, result: Int) -> Int {
    guard result > 16 << 20 else { return 1 }
    return min(chunks, max(1, Int(lk_second_level_cache()) / 2 / max(1, bytes)))
  }

  /// The chunks of one of the groups that are packed together.
  private static func part(
    _ group: Int, of groups: Int, _ job: lk_gemm
  ) -> (first: Int, end: Int) {
    (group * job.chunks / groups, (group + 1) * job.chunks / groups)
  }

  /// The room that the largest group takes.
  private static func room(_ job: lk_gemm, groups: Int) -> lk_gemm_words {
    var (job, most) = (job, lk_gemm_words())
    for group in 0..<groups {
      (job.first_chunk, job.end_chunk) = part(group, of: groups, job)
      let room = lk_gemm_room(&job)
      most.packed = max(most.packed, room.packed)
      most.packed_tail = max(most.packed_tail, room.packed_tail)
    }
    return most
  }

  // A thread is worth waking for about ten microseconds of work.

  private static func panels(_ job: lk_gemm, _ tile: lk_gemm_tile) -> Int {
    (job.m + tile.rows - 1) / tile.rows
  }

  /// The length of the packed part of the sums, about.
  private static func depth(_ job: lk_gemm) -> Int {
    job.k * (job.end_chunk - job.first_chunk) / job.chunks
  }

  private static func pack(_ job: lk_gemm, _ tile: lk_gemm_tile) {
    let group = max(4, (1 << 14) / max(1, depth(job) * tile.rows))
    parallelTiles(panels(job, tile), tile: group) { range in
      withUnsafePointer(to: job) { lk_gemm_pack($0, range.lowerBound, range.upperBound) }
    }
  }

  private static func packTails(_ job: lk_gemm, _ tile: lk_gemm_tile) {
    let group = max(4, (1 << 14) / max(1, job.tail_depth * tile.rows))
    parallelTiles(panels(job, tile), tile: group) { range in
      withUnsafePointer(to: job) { lk_gemm_pack_tails($0, range.lowerBound, range.upperBound) }
    }
  }

  /// Multiplies the packed chunks, divided over columns, and over rows where columns are few
  /// (although each part then packs the columns again). The division changes no bit.
  private static func multiply(_ job: lk_gemm, _ tile: lk_gemm_tile) {
    let panels = panels(job, tile)
    let columnPanels = (job.n + tile.columns - 1) / tile.columns
    let threads = Threads.count
    let depth = depth(job)
    let isSmall = job.m * job.n * depth <= 1 << 18
    let work = max(1, 2 * job.m * depth * tile.columns)
    // Twelve units a thread leave little to wait for at the end; whole bands are packed fastest.
    let bandPanels = tile.band / tile.columns
    var group = min(columnPanels / (12 * threads), (1 << 26) / work)
    if group > bandPanels { group -= group % bandPanels }
    group = max(1, group, (1 << 20) / work)
    let columnUnits = isSmall ? 1 : (columnPanels + group - 1) / group
    let rowUnits =
      isSmall || columnUnits >= 2 * threads
      ? 1 : max(1, min((panels + 3) / 4, (4 * threads + columnUnits - 1) / columnUnits))
    let columns = isSmall ? job.n : group * tile.columns
    // A thread's units lie side by side: it finds there what it asked for while it computed the
    // ones before.
    parallelFor(columnUnits * rowUnits) { unit in
      let first = unit / rowUnits * columns
      let part = unit % rowUnits
      withUnsafePointer(to: job) {
        lk_gemm_multiply(
          $0, part * panels / rowUnits, (part + 1) * panels / rowUnits, first,
          min(job.n, first + columns))
      }
    }
  }
}

extension lk_factor {
  /// Rows of `depth` contiguous elements, `stride` elements apart.
  package init(rows data: UnsafeRawPointer, _ element: lk_element = LK_F32, stride: Int) {
    self.init(data: data, element: element, row_stride: stride, depth_stride: 1)
  }

  /// The transpose of a matrix whose rows lie `stride` elements apart.
  package init(columns data: UnsafeRawPointer, _ element: lk_element = LK_F32, stride: Int) {
    self.init(data: data, element: element, row_stride: 1, depth_stride: stride)
  }

  func advanced(byRows rows: Int) -> lk_factor {
    var copy = self
    let size = element == LK_F32 ? 4 : 2
    copy.data = data.map { $0 + rows * row_stride * size }
    return copy
  }
}

extension DType {
  /// The kernels' name of a floating-point type that products take. Traps for others.
  package var element: lk_element {
    switch self {
    case .float32: LK_F32
    case .bfloat16: LK_BF16
    case .float16: LK_F16
    default: misuse("a weight of type \(self) can't be multiplied")
    }
  }
}
