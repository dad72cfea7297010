#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A file that could not be opened, read, mapped or written.
public struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file's path.
  public let path: String
  /// What was tried, as in "open" or "write".
  public let operation: String
  /// The system's reason.
  public let reason: String

  /// Creates an error from its parts.
  public init(path: String, operation: String, reason: String) {
    self.path = path
    self.operation = operation
    self.reason = reason
  }

  package init(path: String, operation: String, code: Int32) {
    self.init(path: path, operation: operation, reason: String(cString: strerror(code)))
  }

  /// What was tried, on which file, and why it failed.
  public var description: String { "cannot \(operation) '\(path)': \(reason)" }
}

/// A file mapped into memory for reading. Its pages are shared with every other process that maps
/// it and are read from the disk when they are first touched.
///
/// A file that is truncated while it is mapped ends the process (SIGBUS), as the system defines
/// it: base models are mapped and must stay in place, adapters are copied.
///
/// Sendable, although it holds a pointer: the mapping is private, read-only, and lives as long as
/// the object.
public final class MappedFile: @unchecked Sendable {
  /// The path that was opened.
  public let path: String
  /// The file's size when it was opened.
  public let byteCount: Int
  package let base: UnsafeRawPointer

  /// Maps the file at `path`. Throws ``FileError`` if it can't be opened or is not a plain file.
  public init(path: String) throws(FileError) {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(path: path, operation: "examine", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(path: path, operation: "read", reason: "it is not a plain file")
    }
    self.path = path
    byteCount = Int(status.st_size)
    // An empty mapping is an error to mmap: an empty file gets a page of its own.
    let address =
      byteCount > 0
      ? mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
      : mmap(nil, 1, PROT_READ, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let address, address != MAP_FAILED else {
      throw FileError(path: path, operation: "map", code: errno)
    }
    base = UnsafeRawPointer(address)
  }

  deinit {
    munmap(UnsafeMutableRawPointer(mutating: base), max(byteCount, 1))
  }

  /// Lets go of the memory behind some bytes that will hardly be read again; they are read from the
  /// file, or from the system's copy of it, if they are. Whole pages only.
  package func releasePages(_ range: Range<Int>) {
    let page = max(1, Int(sysconf(Int32(_SC_PAGESIZE))))
    let first = (range.lowerBound + page - 1) / page * page
    let last = range.upperBound / page * page
    guard first < last, last <= byteCount else { return }
    // The pages are the file's own, never written: nothing is lost.
    _ = madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, MADV_DONTNEED)
  }

  /// The file's bytes, valid while the object lives.
  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: byteCount)
  }

  /// Calls `body` with the file's bytes, which are valid only during the call.
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withExtendedLifetime(self) { try body(bytes) }
  }
}
