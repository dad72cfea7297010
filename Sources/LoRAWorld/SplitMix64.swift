/// A small seeded generator of random numbers, the same on every machine (Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators", 2014).
///
/// The corpus may not change when the standard library changes how it draws from a range, so
/// ``below(_:)`` is written out here rather than left to `Int.random(in:using:)`.
struct SplitMix64: Sendable {
  private var state: UInt64

  /// A generator whose whole sequence follows from `seed`.
  init(seed: UInt64) {
    state = seed
  }

  /// The next 64 random bits.
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A number from 0 up to, not including, `bound`, which must be positive.
  ///
  /// The high half of a product, without rejection: the bias is below 2^-50 for any list here.
  mutating func below(_ bound: Int) -> Int {
    if bound <= 0 { fatalError("a range to draw from must not be empty") }
    return Int(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// A number of the closed range, each with the same probability.
  mutating func number(in range: ClosedRange<Int>) -> Int {
    range.lowerBound + below(range.count)
  }

  /// One of the elements, each with the same probability; the list must not be empty.
  mutating func pick<T>(_ list: [T]) -> T {
    list[below(list.count)]
  }
}

/// A hash of text that never changes (FNV-1a, 64 bits): the standard library's is seeded anew in
/// every process, and what is held out must be the same in all of them.
func stableHash(_ text: String) -> UInt64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in text.utf8 {
    hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
  }
  // FNV's low bits are weak on short keys; one round of mixing makes any remainder usable.
  hash = (hash ^ (hash >> 32)) &* 0xD6E8_FEB8_6659_FD93
  return hash ^ (hash >> 32)
}
