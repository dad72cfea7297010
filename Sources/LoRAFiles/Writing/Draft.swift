#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import LoRATensor

/// Names of the hidden files and folders in which results are collected, and what becomes of those
/// whose process was killed.
enum Draft {
  private static let prefix = ".lora-tmp."

  /// What the names of a target's drafts end with: its own, so that the content's kind shows. A
  /// file's name has 255 bytes at most.
  private static func suffix(of target: String) -> String {
    String(decoding: FileSystem.name(of: target).utf8.suffix(150), as: UTF8.self)
  }

  /// A new name beside `target`, or in the folder `place` instead.
  static func path(for target: String, in place: String? = nil) -> String {
    let random = String(UInt64.random(in: .min ... .max), radix: 36)
    return FileSystem.join(
      place ?? FileSystem.folder(of: target), "\(prefix)\(random).\(suffix(of: target))")
  }

  /// Whether the file or folder `name` is a draft of any target.
  static func isDraft(_ name: String) -> Bool { name.hasPrefix(prefix) }

  /// What the name of the draft `name` says of its target; nil if it is no draft.
  private static func target(of name: String) -> Substring? {
    guard isDraft(name) else { return nil }
    let rest = name.dropFirst(prefix.count)
    return rest.firstIndex(of: ".").map { rest[rest.index(after: $0)...] }
  }

  /// Removes the drafts of `target` that killed processes left beside it, or in the folder `place`.
  /// A living process holds a lock on its own.
  static func removeLeftovers(of target: String, in place: String? = nil) {
    let suffix = suffix(of: target)
    removeLeftovers(in: place ?? FileSystem.folder(of: target)) { $0 == suffix }
  }

  /// Removes the drafts in `folder` that killed processes left of files whose names `isTarget` knows.
  static func removeLeftovers(in folder: String, of isTarget: (String) -> Bool) {
    for name in FileSystem.names(in: folder) {
      guard let target = target(of: name), isTarget(String(target)) else { continue }
      let path = FileSystem.join(folder, name)
      let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
      guard descriptor >= 0 else { continue }
      defer { close(descriptor) }
      if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { remove(path) }
    }
  }

  /// Removes the file or the folder at `path`, as far as that is possible; links are not followed.
  static func remove(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFDIR else {
      unlink(path)
      return
    }
    for name in FileSystem.names(in: path) { remove(FileSystem.join(path, name)) }
    rmdir(path)
  }
}

/// A folder in which the files of a result are collected, which nobody else may open.
final class FolderDraft {
  let path: String
  private var descriptor: Int32
  /// The permissions that a new folder has.
  private let permissions: mode_t

  /// Makes the folder beside `target`, or in `place`.
  init(for target: String, in place: String? = nil) throws(FileError) {
    while true {
      let path = Draft.path(for: target, in: place)
      guard mkdir(path, 0o777) == 0 else {
        if errno == EEXIST { continue }
        throw FileError(path: target, operation: "write", code: errno)
      }
      var status = stat()
      let opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      let isMine =
        opened >= 0 && fstat(opened, &status) == 0 && fchmod(opened, 0o700) == 0
        && flock(opened, LOCK_EX | LOCK_NB) == 0
      let code = errno
      // Between its making and its lock another process may have taken it for a leftover.
      if isMine, FileSystem.exists(path) {
        self.path = path
        descriptor = opened
        permissions = status.st_mode & 0o777
        return
      }
      if opened >= 0 { close(opened) }
      if isMine { continue }
      rmdir(path)
      throw FileError(path: target, operation: "write", code: code)
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Gives the folder the permissions of the one that it replaces, or a new one's.
  func publish(like replaced: String?) throws(FileError) {
    var status = stat()
    var mode = permissions
    if let replaced, stat(replaced, &status) == 0 { mode = status.st_mode & 0o777 }
    guard fchmod(descriptor, mode) == 0 else {
      throw FileError(path: path, operation: "set the permissions of", code: errno)
    }
  }

  /// Removes what is left of it under its own name.
  func remove() { Draft.remove(path) }
}
