import LoRAFormats

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
