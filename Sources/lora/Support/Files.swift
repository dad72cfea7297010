import LoRAFormats

/// The text of the file at `path`, which must be UTF-8.
func readText(_ path: String) throws(FormatError) -> String {
  let bytes = try FileSystem.read(path)
  guard let text = String(validating: bytes, as: UTF8.self) else {
    throw FormatError(
      .malformed, file: path, problem: "it is not UTF-8 text", remedy: "convert it to UTF-8")
  }
  return text
}

extension ModelDirectory {
  /// What a model made from this one takes over unchanged: its tokenizer, its chat template and how
  /// it wants to be sampled.
  func companionFiles() throws(FormatError) -> [(name: String, content: [UInt8])] {
    var files: [(name: String, content: [UInt8])] = []
    for name in Self.companionNames + ["generation_config.json"]
    where FileSystem.exists(FileSystem.join(path, name)) {
      files.append((name, try FileSystem.read(FileSystem.join(path, name))))
    }
    return files
  }
}
