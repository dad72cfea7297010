import LoRAPatterns

/// GPT-2's bijection between bytes and printable characters, so that vocabularies can be text: bytes
/// that are printable in Latin-1 stand for themselves, the others follow from U+0100 on.
enum ByteLevelAlphabet {
  /// The code point of each byte.
  static let codes: [UInt32] = {
    var others: UInt32 = 0x100
    return (UInt32(0)..<256).map { byte in
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF: return byte
      default:
        others += 1
        return others - 1
      }
    }
  }()

  /// The byte of each code point below 0x144, -1 where there is none.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 0x144)
    for (byte, code) in codes.enumerated() { table[Int(code)] = Int16(byte) }
    return table
  }()

  @inline(__always)
  static func append(_ byte: UInt8, to output: inout [UInt8]) {
    let code = codes[Int(byte)]
    if code < 0x80 {
      output.append(UInt8(code))
    } else {
      output.append(UInt8(0xC0 | code >> 6))
      output.append(UInt8(0x80 | code & 0x3F))
    }
  }

  /// What stands for the bytes of a code point.
  static func scalars(of scalar: Unicode.Scalar) -> [Unicode.Scalar] {
    String(scalar).utf8.map { Unicode.Scalar(codes[Int($0)]) ?? "\u{FFFD}" }
  }

  /// The bytes that a token stands for; nil if it has a character that is not of the alphabet.
  static func bytes(of token: [UInt8]) -> [UInt8]? {
    token.withUnsafeBufferPointer { text in
      var output: [UInt8] = []
      output.reserveCapacity(text.count)
      var i = 0
      while i < text.count {
        let (code, count) = decodeScalar(text, at: i)
        guard code < bytes.count, bytes[Int(code)] >= 0 else { return nil }
        output.append(UInt8(bytes[Int(code)]))
        i += count
      }
      return output
    }
  }
}
