import LoRATensor

extension AdapterFile {
  /// Writes the adapter as `format` at `path`: a folder for PEFT and MLX, else a file. What the
  /// format cannot say as it is is folded, with a note, or refused by the layer's name.
  ///
  /// Returns what was written, which reading gives back, and what was done for it. Throws
  /// ``FormatError`` for what cannot be written, `FileError` if writing fails.
  @discardableResult
  public func write(
    as format: AdapterFormat, to path: String, options: Options = Options()
  ) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    try Self.refuseCrossing(format, path)
    let result = try fitAndWrite(as: format, to: path, options: options)
    return (result.written, result.notes + noteOfCopies(format))
  }

  private func fitAndWrite(
    as format: AdapterFormat, to path: String, options: Options
  ) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    switch format {
    case .peft:
      return try writePEFT(to: path, options)
    case .mlx:
      let (file, notes) = try MLXAdapterFile.fitting(
        description, template: mlxConfiguration, file: path)
      try file.write(to: path)
      return (file.description, notes)
    case .gguf:
      return try writeGGUF(to: path, options)
    case .kohya, .lycoris:
      let (file, notes) = try KohyaAdapterFile.fitting(
        description, isLyCORIS: format == .lycoris, file: path)
      try file.write(to: path)
      return (file.description, notes)
    case .diffusers:
      let (file, notes) = try DiffusersAdapterFile.fitting(description, file: path)
      try file.write(to: path)
      return (file.description, notes)
    case .loralib:
      let (file, _, notes) = try LoralibAdapterFile.fitting(
        description, alpha: options.alpha, file: path)
      try file.write(to: path)
      return (file.description, notes)
    }
  }

  /// Copies of the base's weights that PEFT's files may hold say nothing about the adapter.
  private func noteOfCopies(_ format: AdapterFormat) -> [AdapterNote] {
    guard format != .peft, let first = description.baseCopies.first else { return [] }
    let others = description.baseCopies.count - 1
    return [
      AdapterNote(
        text: "the file's copy of the base's '\(first.path)'"
          + (others > 0 ? " and \(others) more" : "") + " is left out")
    ]
  }

  /// A file where a folder is to be, or the other way round.
  private static func refuseCrossing(_ format: AdapterFormat, _ path: String) throws(FormatError) {
    guard FileSystem.exists(path) else { return }
    if format.isFolder != FileSystem.isFolder(path) {
      throw FormatError(
        .invalidValue, file: path,
        problem: format.isFolder
          ? "a \(format.title) adapter is a folder, and this is a file"
          : "a \(format.title) adapter is a file, and this is a folder",
        remedy: "give another path")
    }
  }
}
