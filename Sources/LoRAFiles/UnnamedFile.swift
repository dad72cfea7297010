package import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A temporary file for what does not fit into memory, in `TMPDIR`, or in `/tmp`.
///
/// It has no name from the moment it is there, so that it is gone when nobody holds it any more, or when the
/// process ends in whatever way. It may be read from several threads.
package final class UnnamedFile: Sendable {
  private let descriptor: Int32

  /// Makes the file.
  package init() throws(FileError) {
    var name = Array("\(Self.folder)/lora-XXXXXX".utf8CString)
    descriptor = mkstemp(&name)
    guard descriptor >= 0 else {
      throw FileError(path: Self.folder, operation: "make a temporary file in", code: errno)
    }
    unlink(name)
  }

  deinit { close(descriptor) }

  private static var folder: String {
    guard let variable = getenv("TMPDIR") else { return "/tmp" }
    let folder = String(cString: variable)
    return folder.isEmpty ? "/tmp" : folder
  }

  /// Writes bytes from `offset` on.
  package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
    var done = 0
    while done < bytes.count {
      let part = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = pwrite(descriptor, part.baseAddress, part.count, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path: Self.folder, operation: "write a temporary file in", code: errno)
      }
      done += count
    }
  }

  /// Reads the bytes from `offset` on into `target`; all of them have been written.
  package func read(
    at offset: Int, into target: UnsafeMutableRawBufferPointer
  ) throws(FileError) {
    var done = 0
    while done < target.count {
      let part = UnsafeMutableRawBufferPointer(rebasing: target[done...])
      let count = pread(descriptor, part.baseAddress, part.count, off_t(offset + done))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        throw FileError(path: Self.folder, operation: "read a temporary file in", code: errno)
      }
      done += count
    }
  }
}
