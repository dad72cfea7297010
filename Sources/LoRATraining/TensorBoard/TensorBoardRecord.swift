/// The records of TensorBoard's event files: TFRecords, of which each holds an `Event`.
///
/// Source: TensorFlow's `record_writer.h` for the frame, `event.proto` and `summary.proto` for the content.
enum TensorBoardRecord {
  /// What is noted.
  enum Content {
    /// The first record of a file.
    case version
    /// From here on steps are made again: what was written of this step and later ones is void.
    case restart
    case numbers([(tag: String, value: Float)])
    /// A text that is shown as it is.
    case text(tag: String, String)
  }

  /// A record with its frame.
  static func bytes(_ content: Content, step: Int, time: Double) -> [UInt8] {
    var event = ProtobufMessage()
    event.add(1, time)
    if step != 0 { event.add(2, step) }
    switch content {
    case .version: event.add(3, "brain.Event:2")
    case .restart: event.add(7) { session in session.add(1, 1) }
    case .numbers(let numbers):
      event.add(5) { summary in
        for (tag, value) in numbers {
          summary.add(1) { item in
            item.add(1, tag)
            item.add(2, value)
          }
        }
      }
    case .text(let tag, let text):
      event.add(5) { summary in
        summary.add(1) { item in
          item.add(1, tag)
          item.add(8) { tensor in
            // A vector of one string.
            tensor.add(1, 7)
            tensor.add(2) { shape in shape.add(2) { dimension in dimension.add(1, 1) } }
            tensor.add(8, text)
          }
          item.add(9) { metadata in
            metadata.add(1) { plugin in plugin.add(1, "text") }
            metadata.add(4, 2)
          }
        }
      }
    }
    return framed(event.bytes)
  }

  /// A length, its checksum, the content and its checksum.
  private static func framed(_ content: [UInt8]) -> [UInt8] {
    let length = UInt64(content.count).littleEndianBytes
    return length + masked(crc32C(length)).littleEndianBytes + content
      + masked(crc32C(content)).littleEndianBytes
  }

  /// A checksum of data that hold checksums themselves.
  private static func masked(_ checksum: UInt32) -> UInt32 {
    (checksum >> 15 | checksum << 17) &+ 0xA282_EAD8
  }

  /// CRC-32C (Castagnoli), as iSCSI has it (RFC 3720).
  static func crc32C(_ bytes: [UInt8]) -> UInt32 {
    ~bytes.reduce(~0) { crc, byte in crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)] }
  }

  private static let table: [UInt32] = (0..<256).map { index in
    (0..<8).reduce(UInt32(index)) { value, _ in
      value & 1 == 1 ? value >> 1 ^ 0x82F6_3B78 : value >> 1
    }
  }
}
