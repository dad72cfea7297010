#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Reading of whole files that are plain ones: a FIFO, whose other end nobody may ever open, or a
/// device, which may never end, is refused before a byte is read.
enum PlainFile {
  /// Why a file could not be read.
  struct Reason: Error {
    let text: String
  }

  /// The bytes of the file at `path`.
  static func read(_ path: String) -> Result<[UInt8], Reason> {
    func refusal(_ code: Int32 = errno) -> Result<[UInt8], Reason> {
      .failure(Reason(text: String(cString: strerror(code))))
    }
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { return refusal() }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { return refusal() }
    guard status.st_mode & S_IFMT == S_IFREG else {
      let isFolder = status.st_mode & S_IFMT == S_IFDIR
      return .failure(Reason(text: isFolder ? "a folder" : "something that is not a plain file"))
    }
    let size = Int(status.st_size)
    var code: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
      while count < size, let base = buffer.baseAddress {
        #if canImport(Glibc)
          let part = Glibc.read(descriptor, base + count, size - count)
        #elseif canImport(Musl)
          let part = Musl.read(descriptor, base + count, size - count)
        #else
          let part = Darwin.read(descriptor, base + count, size - count)
        #endif
        if part < 0, errno == EINTR { continue }
        if part < 0 { code = errno }
        if part <= 0 { break }
        count += part
      }
    }
    return code == 0 ? .success(bytes) : refusal(code)
  }
}
