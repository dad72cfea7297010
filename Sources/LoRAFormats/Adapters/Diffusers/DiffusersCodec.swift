import LoRAFiles

/// Hugging Face's diffusers: one file, names as in its pipelines.
struct DiffusersCodec: AdapterCodec {
  let format = AdapterFormat.diffusers
  let example: String? = "unet.<path>.lora_A.weight"

  func hasTensor(named name: String) -> Bool { DiffusersAdapterFile.key(name) != nil }

  func marks(_ file: SafetensorsFile) -> Bool { DiffusersAdapterFile.isMarked(file) }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let file = try DiffusersAdapterFile(
      path: AdapterFormat.fileWithoutConfiguration(at: path) ?? path)
    return AdapterContent(
      description: file.description, provenance: file.provenance, notes: file.notes,
      assumesScale: file.assumesScale)
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    let (file, notes) = try DiffusersAdapterFile.fitting(
      adapter.description, provenance: adapter.provenance, file: path)
    return AdapterFile.Fitted(file.description, notes, parts: [try file.part(path: path)])
  }
}
