import CLoRAKernels
import LoRATensor
import Testing

/// Which families the tests of kernels compare with the reference on this machine. A CPU that lacks
/// one skips its line here, visibly, and with it that family's cases of every other test.
@Suite struct KernelFamiliesTests {
  private func isCompared(_ family: lk_family) throws {
    let name = String(cString: lk_family_name(family))
    #expect(Family.vector.contains { $0.id == family.rawValue }, "\(name) is not compared")
    #expect(lk_family_table(family) != nil, "\(name) has no table")
  }

  @Test func generic() throws { try isCompared(LK_FAMILY_GENERIC) }

  @Test(
    .enabled(if: Family.runs(LK_FAMILY_AVX2), "this CPU lacks AVX2: its kernels are not tested"))
  func avx2() throws { try isCompared(LK_FAMILY_AVX2) }

  @Test(
    .enabled(
      if: Family.runs(LK_FAMILY_AVX512), "this CPU lacks AVX-512: its kernels are not tested"))
  func avx512() throws { try isCompared(LK_FAMILY_AVX512) }

  @Test(
    .enabled(
      if: Family.runs(LK_FAMILY_AVX512BF16),
      "this CPU lacks AVX-512-BF16: its kernels are not tested"))
  func avx512bf16() throws { try isCompared(LK_FAMILY_AVX512BF16) }

  @Test(
    .enabled(if: Family.runs(LK_FAMILY_NEON), "this CPU lacks NEON: its kernels are not tested"))
  func neon() throws { try isCompared(LK_FAMILY_NEON) }

  /// A family that overrides one group has the others from the family below it: the same functions.
  @Test(
    .enabled(
      if: Family.runs(LK_FAMILY_AVX512BF16),
      "this CPU lacks AVX-512-BF16: what it inherits is not compared"))
  func inheritance() throws {
    let own = try #require(Family(LK_FAMILY_AVX512BF16)).table()
    let below = try #require(Family(LK_FAMILY_AVX512)).table()
    func address<F>(_ function: F) -> UInt { unsafeBitCast(function, to: UInt.self) }
    let replaced = [
      (address(own.gemm_multiply), address(below.gemm_multiply)),
      (address(own.gemm_pack), address(below.gemm_pack)),
      (address(own.bfloat16_chains), address(below.bfloat16_chains)),
    ]
    let inherited = [
      (address(own.add), address(below.add)),
      (address(own.attention_softmax), address(below.attention_softmax)),
      (address(own.gemv_bf16), address(below.gemv_bf16)),
      (address(own.dequantize), address(below.dequantize)),
      (address(own.random_normal), address(below.random_normal)),
    ]
    #expect(replaced.allSatisfy { $0.0 != $0.1 })
    #expect(inherited.allSatisfy { $0.0 == $0.1 })
    #expect(own.family == LK_FAMILY_AVX512BF16 && below.family == LK_FAMILY_AVX512)
  }

  /// Sums are cut so that a chunk's steps fit the tile, and all chunks have room.
  @Test(arguments: Family.vector)
  func roomOfProducts(_ family: Family) throws {
    let kernels = try family.table()
    let depth = kernels.gemm_shape().depth
    for k in [0, 1, depth, depth + 1, 5 * depth + 3, 9 * depth] {
      for rounds in [false, true] {
        let chunks = kernels.gemm_chunks(k, rounds)
        #expect(chunks >= 1)
        var g = lk_gemm()
        (g.m, g.n, g.k, g.chunks, g.rounds, g.tail_depth) = (7, 5, k, chunks, rounds, 3)
        var sum = 0
        for chunk in 0..<chunks {
          (g.first_chunk, g.end_chunk) = (chunk, chunk + 1)
          let room = kernels.gemm_room(&g)
          #expect(room.packed <= 7 * depth && room.packed_tail >= 7 * 3)
          sum += room.packed
        }
        (g.first_chunk, g.end_chunk) = (0, chunks)
        #expect(kernels.gemm_room(&g).packed == sum)
        #expect(sum >= 7 * (rounds ? (k + 1) / 2 : k))
      }
    }
  }

  /// The families are those of the enumeration: one that is added there is added here and above.
  @Test func noFamilyIsLeftOut() {
    let names = KernelFamily.allCases.map(\.name)
    #expect(Set(names) == ["reference", "generic", "avx2", "avx512", "avx512bf16", "neon"])
  }
}
