import TestSupport

/// Damages files the ways that find mistakes in readers: not bytes alone, but counts, lengths and
/// offsets at the edges of their types, and values of JSON that a person could have written.
struct Mutator {
  var random: SplitMix

  init(seed: UInt64) { random = SplitMix(state: seed) }

  /// `bytes` with one to four kinds of damage.
  mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
    var result = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      if result.isEmpty { return result }
      // The beginning is where formats say what follows.
      let isEarly = Bool.random(using: &random)
      let end = isEarly ? min(result.count, 4096) : result.count
      damageOnce(&result, at: Int.random(in: 0..<end, using: &random))
    }
    return result
  }

  private mutating func damageOnce(_ bytes: inout [UInt8], at place: Int) {
    switch Int.random(in: 0..<11, using: &random) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
    case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 2: bytes.removeSubrange(place..<min(bytes.count, place + length(16)))
    case 3: bytes.removeSubrange(place...)
    case 4:
      let part = Array(bytes[place..<min(bytes.count, place + length(64))])
      bytes.insert(contentsOf: part, at: place)
    case 5: write(Self.edges.randomElement(using: &random) ?? 0, 8, to: &bytes, at: place)
    case 6: write(Self.edges.randomElement(using: &random) ?? 0, 4, to: &bytes, at: place)
    case 7: replaceNumber(in: &bytes, near: place)
    case 8: swapStrings(in: &bytes, near: place)
    case 9:
      let other = Int.random(in: 0..<bytes.count, using: &random)
      for offset in 0..<min(length(32), bytes.count - max(place, other)) {
        bytes.swapAt(place + offset, other + offset)
      }
    default:
      bytes[place] =
        Array("0123456789{}[]\",:.-*+?()|\\nulltrue".utf8).randomElement(using: &random) ?? 0
    }
  }

  private static let edges: [UInt64] = [
    0, 1, 2, 255, 256, 65535, 65536, 1 << 20, 1 << 30, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40,
    1 << 62, 1 << 63, .max, .max - 1, .max - 7, 0x7FFF_FFFF_FFFF_FFFF, 0x7FC0_0000, 0x7F80_0000,
  ]

  private static let numbers = [
    "0", "-1", "1", "2", "3", "1e308", "-1e-308", "1e999", "0.5", "4294967296", "2147483648",
    "9223372036854775807", "9223372036854775808", "-9223372036854775809", "1073741824", "65536",
    "100000000000000000000000000", "null", "true", "\"x\"", "[]", "{}", "[1,2]", "\"\"",
  ]

  private mutating func length(_ most: Int) -> Int { Int.random(in: 1...most, using: &random) }

  private func write(_ value: UInt64, _ count: Int, to bytes: inout [UInt8], at place: Int) {
    for index in 0..<min(count, bytes.count - place) {
      bytes[place + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
    }
  }

  /// Puts another value where the next number of a JSON text begins.
  private mutating func replaceNumber(in bytes: inout [UInt8], near place: Int) {
    func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    guard let start = bytes[place...].firstIndex(where: isDigit) else { return }
    let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.endIndex
    let other = Self.numbers.randomElement(using: &random) ?? "0"
    bytes.replaceSubrange(start..<end, with: Array(other.utf8))
  }

  /// Exchanges the contents of two quoted strings.
  private mutating func swapStrings(in bytes: inout [UInt8], near place: Int) {
    let quotes = bytes.indices.dropFirst(place).prefix(4096).filter { bytes[$0] == 0x22 }
    guard quotes.count >= 4 else { return }
    let first = Array(bytes[quotes[0] + 1..<quotes[1]])
    let second = Array(bytes[quotes[2] + 1..<quotes[3]])
    bytes.replaceSubrange(quotes[2] + 1..<quotes[3], with: first)
    bytes.replaceSubrange(quotes[0] + 1..<quotes[1], with: second)
  }
}
