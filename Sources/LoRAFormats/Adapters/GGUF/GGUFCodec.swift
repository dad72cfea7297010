import LoRAArchitectures
import LoRAFiles

/// llama.cpp's: one file, whose base tells how its rows are ordered where the file does not.
struct GGUFCodec: AdapterCodec {
  let format = AdapterFormat.gguf
  let magic = Array("GGUF".utf8)

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let base = try options.basePath.map(ggufBase)
    let description = try GGUFAdapterFile(path: path, base: base).description
    return AdapterContent(description)
  }

  /// The factors of an expert's gate and up together are those of two tensors.
  func described(
    _ description: AdapterDescription, _ options: AdapterFile.Options
  ) throws(FormatError) -> AdapterDescription {
    guard let base = try options.basePath.map(ggufBase) else { return description }
    return separatingPairs(description, base)
  }

  private func separatingPairs(
    _ description: AdapterDescription, _ base: GGUFBase
  ) -> AdapterDescription {
    guard let names = GGUFTensorNames(base) else { return description }
    var result = description
    result.layers = names.separatingPairs(description.layers)
    return result
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    guard let basePath = options.basePath else {
      throw FormatError(
        .missingKey, file: path, key: "base",
        "a GGUF adapter names its base's architecture and orders rows by the base's heads",
        remedy: "give the base model: its GGUF file, or its Hugging Face directory (--base)")
    }
    let base = try ggufBase(basePath)
    var described = adapter.description
    described.metadata = adapter.provenance.added(to: described.metadata, for: .gguf)
    let (part, report) = try GGUFAdapterFile.part(described, base: base, path: path)
    let notes = report.foldedLayers.map { layer in
      AdapterNote(
        layer: layer,
        text: "its scale is folded into B with one float32 rounding, the file's alpha being "
          + "\(report.alpha)")
    }
    let written = separatingPairs(adapter.description, base)
    return AdapterFile.Fitted(written, notes, parts: [part])
  }

  /// The model at `path` as GGUF adapters see it: a GGUF file, or a Hugging Face directory, of which
  /// `config.json` says enough.
  private func ggufBase(_ path: String) throws(FormatError) -> GGUFBase {
    if FileSystem.isFolder(path) {
      let configuration = FileSystem.join(path, ModelDirectory.configurationFile)
      return try GGUFBase(
        configuration: try ModelConfiguration(
          parsing: try FileSystem.read(configuration, limit: 1 << 26), file: configuration))
    }
    return try GGUFBase(file: try GGUFFile(path: path))
  }
}
