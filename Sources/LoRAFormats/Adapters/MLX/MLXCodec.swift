import LoRAFiles
import LoRAJSON

/// Apple's mlx-lm: a folder, in older versions one archive of arrays.
struct MLXCodec: AdapterCodec {
  let format = AdapterFormat.mlx
  let example: String? = "<path>.lora_a"
  let configurationKeys = ["fine_tune_type", "lora_parameters"]
  let weightsFiles = [MLXAdapterFile.weightsFile, MLXAdapterFile.arraysFile]

  func hasTensor(named name: String) -> Bool {
    name.hasSuffix(".lora_a") || name.hasSuffix(".lora_b")
  }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let file = try MLXAdapterFile(
      path: AdapterFormat.fileWithoutConfiguration(at: path) ?? path, alpha: options.alpha)
    return AdapterContent(
      description: file.description,
      provenance: AdapterFile.Provenance(
        baseModelName: file.configuration.baseModelName, dropout: file.configuration.dropout),
      notes: file.notes, assumesScale: file.assumesScale,
      mlxConfiguration: file.hasConfiguration ? file.configuration : nil)
  }

  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    var (file, notes) = try MLXAdapterFile.fitting(
      adapter.description, template: adapter.mlxConfiguration,
      modelType: try options.basePath.flatMap { path throws(FormatError) in
        try AdapterBase.modelType(path: path)
      }, file: path)
    adapter.provenance.fill(&file.configuration)
    return AdapterFile.Fitted(file.description, notes, parts: try file.parts(of: path))
  }
}
