import LoRAFiles
import LoRATensor

/// A file for what does not fit into memory, see `UnnamedFile`. Nothing is written before a mebibyte is full.
final class SpillFile {
  private static let bufferSize = 1 << 20

  private var file: UnnamedFile?
  private var buffer: [UInt8] = []
  /// How many bytes are in the file, before those of the buffer.
  private var written = 0

  init() {}

  /// The number of bytes.
  var count: Int { written + buffer.count }

  /// Appends bytes.
  func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferSize { try flush() }
  }

  private func flush() throws(FileError) {
    if file == nil { file = try UnnamedFile() }
    guard let file else { return }
    var failure: FileError?
    buffer.withUnsafeBytes { bytes in
      do throws(FileError) { try file.write(bytes, at: written) } catch { failure = error }
    }
    if let failure { throw failure }
    written += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }

  /// Reads the bytes from `offset` on into `target`.
  func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(FileError) {
    precondition(offset >= 0 && offset + target.count <= count, "reading beyond what was written")
    let filed = min(target.count, max(0, written - offset))
    if filed > 0 {
      try file?.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: target[..<filed]))
    }
    guard filed < target.count else { return }
    let rest = buffer[(offset + filed - written)...].prefix(target.count - filed)
    rest.withUnsafeBytes {
      UnsafeMutableRawBufferPointer(rebasing: target[filed...]).copyMemory(from: $0)
    }
  }
}
