import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// An error in opening, reading, mapping or writing a file.
public struct FileError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file's path.
  public let path: String
  /// The operation that failed, such as "open" or "write".
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

  /// The operation, the file, and why it failed.
  public var description: String { "cannot \(operation) '\(path)': \(reason)" }
}

/// A read-only memory-mapped file. Its pages are shared with every other process that maps it and
/// are read from the disk when first touched.
///
/// A mapped file must not change: base models are mapped, adapters are copied. If a file is
/// truncated meanwhile, reading beyond its end raises the signal SIGBUS, which ends the process; no
/// library can turn that into an error. ``checkAll()`` finds a truncated file before the next pass,
/// and ``exitOnTruncation()`` makes the process end with a message and status 1. A file that is
/// overwritten at the same length silently gives its new values; a file that is replaced by
/// renaming, as this library writes files, stays the old one here.
///
/// Sendable, although it holds a pointer: the mapping is private, read-only, and lives as long as
/// the object.
public final class MappedFile: @unchecked Sendable {
  /// The path that was opened.
  public let path: String
  /// The file's size when it was opened.
  public let byteCount: Int
  package let base: UnsafeRawPointer
  /// Kept open, so that the file's size can be asked for whatever becomes of its path.
  private let descriptor: Int32
  private let slot: Int32

  /// Maps the file at `path`. Throws ``FileError`` if it can't be opened or is not a plain file.
  public init(path: String) throws(FileError) {
    // Nobody may ever write to a FIFO: opening one must not wait for it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(path: path, operation: "open", code: errno) }
    let byteCount: Int
    let address: UnsafeMutableRawPointer
    do throws(FileError) {
      (address, byteCount) = try Self.map(descriptor, path)
    } catch {
      close(descriptor)
      throw error
    }
    self.path = path
    self.byteCount = byteCount
    self.descriptor = descriptor
    base = UnsafeRawPointer(address)
    slot = lora_mapped_file_add(base, byteCount, descriptor, path)
  }

  private static func map(
    _ descriptor: Int32, _ path: String
  ) throws(FileError) -> (address: UnsafeMutableRawPointer, byteCount: Int) {
    var status = stat()
    guard fstat(descriptor, &status) == 0 else {
      throw FileError(path: path, operation: "examine", code: errno)
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileError(path: path, operation: "read", reason: "it is not a plain file")
    }
    let byteCount = Int(status.st_size)
    // An empty mapping is an error to mmap: an empty file gets a page of its own.
    let address =
      byteCount > 0
      ? mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0)
      : mmap(nil, 1, PROT_READ, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let address, address != MAP_FAILED else {
      let code = errno
      guard code == ENOMEM, let limit = AvailableMemory.addressSpaceLimit else {
        throw FileError(path: path, operation: "map", code: code)
      }
      throw FileError(
        path: path, operation: "map",
        reason:
          "its \(byteCount >> 20) MiB do not fit into the address space that this process may "
          + "have, \(limit >> 20) MiB; raise the limit (ulimit -v)")
    }
    return (address, byteCount)
  }

  deinit {
    lora_mapped_file_remove(slot, byteCount)
    munmap(UnsafeMutableRawPointer(mutating: base), max(byteCount, 1))
    close(descriptor)
  }

  /// Throws ``FileError`` if a file that is currently mapped anywhere in this process is shorter
  /// than when it was opened. Costs one system call per file.
  public static func checkAll() throws(FileError) {
    var path = [CChar](repeating: 0, count: 4096)
    var (had, has) = (0, 0)
    guard lora_mapped_file_shrunk(&path, path.count, &had, &has) else { return }
    let name = path.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    throw FileError(
      path: String(decoding: name, as: UTF8.self), operation: "go on reading",
      reason: "the file became shorter while it was in use, \(has) bytes instead of \(had); "
        + "put it back and start again")
  }

  /// Makes reads beyond the end of a truncated mapped file name the file on standard error and end
  /// this process with status 1, instead of raising SIGBUS.
  ///
  /// Use this in programs, which own their signals, not in libraries; `lora` calls it. As after a
  /// kill, nothing is cleaned up: files that this library was writing remain as drafts, never half
  /// in place. Other causes of SIGBUS go to the previous handler.
  public static func exitOnTruncation() { _ = lora_exit_on_truncation() }

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

  /// The file's bytes, valid during the lifetime of the object.
  package var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base, count: byteCount)
  }

  /// Calls `body` with the file's bytes, valid only during the call.
  public func withUnsafeBytes<R>(_ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    try withExtendedLifetime(self) { try body(bytes) }
  }
}
