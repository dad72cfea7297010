import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import LoRATensor

/// Exchanges files within a folder that itself has to stay, so that no moment shows old and new ones
/// together.
///
/// What is replaced is first moved aside, beginning with the file that readers open first; then the
/// new files are moved in, that one last. In between readers find it missing. A list of the names
/// lies in the folder for that time: whoever writes the folder next finds from it whether the
/// exchange came to its end, and otherwise brings the old files back.
package enum FolderJournal {
  /// The list's file.
  static let name = ".lora-write"

  /// Throws if an exchange in `folder` was begun and not ended: its files may not belong together.
  package static func check(_ folder: String) throws(FormatError) {
    guard FileSystem.exists(FileSystem.join(folder, name)) else { return }
    throw FormatError(
      .truncated, file: folder, problem: "a program was stopped while it wrote this folder",
      remedy: "write the result again; what was there before comes back first")
  }

  /// What is done with a file.
  private enum Mark: String {
    /// A new one, without a predecessor.
    case added = "+"
    /// A new one that replaces another.
    case replaced = "*"
    /// One that goes.
    case dropped = "-"
  }

  private typealias Entry = (mark: Mark, name: String)

  /// Moves the files `names` of the folder `draft` into `target`, the last of which readers open
  /// first, and removes the files `dropped` from it.
  static func exchange(
    _ names: [String], dropping dropped: [String], of draft: String, in target: String
  ) throws(FileError) {
    let entries: [Entry] =
      dropped.map { (.dropped, $0) }
      + names.map { (isThere(FileSystem.join(target, $0)) ? .replaced : .added, $0) }
    let journal = FileSystem.join(target, name)
    let list = entries.map { $0.mark.rawValue + $0.name + "\n" }.joined()
    let writer = try FileWriter(
      draft: FileSystem.join(draft, name), for: journal, keepingModeOf: nil)
    try writer.write(list)
    try writer.finish()
    try move(writer.draft, to: journal)
    try FileSystem.synchronize(folder: target)
    var isPlaced: Set<String> = []
    do throws(FileError) {
      for (mark, name) in entries.reversed() where mark != .added {
        try move(FileSystem.join(target, name), to: aside(name, target))
      }
      for (mark, name) in entries where mark != .dropped {
        try FileSystem.makeFolder(FileSystem.folder(of: FileSystem.join(target, name)))
        try move(
          FileSystem.join(draft, name), to: FileSystem.join(target, name),
          replacing: mark != .added || ExistingResult.policy == .replaced)
        isPlaced.insert(name)
      }
      try FileSystem.synchronize(folder: target)
    } catch {
      // A file that somebody else has put there is not taken away.
      undo(entries.filter { $0.mark != .added || isPlaced.contains($0.name) }, in: target)
      throw error
    }
    finish(entries, in: target)
    try writer.release()
  }

  /// Brings an exchange that was stopped in the middle to its end, or back to its beginning.
  static func recover(_ target: String) throws(FileError) {
    let journal = FileSystem.join(target, name)
    let descriptor = open(journal, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw FileError(
        path: target, operation: "write", reason: "another process is writing to this folder")
    }
    guard let bytes = try? FileSystem.read(journal, limit: 1 << 20) else {
      throw FileError(path: journal, operation: "read", reason: "it is not a plain file")
    }
    let entries: [Entry] = bytes.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let text = String(decoding: line, as: UTF8.self)
      let name = String(text.dropFirst())
      // Names from a file lead nowhere but into this folder.
      guard let mark = Mark(rawValue: String(text.prefix(1))), !name.isEmpty,
        !name.split(separator: "/", omittingEmptySubsequences: false).contains(where: {
          $0.isEmpty || $0 == "." || $0 == ".."
        })
      else { return nil }
      return (mark, name)
    }
    // The first file to go and the last to come: it is missing while the others are moved.
    let isWhole = entries.last.map { isThere(FileSystem.join(target, $0.name)) } ?? true
    if isWhole { finish(entries, in: target) } else { undo(entries, in: target) }
  }

  // MARK: Steps

  /// The list goes last: until then it is known what to do.
  private static func finish(_ entries: [Entry], in target: String) {
    for (mark, name) in entries where mark != .added { unlink(aside(name, target)) }
    unlink(FileSystem.join(target, name))
  }

  private static func undo(_ entries: [Entry], in target: String) {
    var isUndone = true
    for (mark, name) in entries {
      let path = FileSystem.join(target, name)
      if mark == .added {
        isUndone = (unlink(path) == 0 || errno == ENOENT) && isUndone
      } else if isThere(aside(name, target)) {
        isUndone = rename(aside(name, target), path) == 0 && isUndone
      }
    }
    if isUndone { unlink(FileSystem.join(target, name)) }
  }

  /// Where a file lies while it is being replaced.
  private static func aside(_ name: String, _ target: String) -> String {
    let path = FileSystem.join(target, name)
    return FileSystem.join(
      FileSystem.folder(of: path), ".\(FileSystem.name(of: path)).lora-old")
  }

  private static func isThere(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private static func move(
    _ source: String, to target: String, replacing: Bool = true
  ) throws(FileError) {
    let moved = replacing ? rename(source, target) : lora_rename_new(source, target)
    guard moved == 0 else {
      throw FileError(path: target, operation: "move a file to", code: errno)
    }
  }
}
