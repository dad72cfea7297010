import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
package import LoRATensor

/// Writes the files of a result that only mean something together, as an adapter's configuration and
/// weights, so that a reader finds all of the old ones or all of the new ones at any moment, whatever
/// stops the program.
///
/// The files are collected in a hidden folder beside the target, which takes the target's place at
/// once (`rename`, or an exchange of the two names where there is a folder already). Files in the
/// target that are not part of the result stay in it. Where the folder cannot be exchanged, as a
/// mount point, the working folder or one with folders of somebody else's in it, its files are
/// exchanged instead, see ``FolderJournal``.
package enum AtomicFolder {
  /// Writes `parts`, whose paths lie in the folder `path`, which is made if it is missing. The last
  /// part is what a reader opens first.
  ///
  /// - Parameters:
  ///   - result: what the parts are together. Files of an older one go; a folder that holds another
  ///     kind is refused, since the two would be read as a mixture.
  ///   - check: called with the draft of the folder before it takes its place; if it throws, nothing
  ///     has changed.
  ///
  /// Throws `FileError`, or what a part's body or `check` throws; then the folder is as before.
  package static func write<Content: FolderContent>(
    _ parts: [AtomicFile.Part], as result: Content, to path: String,
    check: (_ draft: String) throws -> Void = { _ in }
  ) throws {
    let target = try target(of: path)
    try FileSystem.withFolder(of: target) {
      try FolderJournal.recover(target)
      if let other = Content.all(in: target).first(where: { $0 != result }) {
        throw FileError(
          path: path, operation: "write",
          reason: "the folder holds \(other), and \(result) would be mixed with it")
      }
      let isInPlace = mustStay(target)
      removeLeftovers(of: target)
      let draft = try FolderDraft(for: target, in: isInPlace ? target : nil)
      defer { draft.remove() }
      var names: [String] = []
      for part in parts {
        guard let name = name(of: part, in: path) else {
          throw FileError(
            path: part.path, operation: "write", reason: "it is not in the folder '\(path)'")
        }
        names.append(name)
        try fill(part, FileSystem.join(draft.path, name), like: FileSystem.join(target, name))
      }
      for folder in folders(of: names) {
        try FileSystem.synchronize(folder: FileSystem.join(draft.path, folder))
      }
      try check(draft.path)
      try keepExisting(result, in: target, path)
      let kept = Contents(of: target, without: names, result)
      var isReplaced = false
      if !isInPlace {
        isReplaced = try replace(target, path, with: draft, of: result, keeping: kept)
      }
      if !isReplaced {
        // The exchange that the system could not do took its time.
        try keepExisting(result, in: target, path)
        do throws(FileError) {
          try FolderJournal.exchange(names, dropping: kept.superseded, of: draft.path, in: target)
        } catch {
          try keepExisting(result, in: target, path)
          throw error
        }
      }
      try FileSystem.synchronize(folder: FileSystem.folder(of: target))
    }
  }

  /// Puts right what a killed process left of the folder `path`: removes drafts, and brings a
  /// half-exchanged set of files back or to its end. The folder may be missing.
  package static func recover(_ path: String) throws(FileError) {
    let target = try target(of: path)
    removeLeftovers(of: target)
    try FolderJournal.recover(target)
  }

  /// Throws if the file or folder `path` could not be written where it is to lie; makes nothing that
  /// stays.
  package static func tryWriting(_ path: String) throws {
    var status = stat()
    // A draft's name is shortened, the result's is not.
    guard lstat(path, &status) == 0 || errno != ENAMETOOLONG else {
      throw FileError(path: path, operation: "write", code: ENAMETOOLONG)
    }
    let made = try FileSystem.makeFolders(above: path)
    defer { for folder in made { rmdir(folder) } }
    let place = FileSystem.isFolder(path) && mustStay(path) ? path : nil
    let draft = Draft.path(for: path, in: place)
    let writer = try FileWriter(draft: draft, for: path, keepingModeOf: nil)
    defer { unlink(draft) }
    try writer.write([0])
    try writer.release()
  }

  private static func removeLeftovers(of target: String) {
    Draft.removeLeftovers(of: target)
    Draft.removeLeftovers(of: target, in: target)
  }

  // MARK: Steps

  /// The folder that is written: where links lead, without a slash at the end.
  private static func target(of path: String) throws(FileError) -> String {
    guard !path.isEmpty else {
      throw FileError(path: path, operation: "write", reason: "the name is empty")
    }
    guard FileSystem.exists(path) else {
      var status = stat()
      guard lstat(path, &status) != 0 else {
        throw FileError(path: path, operation: "write", reason: "it is a link that leads nowhere")
      }
      var path = path
      while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
      return path
    }
    guard FileSystem.isFolder(path) else {
      throw FileError(path: path, operation: "write", reason: "it is not a folder")
    }
    return FileSystem.absolute(path)
  }

  /// Whether the folder itself has to stay where it is: a file system's root, or where this or another
  /// process is likely to stand.
  private static func mustStay(_ target: String) -> Bool {
    var (mine, parents) = (stat(), stat())
    guard stat(target, &mine) == 0 else { return false }
    let parent = FileSystem.folder(of: target)
    guard stat(parent, &parents) == 0, mine.st_dev == parents.st_dev, access(parent, W_OK) == 0
    else { return true }
    let here = FileSystem.absolute(".")
    return here == target || here.hasPrefix(target + "/")
  }

  private static func name(of part: AtomicFile.Part, in path: String) -> String? {
    let prefix = FileSystem.join(path, "")
    return part.path.hasPrefix(prefix) && part.path.utf8.count > prefix.utf8.count
      ? String(part.path.dropFirst(prefix.count)) : nil
  }

  private static func fill(
    _ part: AtomicFile.Part, _ draft: String, like replaced: String
  ) throws {
    try FileSystem.makeFolder(FileSystem.folder(of: draft))
    let writer = try FileWriter(draft: draft, for: part.path, keepingModeOf: replaced)
    try part.body(writer)
    try writer.finish()
    try writer.release()
  }

  /// The folders that hold files of these names, the innermost first.
  private static func folders(of names: [String]) -> [String] {
    Set(names.map { $0.contains("/") ? FileSystem.folder(of: $0) : "" }).sorted(by: >)
  }

  /// Throws if there is a result like `content` in `folder`, the one at `path`, that has to stay.
  private static func keepExisting<Content: FolderContent>(
    _ content: Content, in folder: String, _ path: String
  ) throws(ResultAppeared) {
    if ExistingResult.policy == .kept, !Content.all(in: folder).isEmpty {
      throw ResultAppeared(path: path)
    }
  }

  /// Puts the draft in the place of `target`; false if that can't be done at once, and nothing has
  /// changed.
  private static func replace(
    _ target: String, _ path: String, with draft: FolderDraft, of result: some FolderContent,
    keeping kept: Contents
  ) throws -> Bool {
    let exists = FileSystem.exists(target)
    guard exists else {
      try draft.publish(like: nil)
      let isKept = ExistingResult.policy == .kept
      let renamed =
        isKept ? lora_rename_new(draft.path, target) : rename(draft.path, target)
      guard renamed == 0 else {
        if isKept, errno == EEXIST { throw ResultAppeared(path: path) }
        throw FileError(path: target, operation: "rename a finished folder to", code: errno)
      }
      return true
    }
    // A folder cannot have two names.
    guard !kept.hasFolders, kept.link(from: target, to: draft.path) else { return false }
    try draft.publish(like: target)
    guard lora_exchange(draft.path, target) == 0 else {
      // Not every file system can.
      if [ENOSYS, EINVAL, ENOTSUP, EPERM, EBUSY].contains(errno) {
        kept.unlink(in: draft.path)
        return false
      }
      throw FileError(path: target, operation: "exchange a finished folder with", code: errno)
    }
    // What came between the last look and the exchange lies in the draft's place now.
    do throws(ResultAppeared) {
      try keepExisting(result, in: draft.path, path)
    } catch {
      if lora_exchange(draft.path, target) == 0 { throw error }
    }
    kept.returnLatecomers(from: draft.path, to: target)
    return true
  }
}

/// What lies in a folder beside the files that are about to be written.
private struct Contents {
  /// Files that go: of the result that is replaced.
  var superseded: [String] = []
  /// The names in the folder itself that were there or will be.
  private var known: Set<String> = []
  /// Files of somebody else's.
  private var files: [String] = []
  /// Whether there are folders of somebody else's.
  private(set) var hasFolders = false

  init(of target: String, without names: [String], _ result: some FolderContent) {
    let written = Set(names)
    known = Set(FileSystem.names(in: target)).union(
      names.map { String($0.prefix { $0 != "/" }) })
    for folder in Set(names.map { $0.contains("/") ? FileSystem.folder(of: $0) : "" }) {
      for entry in FileSystem.names(in: FileSystem.join(target, folder)) {
        let name = FileSystem.join(folder, entry)
        if written.contains(name) || Draft.isDraft(entry) { continue }
        var status = stat()
        guard lstat(FileSystem.join(target, name), &status) == 0 else { continue }
        if status.st_mode & S_IFMT == S_IFDIR {
          if !names.contains(where: { $0.hasPrefix(name + "/") }) { hasFolders = true }
        } else if result.owns(entry) {
          superseded.append(name)
        } else {
          files.append(name)
        }
      }
    }
  }

  /// Gives the kept files of `target` second names in `draft`; false if that can't be done.
  func link(from target: String, to draft: String) -> Bool {
    for name in files {
      let (from, to) = (FileSystem.join(target, name), FileSystem.join(draft, name))
      // A link is kept as a link, also where `link` would follow it.
      guard linkat(AT_FDCWD, from, AT_FDCWD, to, 0) == 0 else {
        unlink(in: draft)
        return false
      }
    }
    return true
  }

  func unlink(in draft: String) {
    for name in files { _ = remove(FileSystem.join(draft, name)) }
  }

  /// Moves what came into the old folder after it was looked through, and before the exchange, into
  /// the new one.
  func returnLatecomers(from old: String, to target: String) {
    for name in FileSystem.names(in: old) where !known.contains(name) {
      let place = FileSystem.join(target, name)
      if !FileSystem.exists(place) { rename(FileSystem.join(old, name), place) }
    }
  }
}
