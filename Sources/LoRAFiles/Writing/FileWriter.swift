#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
package import LoRATensor

/// The draft of one file, which `AtomicFile` puts in its place when it is complete.
///
/// Nobody else may read a draft: it gets the permissions of the result when it becomes one.
package final class FileWriter {
  /// The target, which errors name.
  package let path: String
  /// Where the content is collected.
  let draft: String
  private var descriptor: Int32
  /// The permissions that the result gets.
  private let permissions: mode_t

  /// Begins the draft of `path` in the file `draft`, which must not exist; `replaced` is the file
  /// whose permissions the result keeps, if there is one.
  init(draft: String, for path: String, keepingModeOf replaced: String?) throws(FileError) {
    self.path = path
    self.draft = draft
    let opened = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o666)
    guard opened >= 0 else { throw FileError(path: path, operation: "write", code: errno) }
    descriptor = opened
    // Held while this process lives: what lies there without the lock is a leftover.
    _ = flock(opened, LOCK_EX | LOCK_NB)
    var status = stat()
    var mode: mode_t = fstat(opened, &status) == 0 ? status.st_mode & 0o777 : 0o600
    if let replaced, stat(replaced, &status) == 0 { mode = status.st_mode & 0o777 }
    permissions = mode
    _ = fchmod(opened, 0o600)
  }

  /// Empties or creates the file at `path`, at once and whole, to be written piece by piece in place,
  /// as a log: what is written is there, whatever happens afterwards. It begins with `content`.
  package convenience init(
    appendingTo path: String, beginningWith content: [UInt8] = []
  ) throws(FileError) {
    let target = FileSystem.exists(path) ? FileSystem.absolute(path) : path
    try FileSystem.makeFolder(FileSystem.folder(of: target))
    Draft.removeLeftovers(of: target)
    try self.init(draft: Draft.path(for: target), for: path, keepingModeOf: target)
    do throws(FileError) {
      try write(content)
      try finish()
      guard rename(draft, target) == 0 else {
        throw FileError(path: path, operation: "write", code: errno)
      }
    } catch {
      unlink(draft)
      throw error
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends `bytes`.
  package func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
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
  package func write(_ bytes: [UInt8]) throws(FileError) {
    var failure: FileError?
    bytes.withUnsafeBytes { buffer in
      do throws(FileError) { try write(buffer) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Appends the UTF-8 of `text`.
  package func write(_ text: String) throws(FileError) { try write(Array(text.utf8)) }

  /// Brings the content safely onto the disk. The draft stays locked until ``release()``.
  func finish() throws(FileError) {
    guard fchmod(descriptor, permissions) == 0 else {
      throw FileError(path: path, operation: "set the permissions of", code: errno)
    }
    guard fsync(descriptor) == 0 else {
      throw FileError(path: path, operation: "sync", code: errno)
    }
  }

  /// Gives the lock back. Called when the draft is in its place, or belongs to a locked folder.
  func release() throws(FileError) {
    guard descriptor >= 0 else { return }
    let closed = close(descriptor)
    descriptor = -1
    guard closed == 0 || errno == EINTR else {
      throw FileError(path: path, operation: "close", code: errno)
    }
  }
}
