#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
package import LoRAJSON
package import LoRATensor

/// The few calls of the operating system that reading and writing files needs.
package enum FileSystem {
  /// Whether something exists at `path`, after following links.
  package static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether `path` is a folder.
  package static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether `path` is a plain file, after following links.
  package static func isPlainFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// Whether `path` is a plain file without content.
  package static func isEmptyFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG && status.st_size == 0
  }

  /// Whether both paths lead to one file or folder.
  package static func isSame(_ a: String, _ b: String) -> Bool {
    var (one, other) = (stat(), stat())
    return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev
      && one.st_ino == other.st_ino
  }

  /// The path from the root, links resolved; `path` itself if there is nothing at it.
  package static func absolute(_ path: String) -> String {
    guard let resolved = realpath(path, nil) else { return path }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// `folder` and `name` joined by one slash.
  package static func join(_ folder: String, _ name: String) -> String {
    folder.isEmpty || folder.hasSuffix("/") ? folder + name : folder + "/" + name
  }

  /// The folder that holds `path`.
  package static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  /// The last component of `path`.
  package static func name(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(path[path.utf8.index(after: slash)...])
  }

  /// Makes the folder `path` and those above it where they are missing.
  package static func makeFolder(_ path: String) throws(FileError) {
    if path.isEmpty || isFolder(path) { return }
    let parent = folder(of: path)
    if parent != path { try makeFolder(parent) }
    guard mkdir(path, 0o777) == 0 || (errno == EEXIST && isFolder(path)) else {
      throw FileError(path: path, operation: "make the folder", code: errno)
    }
  }

  /// Makes the folders above `path` where they are missing; those that were made, the innermost first.
  package static func makeFolders(above path: String) throws(FileError) -> [String] {
    var made: [String] = []
    var folder = folder(of: path)
    while !exists(folder) {
      made.append(folder)
      folder = self.folder(of: folder)
    }
    do throws(FileError) {
      try makeFolder(self.folder(of: path))
    } catch {
      for folder in made { rmdir(folder) }
      throw error
    }
    return made
  }

  /// Calls `body`, which writes `path`, with the folders above it in place; if it throws, those that
  /// were made for it are gone.
  package static func withFolder<R>(of path: String, _ body: () throws -> R) throws -> R {
    let made = try makeFolders(above: path)
    do {
      return try body()
    } catch {
      for folder in made { rmdir(folder) }
      throw error
    }
  }

  /// Brings the folder's list of names safely onto the disk.
  package static func synchronize(folder: String) throws(FileError) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    // A folder that may be written but not read cannot be synced; its files have been.
    guard descriptor >= 0 else { return }
    defer { close(descriptor) }
    // Some network file systems refuse to sync folders.
    guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
      throw FileError(path: folder, operation: "sync the folder", code: errno)
    }
  }

  /// The names of what lies in the folder `path`, sorted; empty if it cannot be listed.
  package static func names(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// The first `count` bytes of the file at `path`, or all if it has fewer.
  package static func firstBytes(of path: String, count: Int) throws(FormatError) -> [UInt8] {
    let file = try OpenFile(path)
    var failure: FormatError?
    let length = min(count, file.byteCount)
    let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
      do throws(FormatError) {
        try file.read(
          at: 0, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: length))
        initialized = length
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  /// The text of the file at `path` as it is: neither line ends nor a byte-order mark are changed. Throws if
  /// it is not in UTF-8.
  package static func readText(_ path: String) throws(FormatError) -> String {
    guard let text = String(validating: try read(path), as: UTF8.self) else {
      throw FormatError(
        .invalidValue, file: path, problem: "it is not text in UTF-8",
        remedy: "convert it, as with iconv")
    }
    return text
  }

  /// The bytes of the file at `path`, which may have at most `limit`.
  package static func read(_ path: String, limit: Int = .max) throws(FormatError) -> [UInt8] {
    let file = try OpenFile(path)
    guard file.byteCount <= limit else {
      throw FormatError(
        .malformed, file: path,
        problem: "it has \(file.byteCount) bytes, more than the \(limit) that such a file may have")
    }
    var result: FormatError?
    let bytes = [UInt8](unsafeUninitializedCapacity: file.byteCount) { buffer, count in
      do throws(FormatError) {
        try file.read(
          at: 0,
          into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: file.byteCount))
        count = file.byteCount
      } catch {
        result = error
      }
    }
    if let result { throw result }
    return bytes
  }

  /// The JSON object in the file at `path`.
  package static func readObject(_ path: String) throws(FormatError) -> JSONObject {
    let bytes = try read(path, limit: 1 << 30)
    return try object(parsing: bytes, file: path)
  }

  /// The JSON object that `bytes` are; `file` is for errors.
  package static func object(
    parsing bytes: [UInt8], file: String
  ) throws(FormatError) -> JSONObject {
    let value: JSONValue
    do throws(JSONError) {
      // JSON has no byte order mark, editors on Windows write one.
      value = try JSONValue(
        parsing: bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes)
    } catch {
      throw FormatError(.malformed, file: file, problem: "it is not JSON: \(error)")
    }
    guard let object = value.objectValue else {
      throw FormatError(
        .typeMismatch, file: file, problem: "expected a JSON object, found \(value.kind)")
    }
    return object
  }
}

/// A plain file that is open for reading.
package final class OpenFile {
  package let path: String
  package let byteCount: Int
  private let descriptor: Int32

  package init(_ path: String) throws(FormatError) {
    // Nobody may ever write to a FIFO: opening one must not wait for it.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      let code = errno
      let reason = String(cString: strerror(code))
      throw code == ENOENT || code == ENOTDIR
        ? FormatError(
          .missingFile, file: path, problem: "the file does not exist", remedy: "check the path")
        : FormatError(.unreadable, file: path, problem: "it cannot be opened: \(reason)")
    }
    self.path = path
    self.descriptor = descriptor
    var status = stat()
    let examined = fstat(descriptor, &status) == 0
    byteCount = Int(status.st_size)
    guard examined, status.st_mode & S_IFMT == S_IFREG else {
      let isFolder = examined && status.st_mode & S_IFMT == S_IFDIR
      throw FormatError(
        .unreadable, file: path,
        problem: isFolder ? "expected a file, found a folder" : "it is not a plain file",
        remedy: isFolder ? "" : "write what it gives to a file, and give that")
    }
    // Files that the kernel makes up, as in /proc, say that they are empty.
    var byte: UInt8 = 0
    if byteCount == 0, pread(descriptor, &byte, 1, 0) != 0 {
      throw FormatError(
        .unreadable, file: path, problem: "its size is not known before it is read",
        remedy: "copy it to a plain file, and give that")
    }
    try refusePointer()
  }

  /// Throws if the file is what Git left in the place of one.
  private func refusePointer() throws(FormatError) {
    guard byteCount > 0, byteCount < LFSPointer.greatestSize else { return }
    var bytes = [UInt8](repeating: 0, count: byteCount)
    var failure: FormatError?
    bytes.withUnsafeMutableBytes { buffer in
      do throws(FormatError) {
        try read(at: 0, into: buffer)
      } catch {
        failure = error
      }
    }
    guard failure == nil, let size = LFSPointer.size(of: bytes) else { return }
    throw FormatError(
      .missingFile, file: path, problem: LFSPointer.problem(size: size),
      remedy: LFSPointer.remedy)
  }

  deinit { close(descriptor) }

  /// Fills `buffer` from the bytes at `offset`.
  package func read(
    at offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws(FormatError) {
    guard let base = buffer.baseAddress else { return }
    var done = 0
    while done < buffer.count {
      let count = pread(
        descriptor, base + done, min(buffer.count - done, 1 << 30), off_t(offset + done))
      if count < 0 {
        if errno == EINTR { continue }
        throw FormatError(
          .unreadable, file: path,
          problem: "reading failed: \(String(cString: strerror(errno)))")
      }
      guard count > 0 else {
        throw FormatError(
          .truncated, file: path, problem: "the file became shorter while it was read",
          remedy: "try again when nothing writes to it")
      }
      done += count
    }
  }
}
