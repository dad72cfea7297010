/// The offset of the first byte that does not belong to well-formed UTF-8; nil if all do.
package func firstInvalidUTF8(in bytes: UnsafeBufferPointer<UInt8>) -> Int? {
  let raw = UnsafeRawBufferPointer(bytes)
  let count = bytes.count
  var i = 0
  while i < count {
    let byte = bytes[i]
    if byte < 0x80 {
      while i + 8 <= count,
        raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
      { i += 8 }
      while i < count, bytes[i] < 0x80 { i += 1 }
      continue
    }
    let length: Int
    // What the second byte may be; rules out overlong forms, surrogates and beyond U+10FFFF.
    let second: ClosedRange<UInt8>
    switch byte {
    case 0xC2...0xDF: (length, second) = (2, 0x80...0xBF)
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: (length, second) = (3, 0x80...0xBF)
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: (length, second) = (4, 0x80...0xBF)
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return i
    }
    guard i + length <= count, second.contains(bytes[i + 1]) else { return i }
    for k in 2..<max(length, 2) where bytes[i + k] & 0xC0 != 0x80 { return i }
    i += length
  }
  return nil
}
