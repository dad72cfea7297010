import LoRAFiles
import LoRAFormats
import LoRAKit

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The rule for every path that a command writes, applied before anything is computed:
///
/// - It is never an input, nor leads into one, by whatever name, link or spelling.
/// - It is never a device, a FIFO, or a file or folder that is something else.
/// - What lies there already is replaced only with `--force`, and only by its own kind: an adapter's
///   folder by an adapter in the same layout, a model's by a model, a plot by a plot.
///
/// Missing folders above it are made when the result is written. Checking tries whether they can be,
/// and leaves nothing.
struct Destinations {
  private let inputs: Inputs
  private let force: Bool
  /// What is said of existing results that would be replaced.
  private var unforced: [CommandError] = []
  /// What has been checked, as paths from the root.
  private var claimed: [(place: String, kind: Kind, option: String)] = []

  /// What a result is.
  enum Kind: Equatable {
    /// An adapter: a folder or a file, as its format has it.
    case adapter(AdapterFormat)
    /// A Hugging Face directory.
    case model
    /// A model as a GGUF file.
    case modelFile
    case plot
    case log
    /// Answers to questions, one a line.
    case answers
    case modelfile
    /// A report as an HTML page.
    case page
    /// A file of training data.
    case data
    /// A folder that only holds results, each checked by itself.
    case collection

    fileprivate var folder: FolderResult? {
      switch self {
      case .adapter(let format) where format.isFolder: .adapter(format)
      case .model: .model
      default: nil
      }
    }

    fileprivate var isFolder: Bool { folder != nil || self == .collection }

    fileprivate var name: String {
      switch self {
      case .adapter(let format): "\(format == .mlx ? "an" : "a") \(format.title) adapter"
      case .model, .modelFile: "a model"
      case .plot: "an SVG plot"
      case .log: "a training log"
      case .answers: "a file of answers"
      case .modelfile: "a Modelfile"
      case .page: "an HTML page"
      case .data: "a data file"
      case .collection: "a folder of results"
      }
    }
  }

  /// The destinations of a command that reads `inputs`.
  init(reading inputs: [String?], force: Bool) {
    self.inputs = Inputs(inputs)
    self.force = force
  }

  /// Checks that `path`, given with `option`, may be written as `kind`. That an existing result needs
  /// `--force` is said by ``confirm()``, which a command calls when it has read what it was given, so
  /// that what is wrong with that is said first. Files of a folder that `isOwn` knows by their names may
  /// lie there.
  mutating func check(
    _ path: String, _ kind: Kind, option: String = "--output",
    owning isOwn: (String) -> Bool = { _ in false }
  ) throws {
    guard !path.allSatisfy(\.isWhitespace) else {
      throw CommandError(
        "\(option) is empty: give \(kind.isFolder ? "a folder" : "a file") to write")
    }
    let place = try Self.place(path, kind == .modelfile ? "--output" : option)
    try checkOthers(path, place, kind, option)
    // Its place follows from the adapter's.
    let option = kind == .modelfile ? "--output" : option
    if kind.isFolder {
      try checkFolder(path, place, kind, option, isOwn)
    } else {
      try checkFile(path, place, kind, option)
    }
    try Self.tryWriting(path, kind)
    claimed.append((place, kind, option))
  }

  /// Throws if an existing result would be replaced without `--force`. Before anything is computed.
  func confirm() throws {
    if let error = unforced.first { throw error }
  }

  // MARK: What lies there

  private mutating func checkFolder(
    _ path: String, _ place: String, _ kind: Kind, _ option: String, _ isOwn: (String) -> Bool
  ) throws {
    guard FileSystem.exists(path) else { return }
    guard FileSystem.isFolder(path) else {
      throw CommandError(
        "\(path): it is \(Self.type(of: path)), and \(kind.name) is a folder; give another \(option)"
      )
    }
    if let input = inputs.input(at: path) {
      throw CommandError("\(path): the output is the input '\(input)'; give another \(option)")
    }
    if kind == .collection { return }
    if let input = inputs.input(in: path) {
      throw CommandError("\(path): the folder holds the input '\(input)'; give another \(option)")
    }
    try AtomicFolder.recover(path)
    let results = FolderResult.all(in: path)
    if let other = results.first(where: { $0 != kind.folder }) {
      throw CommandError(
        "\(path): the folder holds \(other), and \(kind.name) would be mixed with it; "
          + "give another \(option)")
    }
    guard results.isEmpty else {
      if !force {
        unforced.append(
          CommandError(
            "\(path): it holds \(kind.name) already; give another \(option), or --force to replace it"
          ))
      }
      return
    }
    let others = FileSystem.names(in: path).filter { name in
      !isOwn(name) && !claimed.contains { $0.place == FileSystem.join(place, name) }
    }
    guard others.isEmpty else {
      throw CommandError(
        "\(path): the folder holds \(listed(others)) and no \(Self.noun(kind)); "
          + "give a new or an empty folder")
    }
  }

  private mutating func checkFile(_ path: String, _ place: String, _ kind: Kind, _ option: String)
    throws
  {
    guard !path.hasSuffix("/") else {
      throw CommandError("\(path): \(kind.name) is a file, and this names a folder; give a file")
    }
    guard FileSystem.exists(path) else { return }
    guard !FileSystem.isFolder(path) else {
      throw CommandError(
        "\(path): it is a folder, and \(kind.name) is a file; give another \(option)")
    }
    guard FileSystem.isPlainFile(path) else {
      throw CommandError(
        "\(path): it is \(Self.type(of: path)); only plain files are replaced; give another \(option)"
      )
    }
    if let input = inputs.input(at: path) {
      let isIt = FileSystem.isSame(path, input)
      throw CommandError(
        "\(path): the output is \(isIt ? "" : "a file of ")the input '\(input)'; "
          + "give another \(option)")
    }
    // An empty file holds nothing that could be lost.
    if FileSystem.isEmptyFile(path) { return }
    guard Self.recognizes(path, as: kind) else {
      throw CommandError(
        "\(path): it exists and is no \(Self.noun(kind)); move it away, or give another \(option)")
    }
    if !force {
      unforced.append(
        CommandError(
          "\(path): it exists; give another \(option), or --force to replace it"))
    }
  }

  /// Two results in one place, or one among the files of another.
  private func checkOthers(_ path: String, _ place: String, _ kind: Kind, _ option: String) throws {
    for other in claimed {
      let isWithin =
        FileSystem.folder(of: place) == other.place
        && other.kind.folder?.owns(FileSystem.name(of: place)) == true
      let holds =
        FileSystem.folder(of: other.place) == place
        && kind.folder?.owns(FileSystem.name(of: other.place)) == true
      if place == other.place || isWithin || holds {
        throw CommandError(
          "\(path): \(option) and \(other.option) name the same place; "
            + (kind == .modelfile ? "give another --output" : "give two different ones"))
      }
    }
  }

  private static func recognizes(_ path: String, as kind: Kind) -> Bool {
    switch kind {
    case .adapter(.gguf):
      (try? GGUFFile(path: path))?["general.type"]?.stringValue == "adapter"
    case .modelFile:
      (try? GGUFFile(path: path)).map { $0["general.type"]?.stringValue != "adapter" } ?? false
    case .adapter: (try? AdapterFormat(detecting: path)) != nil
    case .plot: start(of: path).contains("<svg")
    case .log: isLog(start(of: path))
    case .answers: start(of: path).hasPrefix(#"{"line":"#)
    case .modelfile: start(of: path).hasPrefix("FROM ")
    case .page: start(of: path).hasPrefix("<!DOCTYPE html>")
    case .data: isData(path)
    case .model, .collection: false
    }
  }

  private static func isLog(_ start: String) -> Bool {
    // A run that was killed may have written a part of its first line.
    start.hasPrefix(#"{"step":"#.prefix(start.count))
  }

  /// Whether a file is of records: texts are somebody's own.
  private static func isData(_ path: String) -> Bool {
    guard let file = try? DataFile(path) else { return false }
    return [.jsonLines, .json, .csv].contains(file.format)
  }

  /// The first few hundred bytes of a file, as text.
  private static func start(of path: String) -> String {
    String(decoding: (try? FileSystem.firstBytes(of: path, count: 400)) ?? [], as: UTF8.self)
  }

  // MARK: Words

  private static func noun(_ kind: Kind) -> String {
    kind.name.split(separator: " ").dropFirst().joined(separator: " ")
  }

  private static func type(of path: String) -> String {
    var status = stat()
    guard stat(path, &status) == 0 else { return "something else" }
    return switch status.st_mode & S_IFMT {
    case S_IFREG: "a file"
    case S_IFDIR: "a folder"
    case S_IFIFO: "a FIFO"
    case S_IFSOCK: "a socket"
    case S_IFCHR, S_IFBLK: "a device"
    default: "something else"
    }
  }

  // MARK: Places

  /// The path from the root of what will be written, links resolved as far as there is something.
  private static func place(_ path: String, _ option: String) throws(CommandError) -> String {
    if FileSystem.exists(path) { return FileSystem.absolute(path) }
    var status = stat()
    if lstat(path, &status) == 0 {
      throw CommandError("\(path): it is a link that leads nowhere; give another \(option)")
    }
    var components = path.split(separator: "/").map(String.init)
    var missing: [String] = []
    let root = path.hasPrefix("/") ? "/" : ""
    while !components.isEmpty,
      !FileSystem.exists(root + components.joined(separator: "/"))
    {
      missing.insert(components.removeLast(), at: 0)
    }
    guard !missing.contains("..") else {
      throw CommandError(
        "\(path): it leads through a folder that does not exist, and back; give a plain path")
    }
    let folder = root + components.joined(separator: "/")
    return missing.filter { $0 != "." }.reduce(
      FileSystem.absolute(folder.isEmpty ? "." : folder), FileSystem.join)
  }

  /// Throws if nothing could be written at `path`; makes nothing that stays.
  private static func tryWriting(_ path: String, _ kind: Kind) throws {
    var path = path
    while path.utf8.count > 1, path.hasSuffix("/") { path.removeLast() }
    try AtomicFolder.tryWriting(kind == .collection ? FileSystem.join(path, "result") : path)
  }
}
