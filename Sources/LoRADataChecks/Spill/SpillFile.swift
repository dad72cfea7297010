import LoRAFiles
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file for what does not fit into memory. It has no name from the moment it is there, so that it is gone
/// when it is closed, or when the process ends in whatever way. Nothing is written before a mebibyte is
/// full.
final class SpillFile {
  private static let bufferSize = 1 << 20

  private var descriptor: Int32 = -1
  private var buffer: [UInt8] = []
  /// How many bytes are in the file, before those of the buffer.
  private var written = 0

  init() {}

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// The number of bytes.
  var count: Int { written + buffer.count }

  /// Appends bytes.
  func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferSize { try flush() }
  }

  private func flush() throws(FileError) {
    if descriptor < 0 { try open() }
    var done = 0
    while done < buffer.count {
      let count = buffer[done...].withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, off_t(written + done))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(path: Self.folder, operation: "write a temporary file in", code: errno)
      }
      done += count
    }
    written += done
    buffer.removeAll(keepingCapacity: true)
  }

  private func open() throws(FileError) {
    var name = Array("\(Self.folder)/lora-check-XXXXXX".utf8CString)
    descriptor = mkstemp(&name)
    guard descriptor >= 0 else {
      throw FileError(path: Self.folder, operation: "make a temporary file in", code: errno)
    }
    unlink(name)
  }

  private static var folder: String {
    guard let variable = getenv("TMPDIR") else { return "/tmp" }
    let folder = String(cString: variable)
    return folder.isEmpty ? "/tmp" : folder
  }

  /// Reads the bytes from `offset` on into `target`.
  func read(at offset: Int, into target: UnsafeMutableRawBufferPointer) throws(FileError) {
    precondition(offset >= 0 && offset + target.count <= count, "reading beyond what was written")
    var done = 0
    while done < target.count {
      let place = offset + done
      if place >= written {
        let rest = buffer[(place - written)...].prefix(target.count - done)
        rest.withUnsafeBytes {
          UnsafeMutableRawBufferPointer(rebasing: target[done...]).copyMemory(from: $0)
        }
        return
      }
      let part = UnsafeMutableRawBufferPointer(rebasing: target[done...])
      let count = pread(
        descriptor, part.baseAddress, min(part.count, written - place), off_t(place))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path: Self.folder, operation: "read a temporary file in", code: errno)
      }
      done += count
    }
  }
}
