import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
package import LoRATensor

/// Writes files so that a crash, a kill, a full disk or an error leaves the old file or the new one,
/// and never a part.
///
/// Content goes to a hidden draft beside the target, is synced to the disk, and is renamed over the
/// target; then the folder is synced. After an error the draft is gone; one that a killed process
/// left is removed by the next who writes the target. Only plain files are replaced, or what links
/// to plain files lead to.
///
/// ```swift
/// try AtomicFile.write([UInt8]("{}".utf8), to: "config.json")
/// ```
///
/// Files that only mean something together, as an adapter's configuration and weights, are written
/// by `AtomicFolder`.
package enum AtomicFile {
  /// One of several files that are written together.
  package struct Part {
    /// The target.
    package let path: String
    /// Writes the content.
    package let body: (FileWriter) throws -> Void

    /// A file whose content `body` writes piece by piece.
    package init(_ path: String, _ body: @escaping (FileWriter) throws -> Void) {
      self.path = path
      self.body = body
    }

    /// A file with the given content.
    package init(_ path: String, _ bytes: [UInt8]) {
      self.init(path) { writer in try writer.write(bytes) }
    }
  }

  /// Writes `bytes` to the file at `path`, whose folder must exist.
  package static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    try asFileError(path) { try writeAll([Part(path, bytes)]) }
  }

  /// Writes what `body` hands to the writer to the file at `path`, whose folder must exist. Throws
  /// `FileError`, or what `body` throws.
  package static func write(
    to path: String, _ body: (FileWriter) throws -> Void
  ) throws {
    try withoutActuallyEscaping(body) { body in try writeAll([Part(path, body)]) }
  }

  /// Writes several files, none of which is replaced before the content of all of them is safely
  /// on the disk. Throws `FileError`, or what a part's body throws; then no target has changed.
  ///
  /// The renames come one after the other at the end, in the order of `parts`: a kill between two of
  /// them leaves the first files new and the others old. Give what others refer to first.
  package static func writeAll(_ parts: [Part]) throws {
    try writeAll(parts) { _ in }
  }

  /// Writes as ``writeAll(_:)`` does, but first calls `check` with the drafts' paths, in the order of
  /// `parts`; if it throws, no target has changed.
  package static func writeAll(_ parts: [Part], check: (_ drafts: [String]) throws -> Void) throws {
    var pending: [(writer: FileWriter, target: String)] = []
    defer { for file in pending { unlink(file.writer.draft) } }
    for part in parts {
      let target = try target(of: part.path)
      Draft.removeLeftovers(of: target)
      let writer = try FileWriter(
        draft: Draft.path(for: target), for: part.path, keepingModeOf: target)
      pending.append((writer, target))
      try part.body(writer)
      try writer.finish()
    }
    try check(pending.map(\.writer.draft))
    var folders: [String] = []
    while let (writer, target) = pending.first {
      try put(writer, at: target)
      pending.removeFirst()
      try writer.release()
      let folder = FileSystem.folder(of: target)
      if !folders.contains(folder) { folders.append(folder) }
    }
    for folder in folders { try FileSystem.synchronize(folder: folder) }
  }

  /// Removes what killed processes left in `folder` of files that they were writing, of those whose
  /// names `isTarget` knows. Writing a file again does so for that file; this is for files that may
  /// never be written again.
  package static func removeLeftovers(in folder: String, of isTarget: (String) -> Bool) {
    Draft.removeLeftovers(in: folder, of: isTarget)
  }

  /// Puts a finished draft in its place.
  private static func put(_ writer: FileWriter, at target: String) throws {
    // An empty file holds nothing that could be lost.
    let isKept = ExistingResult.policy == .kept && !FileSystem.isEmptyFile(target)
    let renamed =
      isKept ? lora_rename_new(writer.draft, target) : rename(writer.draft, target)
    guard renamed == 0 else {
      if isKept, errno == EEXIST { throw ResultAppeared(path: writer.path) }
      throw FileError(path: writer.path, operation: "rename a finished file to", code: errno)
    }
  }

  /// The file that writing to `path` replaces: where a link leads, so that the link stays. Throws if
  /// that is something else than a plain file.
  private static func target(of path: String) throws(FileError) -> String {
    func refused(_ reason: String) -> FileError {
      FileError(path: path, operation: "write", reason: reason)
    }
    guard !path.isEmpty else { throw refused("the name is empty") }
    var status = stat()
    guard lstat(path, &status) == 0 else { return path }
    var target = path
    if status.st_mode & S_IFMT == S_IFLNK {
      guard let real = realpath(path, nil) else { throw refused("it is a link that leads nowhere") }
      defer { free(real) }
      target = String(cString: real)
      guard stat(target, &status) == 0 else { throw refused(String(cString: strerror(errno))) }
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: return target
    case S_IFDIR: throw refused("it is a folder")
    default: throw refused("it is not a plain file")
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
