import LoRATensor

/// A hash of contents that is the same in every process, for telling apart what was mistaken: not
/// against forgery.
struct ContentHash {
  private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

  mutating func combine(_ word: UInt64) {
    value = (value ^ word) &* 0x9e37_79b9_7f4a_7c15
    value ^= value >> 32
  }

  mutating func combine(_ bytes: UnsafeRawBufferPointer) {
    combine(UInt64(bytes.count))
    let words = bytes.count / 8
    for index in 0..<words {
      combine(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)))
    }
    for byte in bytes[(8 * words)...] { combine(UInt64(byte)) }
  }

  mutating func combine(_ text: String) {
    var text = text
    text.withUTF8 { combine(UnsafeRawBufferPointer($0)) }
  }

  mutating func combine(_ tensor: Tensor) {
    combine("\(tensor.dtype) \(tensor.shape)")
    tensor.withUnsafeBytes { combine($0) }
  }

  /// A hash as files hold it.
  static func text(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
