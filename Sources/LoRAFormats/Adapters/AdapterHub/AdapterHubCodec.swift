import LoRAFiles
import LoRAJSON

/// AdapterHub's `adapters` package: a folder with bottleneck adapters.
struct AdapterHubCodec: AdapterCodec {
  let format = AdapterFormat.adapters
  let example: String? = "<block>.output_adapters.adapters.<name>.adapter_down.0.weight"
  let configurationKeys = ["config"]
  let weightsFiles = [AdapterHubFile.weightsFile, AdapterHubFile.pickleFile]

  func hasTensor(named name: String) -> Bool {
    name.contains("adapters.") && (name.contains(".adapter_down.") || name.contains(".adapter_up."))
  }

  func describes(_ configuration: JSONObject) -> Bool {
    configuration["config"]?.objectValue != nil && configuration["peft_type"] == nil
  }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let file = try AdapterHubFile(path: path)
    return AdapterContent(
      description: file.description,
      provenance: AdapterFile.Provenance(
        baseModelName: file.configuration.modelName, dropout: file.configuration.dropout),
      notes: file.notes, adapterHubConfiguration: file.configuration)
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    let modelType = try options.basePath.flatMap { path throws(FormatError) in
      try AdapterBase.modelType(path: path)
    }
    let file = try AdapterHubFile(fitting: adapter, modelType: modelType, file: path)
    return AdapterFile.Fitted(file.description, file.notes, parts: try file.parts(of: path))
  }
}
