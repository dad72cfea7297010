import LoRAFiles
import LoRAFormats

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The files and folders that a command reads, known by what they are rather than by their names: a
/// link, a hard link or another spelling is the same file.
struct Inputs {
  /// What the file system knows a file by.
  private struct Identity: Hashable {
    let device: UInt64
    let number: UInt64

    init?(_ path: String) {
      var status = stat()
      guard stat(path, &status) == 0 else { return nil }
      device = UInt64(truncatingIfNeeded: status.st_dev)
      number = UInt64(truncatingIfNeeded: status.st_ino)
    }
  }

  /// The paths as they were given, by the files and folders that they lead to.
  private var names: [Identity: String] = [:]
  /// The paths from the root, by the paths as they were given.
  private var places: [(real: String, name: String)] = []

  /// What lies at `paths`: files, the folders of models and adapters with all that is read of them,
  /// and `FILE#tensor`.
  init(_ paths: [String?]) {
    for case let path? in paths where !path.isEmpty { add(path) }
  }

  private mutating func add(_ path: String) {
    if !FileSystem.exists(path), let mark = path.lastIndex(of: "#"), mark > path.startIndex {
      return add(String(path[..<mark]))
    }
    guard FileSystem.exists(path) else { return }
    places.append((FileSystem.absolute(path), path))
    add(path, as: path, depth: 0)
  }

  private mutating func add(_ path: String, as name: String, depth: Int) {
    guard let identity = Identity(path) else { return }
    names[identity] = name
    guard FileSystem.isFolder(path), depth < 2 else { return }
    // Folders within a model's or an adapter's are others' results; an image model's adapter, and a
    // collection of adapters, consists of folders.
    let holdsResult =
      !FolderResult.all(in: path).filter { $0 != .adapter(.peft) }.isEmpty
      || FileSystem.exists(FileSystem.join(path, "adapter_config.json"))
    for entry in FileSystem.names(in: path) {
      let inner = FileSystem.join(path, entry)
      if FileSystem.isFolder(inner), holdsResult { continue }
      add(inner, as: name, depth: depth + 1)
    }
  }

  /// The input that the file or folder at `path` is, or is a part of; nil if it is none.
  func input(at path: String) -> String? { Identity(path).flatMap { names[$0] } }

  /// An input that lies in the folder at `path`; nil if there is none.
  func input(in path: String) -> String? {
    let folder = FileSystem.absolute(path)
    let prefix = folder.hasSuffix("/") ? folder : folder + "/"
    return places.first { $0.real.hasPrefix(prefix) }?.name
  }
}
