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

  /// The families are those of the enumeration: one that is added there is added here and above.
  @Test func noFamilyIsLeftOut() {
    let names = KernelFamily.allCases.map(\.name)
    #expect(Set(names) == ["reference", "generic", "avx2", "avx512", "avx512bf16", "neon"])
  }
}
