import CLoRAKernels

/// The number of threads of the library's thread pool.
///
/// The pool is process-wide. Results never depend on the number of threads: shapes alone determine
/// the tiles, and one tile computes every output.
public enum Threads {
  /// The number of threads, including the caller. Setting 0 means one per processor, the default
  /// unless the environment variable `LORA_THREADS` gives another number.
  public static var count: Int {
    get { Int(lk_thread_count()) }
    set { lk_set_thread_count(Int32(clamping: newValue)) }
  }
}

/// The instruction set of the kernels, for reports and measurements.
public enum KernelFamily: Int32, Sendable, CaseIterable {
  case reference, generic, avx2, avx512, avx512bf16, neon

  /// The name, as used in the environment variable `LORA_KERNELS`.
  public var name: String {
    lk_family_name(lk_family(rawValue: UInt32(rawValue))).map { String(cString: $0) } ?? "unknown"
  }

  /// Whether this machine can run the family.
  public var isSupported: Bool { lk_family_is_supported(lk_family(rawValue: UInt32(rawValue))) }

  /// The current family: the best one that the machine supports, unless `LORA_KERNELS` names one.
  public static var active: KernelFamily {
    KernelFamily(rawValue: Int32(lk_active_family().rawValue)) ?? .reference
  }

  /// Makes `family` the current one for the whole process; returns false if the machine can't run
  /// it. Do not call this while other tasks compute.
  @discardableResult
  public static func select(_ family: KernelFamily) -> Bool {
    lk_select_family(lk_family(rawValue: UInt32(family.rawValue)))
  }
}

/// Runs `body(0)`, ..., `body(count - 1)`, each once, on the pool's threads; returns when all are
/// done. A call from inside another region, or while another task has the pool, runs them all here.
///
/// Every index must write its own outputs: which thread runs it is not defined.
package func parallelFor(_ count: Int, _ body: (Int) -> Void) {
  if count == 1 { return body(0) }
  if count <= 0 { return }
  withoutActuallyEscaping(body) { body in
    var closure = body
    withUnsafeMutablePointer(to: &closure) { pointer in
      lk_parallel_for(
        count,
        { context, index in
          guard let context else { return }
          context.assumingMemoryBound(to: ((Int) -> Void).self).pointee(index)
        }, pointer)
    }
  }
}

/// Runs `body` on consecutive ranges of `0..<count` of at most `tile` elements, in parallel.
package func parallelTiles(_ count: Int, tile: Int, _ body: (Range<Int>) -> Void) {
  let tiles = (count + tile - 1) / tile
  parallelFor(tiles) { index in
    body(index * tile..<min(count, (index + 1) * tile))
  }
}

/// The tile of loops over elements: large enough to pay for waking a thread, and a fixed number,
/// so that the sums of tiled reductions do not depend on the number of threads.
package let elementTile = 1 << 15
