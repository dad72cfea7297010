import LoRAArchitectures
package import LoRAFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What lies at a path, by its content and never by its name: what every command that takes a model, an
/// adapter or a file to look at decides by.
package enum PathContent: Sendable, Hashable {
  /// Nothing.
  case missing
  /// A folder with a `config.json`: a model.
  case modelFolder
  /// A folder with an `adapter_config.json`.
  case adapterFolder
  /// Another folder.
  case folder
  /// A GGUF file, whatever it is called: Ollama's blobs have no suffix.
  case gguf
  /// A safetensors file.
  case safetensors
  /// A zip archive: PyTorch's files since 1.6, NumPy's `.npz`.
  case zip
  /// A Python pickle: PyTorch's files before 1.6.
  case pickle
  /// A Parquet file.
  case parquet
  /// A file that begins as JSON does.
  case json
  /// Text.
  case text
  /// A file without a byte.
  case empty
  /// Something that is neither a file nor a folder.
  case special
  /// A file of another kind.
  case unknown

  /// Looks at what is at `path`. Throws if it exists and can't be read.
  package init(_ path: String) throws(FormatError) {
    var status = stat()
    guard stat(path, &status) == 0 else {
      // A link that leads nowhere or round in a circle is something.
      var link = stat()
      guard lstat(path, &link) == 0, link.st_mode & S_IFMT == S_IFLNK else {
        self = .missing
        return
      }
      throw FormatError(
        .unreadable, file: path, problem: "it is a link that leads nowhere",
        remedy: "download again what it should lead to")
    }
    switch status.st_mode & S_IFMT {
    case S_IFDIR: self = Self.folder(path)
    case S_IFREG: self = try Self.file(path)
    default: self = .special
    }
  }

  private static func folder(_ path: String) -> PathContent {
    if FileSystem.exists(FileSystem.join(path, PEFTAdapterConfiguration.fileName)) {
      return .adapterFolder
    }
    return FileSystem.exists(FileSystem.join(path, ModelDirectory.configurationFile))
      ? .modelFolder : .folder
  }

  private static func file(_ path: String) throws(FormatError) -> PathContent {
    let start = try FileSystem.firstBytes(of: path, count: 512)
    if start.isEmpty { return .empty }
    func begins(_ text: String) -> Bool { start.starts(with: Array(text.utf8)) }
    if begins("GGUF") { return .gguf }
    if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) { return .zip }
    if begins("PAR1") { return .parquet }
    // Behind the length of a safetensors header stands a brace; the length may begin as a pickle does.
    if start.count > 8, start[8] == UInt8(ascii: "{"), start[7] == 0 { return .safetensors }
    if start[0] == 0x80, start.count > 1, start[1] <= 5 { return .pickle }
    let isText = start.allSatisfy { $0 >= 0x20 || (0x09...0x0D).contains($0) || $0 == 0x1B }
    guard isText else { return .unknown }
    let first = start.first { $0 != 0x20 && !(0x09...0x0D).contains($0) }
    return first == UInt8(ascii: "{") || first == UInt8(ascii: "[") ? .json : .text
  }

  /// What it is, in words: "found ...".
  package var description: String {
    switch self {
    case .missing: "nothing"
    case .modelFolder: "the folder of a model (config.json)"
    case .adapterFolder: "the folder of an adapter (adapter_config.json)"
    case .folder: "a folder with neither config.json nor adapter_config.json"
    case .gguf: "a GGUF file"
    case .safetensors: "a safetensors file"
    case .zip: "a zip archive, as PyTorch's and NumPy's files are"
    case .pickle: "a Python pickle, as PyTorch's older files are"
    case .parquet: "a Parquet file"
    case .json: "a JSON file"
    case .text: "a text file"
    case .empty: "an empty file"
    case .special: "neither a file nor a folder"
    case .unknown: "a file of a kind that is not known"
    }
  }

  /// The error for a path at which a model was expected.
  package func isNoModel(_ path: String) -> FormatError {
    let remedy =
      switch self {
      case .missing: "check the path; a model is a folder with config.json, or a GGUF file"
      case .adapterFolder:
        "give its base model here, and the adapter where an adapter is expected"
      case .safetensors: "give the folder that holds it and config.json"
      case .zip, .pickle: "convert it in Python: save_pretrained(DIR, safe_serialization=True)"
      default: "give a folder with config.json and weights, or a GGUF file"
      }
    if self == .missing {
      return FormatError(
        .missingFile, file: path, problem: "the folder does not exist", remedy: remedy)
    }
    return FormatError(
      self == .special || self == .folder ? .unreadable : .unsupported, file: path,
      problem: "expected a model, found \(description)", remedy: remedy)
  }
}
