package import LoRAFiles
package import LoRAJSON
import LoRATensor

// In files: 12 hexadecimal digits a sample, the bits of its value (8) and the upper half of those of its
// tolerance (4).

extension BaseFingerprint {
  /// The fingerprint as adapters carry it.
  package var json: JSONValue {
    let text = samples.map {
      hexadecimal($0.value.bitPattern, digits: 8)
        + hexadecimal($0.tolerance.bitPattern >> 16, digits: 4)
    }
    return [
      "version": .integer(Int64(Self.version)), "digest": .string(digest),
      "structure": .string(structure), "type": .string(type.rawValue),
      "samples": .string(text.joined()),
    ]
  }

  /// Reads one; nil where it follows a later definition, which is not known here.
  package init?(_ fields: JSONFields) throws(FormatError) {
    guard let version = try fields.int("version") else {
      throw fields.error(.missingKey, "version", "the fingerprint does not say which it is")
    }
    guard version == Self.version else { return nil }
    digest = try Self.digits(fields, "digest", count: 64)
    structure = try Self.digits(fields, "structure", count: 32)
    guard let type = try fields.string("type").flatMap({ DType(rawValue: $0) }) else {
      throw fields.error(.invalidValue, "type", "it is no type of weights")
    }
    self.type = type
    let text = Array(try Self.digits(fields, "samples", count: nil).utf8)
    guard text.count % 12 == 0, text.count <= 12 * 256 else {
      throw fields.error(.invalidValue, "samples", "\(text.count) digits are no samples of 12")
    }
    samples = stride(from: 0, to: text.count, by: 12).map { start in
      let bits = text[start..<start + 12].reduce(0 as UInt64) { value, digit in
        value << 4 | UInt64(digit < 0x3A ? digit - 0x30 : digit - 0x57)
      }
      return Sample(
        value: Float(bitPattern: UInt32(truncatingIfNeeded: bits >> 16)),
        tolerance: Float(bitPattern: UInt32(truncatingIfNeeded: bits << 16)))
    }
    guard samples.allSatisfy({ $0.value.isFinite && $0.tolerance >= 0 }) else {
      throw fields.error(.nonFinite, "samples", "one is no number")
    }
  }

  private static func digits(
    _ fields: JSONFields, _ key: String, count: Int?
  ) throws(FormatError) -> String {
    guard let text = try fields.string(key) else {
      throw fields.error(.missingKey, key, "the fingerprint lacks it")
    }
    let isHexadecimal = text.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
    }
    guard isHexadecimal, count == nil || text.utf8.count == count else {
      throw fields.error(
        .invalidValue, key,
        "expected \(count.map { "\($0) " } ?? "")hexadecimal digits, found '\(text.prefix(80))'")
    }
    return text
  }
}
