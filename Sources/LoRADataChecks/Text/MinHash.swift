/// Signatures of sets whose equal places tell how much the sets have in common.
///
/// Each of 125 hash functions gives the least value of its set; two sets agree in one of them with the
/// probability of their similarity J (Broder, *On the resemblance and containment of documents*, 1997).
/// In 25 bands of 5, sets with J = 0.8 share a band with a probability of 0.99995, with J = 0.7 of 0.99,
/// and with J = 0.1 of 0.0003.
struct MinHash {
  static let bandCount = 25
  static let rowCount = 5

  /// Sixteen functions a vector, eight vectors; the last three are not used.
  private var factors: [SIMD16<UInt32>] = []
  private var terms: [SIMD16<UInt32>] = []

  init() {
    var state: UInt64 = 0x1234_5678_9abc_def1
    func next() -> UInt32 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt32(truncatingIfNeeded: state >> 32)
    }
    for _ in 0..<8 {
      var (factor, term) = (SIMD16<UInt32>(), SIMD16<UInt32>())
      for lane in 0..<16 { (factor[lane], term[lane]) = (next() | 1, next()) }
      factors.append(factor)
      terms.append(term)
    }
  }

  /// The keys of the bands of a set: those of two sets are equal where all values of a band are.
  func bands(of set: [UInt32]) -> [UInt64] {
    var least = [SIMD16<UInt32>](repeating: SIMD16(repeating: .max), count: 8)
    for index in 0..<8 {
      let (factor, term) = (factors[index], terms[index])
      var vector = least[index]
      for value in set {
        var hash = SIMD16(repeating: value) &* factor &+ term
        hash ^= hash &>> 15
        vector.replace(with: hash, where: hash .< vector)
      }
      least[index] = vector
    }
    return (0..<Self.bandCount).map { band in
      var key = UInt64(band) &* 0x9e37_79b9_7f4a_7c15
      for row in 0..<Self.rowCount {
        let place = band * Self.rowCount + row
        key = (key ^ UInt64(least[place / 16][place % 16])) &* 0xff51_afd7_ed55_8ccd
        key ^= key >> 32
      }
      return key &* 0xc4ce_b9fe_1a85_ec53
    }
  }
}
