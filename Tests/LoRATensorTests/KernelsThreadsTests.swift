import CLoRAKernels
import Foundation
import Testing

/// The pool of threads, and the choice of a family. Serialized: the number of threads belongs to
/// the process. Tests elsewhere may use the pool at the same time, which nothing here minds.
@Suite(.serialized) struct KernelsThreadsTests {
  /// Runs `count` indexes and returns how often each ran. A cell has one writer if the pool is
  /// right, so plain memory does; ThreadSanitizer sees it if not.
  private static func runs(_ count: Int) -> [Int] {
    let cells = UnsafeMutablePointer<Int>.allocate(capacity: max(count, 1))
    cells.initialize(repeating: 0, count: max(count, 1))
    defer { cells.deallocate() }
    lk_parallel_for(
      count,
      { context, index in
        context?.assumingMemoryBound(to: Int.self)[index] += 1
      }, cells)
    return Array(UnsafeBufferPointer(start: cells, count: max(count, 0)))
  }

  private static func withThreads(_ count: Int32, _ body: () async throws -> Void) async rethrows {
    let before = lk_thread_count()
    lk_set_thread_count(count)
    defer { lk_set_thread_count(before) }
    try await body()
  }

  @Test(arguments: 1...4) func everyIndexOnce(threads: Int) async {
    await Self.withThreads(Int32(threads)) {
      #expect(lk_thread_count() == Int32(threads))
      for count in [-1, 0, 1, 2, 3, 4, 5, 17, 1000] {
        for _ in 0..<50 {
          #expect(Self.runs(count) == [Int](repeating: 1, count: max(count, 0)))
        }
      }
    }
  }

  /// The first share takes long: the other threads take parts of it, and each index runs once still.
  @Test(arguments: 2...4) func unevenShares(threads: Int) async {
    await Self.withThreads(Int32(threads)) {
      for _ in 0..<10 {
        let cells = UnsafeMutablePointer<Int>.allocate(capacity: 64)
        cells.initialize(repeating: 0, count: 64)
        defer { cells.deallocate() }
        lk_parallel_for(
          64,
          { context, index in
            if index < 16 { usleep(200) }
            context?.assumingMemoryBound(to: Int.self)[index] += 1
          }, cells)
        #expect((0..<64).allSatisfy { cells[$0] == 1 })
      }
    }
  }

  /// Regions one after the other, far enough apart that the workers fall asleep in between.
  @Test func afterSleep() async throws {
    try await Self.withThreads(3) {
      for _ in 0..<5 {
        try await Task.sleep(for: .milliseconds(5))
        #expect(Self.runs(64) == [Int](repeating: 1, count: 64))
      }
    }
  }

  @Test(arguments: 1...4) func nestedRegions(threads: Int) async {
    await Self.withThreads(Int32(threads)) {
      let cells = UnsafeMutablePointer<Int>.allocate(capacity: 64)
      cells.initialize(repeating: 0, count: 64)
      defer { cells.deallocate() }
      lk_parallel_for(
        8,
        { context, outer in
          guard let cells = context?.assumingMemoryBound(to: Int.self) else { return }
          lk_parallel_for(8, { $0?.assumingMemoryBound(to: Int.self)[$1] += 1 }, cells + 8 * outer)
        }, cells)
      #expect((0..<64).allSatisfy { cells[$0] == 1 })
    }
  }

  @Test(arguments: 1...4) func concurrentCallers(threads: Int) async {
    await Self.withThreads(Int32(threads)) {
      await withTaskGroup(of: Bool.self) { group in
        for caller in 0..<6 {
          group.addTask {
            (0..<100).allSatisfy { round in
              let count = 1 + (caller * 31 + round * 7) % 90
              return Self.runs(count) == [Int](repeating: 1, count: count)
            }
          }
        }
        for await right in group { #expect(right) }
      }
    }
  }

  @Test func threadCounts() {
    let before = lk_thread_count()
    defer { lk_set_thread_count(before) }
    #expect(before >= 1)
    lk_set_thread_count(0)
    #expect(lk_thread_count() >= 1)
    lk_set_thread_count(-5)
    #expect(lk_thread_count() >= 1)
    lk_set_thread_count(1_000_000)
    #expect(lk_thread_count() <= 256)
  }

  @Test func families() throws {
    #expect(lk_family_is_supported(LK_FAMILY_REFERENCE))
    #expect(lk_family_is_supported(LK_FAMILY_GENERIC))
    #expect(!Family.vector.isEmpty)
    #if arch(arm64)
      #expect(lk_family_is_supported(LK_FAMILY_NEON))
      #expect(!lk_family_is_supported(LK_FAMILY_AVX2))
    #else
      #expect(!lk_family_is_supported(LK_FAMILY_NEON))
    #endif
    let unknown = lk_family(77)
    #expect(!lk_family_is_supported(unknown))
    #expect(!lk_select_family(unknown))
    #expect(String(cString: lk_family_name(unknown)) == "unknown")
    #expect(lk_family_is_supported(lk_active_family()))
    // Every table says whose it is, and selecting the active family changes nothing for others.
    for family in Family.vector {
      let table = try family.table()
      #expect(table.family.rawValue == family.id)
    }
    #expect(lk_select_family(lk_active_family()))
    // The public functions go to the active family's table.
    let table = try #require(lk_family_table(lk_active_family())).pointee
    let x: [Float] = [-1, 0.3, 2]
    var y = x
    var z = x
    lk_unary_forward(LK_SILU, 3, x, &y)
    table.unary_forward(LK_SILU, 3, x, &z)
    #expect(y == z)
  }
}
