import Testing
@testable import LoRATensor

/// PyTorch's numbers, bit for bit.
@Suite struct TorchGeneratorTests {
  /// The bits of the first four numbers of one tensor, and of the last three of the next:
  /// ```python
  /// g = torch.Generator().manual_seed(seed)
  /// a = torch.empty(7, 5).uniform_(-0.37, 0.91, generator=g)
  /// b = torch.empty(3, 301).uniform_(-0.37, 0.91, generator=g)
  /// ```
  private static let cases: [(seed: Int, first: [UInt32], last: [UInt32])] = [
    (
      0, [0x3e87_c966, 0x3f1d_02cb, 0xbe83_7497, 0xbe4d_d334],
      [0x3f29_8061, 0x3f32_0bb4, 0xbe89_c167]
    ),
    (
      3, [0xbeba_a557, 0xbe70_8215, 0xbb87_0ed4, 0xbeab_c65f],
      [0x3e05_6ae0, 0x3e5a_43d6, 0x3eef_19cf]
    ),
    (
      1099511627783, [0x3ea1_2078, 0xbdec_9c01, 0x3ef2_94ba, 0x3ef1_0f42],
      [0xbe04_6b06, 0x3f1a_608b, 0x3a84_821f]
    ),
    (
      -5, [0x3f52_4a1c, 0x3ef3_927d, 0x3f62_a888, 0x3f52_cfdf],
      [0x3e22_5d6a, 0xbeb9_44f3, 0x3f40_cde2]
    ),
  ]

  @Test func uniformIsTorchs() {
    for (seed, first, last) in Self.cases {
      var random = TorchGenerator(seed: seed)
      let a = random.uniform([7, 5], in: -0.37..<0.91)
      // 35 and 903 numbers: the state is renewed after each 624.
      let b = random.uniform([3, 301], in: -0.37..<0.91)
      #expect(a.scalars().prefix(4).map(\.bitPattern) == first, "seed \(seed)")
      #expect(b.scalars().suffix(3).map(\.bitPattern) == last, "seed \(seed)")
    }
  }

  @Test func kaimingIsWithinItsBound() {
    var random = TorchGenerator(seed: 1)
    let numbers = random.kaimingUniform([20, 24]).scalars()
    #expect(numbers.allSatisfy { abs($0) <= 0.5 } && numbers.contains { abs($0) > 0.45 })
  }
}
