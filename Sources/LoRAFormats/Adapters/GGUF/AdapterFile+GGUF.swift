extension AdapterFile {
  /// The adapter in the GGUF file at `path`; a base tells how its rows are ordered, where the file
  /// does not.
  static func readGGUF(
    _ path: String, _ options: Options
  ) throws(FormatError) -> AdapterDescription {
    let base = try options.basePath.map { path throws(FormatError) in try ggufBase(path) }
    return try GGUFAdapterFile(path: path, base: base).description
  }

  func fittedGGUF(to path: String, _ options: Options) throws(FormatError) -> Fitted {
    guard let basePath = options.basePath else {
      throw FormatError(
        .missingKey, file: path, key: "base",
        "a GGUF adapter names its base's architecture and orders rows by the base's heads",
        remedy: "give the base model: its GGUF file, or its Hugging Face directory (--base)")
    }
    var described = description
    described.metadata = provenance.added(to: description.metadata, for: .gguf)
    let (part, report) = try GGUFAdapterFile.part(
      described, base: try Self.ggufBase(basePath), path: path)
    let notes = report.foldedLayers.map { layer in
      AdapterNote(
        layer: layer,
        text: "its scale is folded into B with one float32 rounding, the file's alpha being "
          + "\(report.alpha)")
    }
    return Fitted(description, notes, parts: [part])
  }

  /// The model at `path` as GGUF adapters see it: a GGUF file, or a Hugging Face directory, of which
  /// `config.json` says enough.
  private static func ggufBase(_ path: String) throws(FormatError) -> GGUFBase {
    if FileSystem.isFolder(path) {
      let configuration = FileSystem.join(path, ModelDirectory.configurationFile)
      return try GGUFBase(
        configuration: try ModelConfiguration(
          parsing: try FileSystem.read(configuration, limit: 1 << 26), file: configuration))
    }
    return try GGUFBase(file: try GGUFFile(path: path))
  }
}
