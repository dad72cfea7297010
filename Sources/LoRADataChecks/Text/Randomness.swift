#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Whether a piece of text looks as if it was drawn, not written.
enum Randomness {
  /// Whether the bytes have at least `least` bits of entropy each, and mix letters with digits or signs, or
  /// capitals with small letters otherwise than names of programs do.
  static func isRandom(_ bytes: Slice<UnsafeBufferPointer<UInt8>>, least: Double) -> Bool {
    guard entropy(bytes) >= least else { return false }
    var (digits, capitals, small, signs, changes) = (0, 0, 0, 0, 0)
    var last: UInt8 = 0
    for byte in bytes {
      if byte.isDigit {
        digits += 1
      } else if byte.isUppercase {
        capitals += 1
      } else if byte.isLowercase {
        small += 1
      } else {
        signs += 1
      }
      if kind(byte) != kind(last), last != 0 { changes += 1 }
      last = byte
    }
    let letters = capitals + small
    guard letters > 0 else { return false }
    // "user_id_2", "camelCaseName" and "kebab-case-words" change rarely between kinds.
    let isMixed = digits > 0 || (capitals > 1 && small > 1) || signs > 1
    return isMixed && changes * 5 >= bytes.count
      && !(digits == 0 && signs * 4 < bytes.count && capitals * 5 < letters)
  }

  private static func kind(_ byte: UInt8) -> Int {
    byte.isDigit ? 1 : byte.isUppercase ? 2 : byte.isLowercase ? 3 : 4
  }

  /// The entropy of the bytes' frequencies, in bits.
  static func entropy(_ bytes: Slice<UnsafeBufferPointer<UInt8>>) -> Double {
    var counts = [Int](repeating: 0, count: 256)
    for byte in bytes { counts[Int(byte)] += 1 }
    let total = Double(bytes.count)
    return counts.reduce(0) { sum, count in
      count == 0 ? sum : sum - Double(count) / total * log2(Double(count) / total)
    }
  }
}
