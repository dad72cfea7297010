import LoRAFiles

/// Microsoft's loralib: one file without a scale.
struct LoralibCodec: AdapterCodec {
  let format = AdapterFormat.loralib
  let example: String? = "<path>.lora_A"

  func hasTensor(named name: String) -> Bool {
    name.hasSuffix(".lora_A") || name.hasSuffix(".lora_B")
  }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    AdapterContent(
      description: try LoralibAdapterFile(
        path: path, alpha: options.alpha, groups: options.mergedGroups
      ).description)
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    let (file, _, notes) = try LoralibAdapterFile.fitting(
      adapter.description, alpha: options.alpha, file: path)
    return AdapterFile.Fitted(file.description, notes, parts: [try file.part(path: path)])
  }
}
