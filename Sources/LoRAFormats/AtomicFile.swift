#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
public import LoRATensor

/// Writes files so that a crash, a full disk or an error leaves the old file or the new one, and
/// never a part.
///
/// Content goes to a temporary file beside the target, is synced to the disk, and is renamed over
/// the target; then the folder is synced. After an error the temporary file is gone.
///
/// ```swift
/// try AtomicFile.write([UInt8]("{}".utf8), to: "config.json")
/// ```
public enum AtomicFile {
  /// One of several files that are written together.
  public struct Part {
    /// The target.
    public let path: String
    /// Writes the content.
    public let body: (FileWriter) throws -> Void

    /// A file whose content `body` writes piece by piece.
    public init(_ path: String, _ body: @escaping (FileWriter) throws -> Void) {
      self.path = path
      self.body = body
    }

    /// A file with the given content.
    public init(_ path: String, _ bytes: [UInt8]) {
      self.init(path) { writer in try writer.write(bytes) }
    }
  }

  /// Writes `bytes` to the file at `path`, whose folder must exist.
  public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    try asFileError(path) { try writeAll([Part(path, bytes)]) }
  }

  /// Writes what `body` hands to the writer to the file at `path`, whose folder must exist. Throws
  /// `FileError`, or what `body` throws.
  public static func write(
    to path: String, _ body: (FileWriter) throws -> Void
  ) throws {
    try withoutActuallyEscaping(body) { body in try writeAll([Part(path, body)]) }
  }

  /// Writes several files, none of which is replaced before the content of all of them is safely
  /// on the disk. Throws `FileError`, or what a part's body throws; then no target has changed.
  ///
  /// The renames come one after the other at the end: only a crash of the machine between two of
  /// them can leave a mixture.
  public static func writeAll(_ parts: [Part]) throws {
    var pending: [(temporary: String, target: String)] = []
    defer { for file in pending { unlink(file.temporary) } }
    for part in parts {
      let target = resolved(part.path)
      // A rename over a folder would fail after others have succeeded.
      if FileSystem.isFolder(target) {
        throw FileError(path: part.path, operation: "write", reason: "it is a folder")
      }
      let writer = try FileWriter(beside: target, for: part.path)
      pending.append((writer.temporary, target))
      try part.body(writer)
      try writer.finish()
    }
    for (index, part) in parts.enumerated() {
      guard rename(pending[index].temporary, pending[index].target) == 0 else {
        throw FileError(path: part.path, operation: "rename a finished file to", code: errno)
      }
    }
    let folders = Set(pending.map { FileSystem.folder(of: $0.target) })
    pending = []
    for folder in folders { try synchronize(folder: folder) }
  }

  /// Where a link leads, so that writing replaces the file and not the link.
  private static func resolved(_ path: String) -> String {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFLNK,
      let real = realpath(path, nil)
    else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  private static func synchronize(folder: String) throws(FileError) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    // A folder that may be written but not read cannot be synced; its files have been.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    // Some network file systems refuse to sync folders.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw FileError(path: folder, operation: "sync the folder", code: errno)
    }
  }

  private static func asFileError(_ path: String, _ body: () throws -> Void) throws(FileError) {
    do {
      try body()
    } catch let error as FileError {
      throw error
    } catch {
      throw FileError(path: path, operation: "write", reason: "\(error)")
    }
  }
}

/// The temporary file that ``AtomicFile`` collects a target's content in.
public final class FileWriter {
  /// The target, which errors name.
  public let path: String
  let temporary: String
  private var descriptor: Int32

  init(beside target: String, for path: String) throws(FileError) {
    self.path = path
    let folder = FileSystem.folder(of: target)
    var name = ""
    var opened: Int32 = -1
    // A name that exists already belongs to somebody else: try another one.
    for _ in 0..<100 where opened < 0 {
      let random = String(UInt64.random(in: .min ... .max), radix: 36)
      name = FileSystem.join(folder, ".\(FileSystem.name(of: target).prefix(60)).\(random).tmp")
      opened = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
      if opened < 0, errno != EEXIST, errno != EINTR { break }
    }
    guard opened >= 0 else { throw FileError(path: path, operation: "write", code: errno) }
    temporary = name
    descriptor = opened
    var status = stat()
    if stat(target, &status) == 0 { _ = fchmod(opened, status.st_mode & 0o777) }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends `bytes`.
  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    guard let base = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      #if canImport(Glibc)
        let count = Glibc.write(descriptor, base + done, min(bytes.count - done, 1 << 30))
      #elseif canImport(Musl)
        let count = Musl.write(descriptor, base + done, min(bytes.count - done, 1 << 30))
      #else
        let count = Darwin.write(descriptor, base + done, min(bytes.count - done, 1 << 30))
      #endif
      if count < 0 {
        if errno == EINTR { continue }
        throw FileError(path: path, operation: "write", code: errno)
      }
      done += count
    }
  }

  /// Appends `bytes`.
  public func write(_ bytes: [UInt8]) throws(FileError) {
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) { try write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Appends the UTF-8 of `text`.
  public func write(_ text: String) throws(FileError) { try write(Array(text.utf8)) }

  func finish() throws(FileError) {
    guard fsync(descriptor) == 0 else {
      throw FileError(path: path, operation: "sync", code: errno)
    }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 || errno == EINTR else {
      throw FileError(path: path, operation: "close", code: errno)
    }
  }
}
