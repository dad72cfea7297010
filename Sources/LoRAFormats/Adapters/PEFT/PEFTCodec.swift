import LoRAFiles
import LoRAJSON

/// Hugging Face's PEFT: a folder; of an image model a folder for each part.
struct PEFTCodec: AdapterCodec {
  let format = AdapterFormat.peft
  let example: String? = "base_model.model.<path>.lora_A.weight"
  let weightsFiles = [PEFTAdapterFile.weightsFile]

  let configurationKeys = ["peft_type"]

  func hasTensor(named name: String) -> Bool { name.hasPrefix("base_model.model.") }

  func read(_ path: String, _ options: AdapterFile.Options) throws(FormatError) -> AdapterContent {
    let components = AdapterFormat.components(in: path)
    let configuration = FileSystem.join(path, PEFTAdapterConfiguration.fileName)
    guard components.isEmpty || FileSystem.exists(configuration) else {
      var files: [(component: String, file: PEFTAdapterFile)] = []
      for component in components {
        files.append((component, try PEFTAdapterFile(path: FileSystem.join(path, component))))
      }
      return try parts(files)
    }
    let file = try PEFTAdapterFile(path: path)
    if let component = ImageModuleNames.component(ofFolder: path, file.description) {
      return try parts([(component, file)])
    }
    return AdapterContent(
      description: file.description, provenance: AdapterFile.Provenance(file.configuration),
      notes: file.notes, peftConfiguration: file.configuration)
  }

  /// The PEFT adapters of an image model's parts as one.
  private func parts(
    _ files: [(component: String, file: PEFTAdapterFile)]
  ) throws(FormatError) -> AdapterContent {
    var result = AdapterDescription(layers: [])
    var provenance = AdapterFile.Provenance()
    var notes: [AdapterNote] = []
    for (component, file) in files {
      let part = file.description.renamed { "\(component).\($0)" }
      result.layers += part.layers
      result.replacements += part.replacements
      result.replacedTokens += part.replacedTokens
      result.metadata.merge(part.metadata) { first, _ in first }
      provenance.fill(from: AdapterFile.Provenance(file.configuration))
      notes += file.notes.map { AdapterNote(layer: $0.layer, text: "\(component): \($0.text)") }
    }
    let description = AdapterDescription(
      layers: result.layers, replacements: result.replacements,
      replacedTokens: result.replacedTokens, metadata: result.metadata)
    return AdapterContent(description: description, provenance: provenance, notes: notes)
  }

  /// Writes the adapter in PEFT's layout; of an image model a folder for every part, as PEFT's own
  /// examples have them.
  func fit(
    _ adapter: AdapterFile, to path: String, _ options: AdapterFile.Options
  ) throws -> AdapterFile.Fitted {
    let parameters = try adapter.description.parameterNames(adapter.modules)
    let description = adapter.description.renamingLayers(parameters)
    let provenance = adapter.provenance
    let components = Set(description.layers.map { ImageModuleNames.component(of: $0.path) })
    guard components.contains(where: { $0 != nil }) else {
      let modules = try options.basePath.flatMap { path throws(FormatError) in
        FileSystem.isFolder(path)
          ? try AdapterFile.modules(ofModel: path).map { name in
            parameters.isEmpty ? name : adapter.modules.adapterPath(ofModelPath: name) ?? name
          } : nil
      }
      var file = try PEFTAdapterFile(
        describing: description, among: modules, keeping: adapter.peftConfiguration)
      provenance.fill(&file.configuration)
      return AdapterFile.Fitted(description, parts: try file.parts(of: path))
    }
    if let layer = description.layers.first(where: {
      ImageModuleNames.component(of: $0.path) == nil
    }) {
      throw description.refusal(
        layer.path, .peft, path, "layers within and outside of an image model's parts together")
    }
    // Other parts would stay behind, and be read with the new ones.
    let stale = AdapterFormat.components(in: path).filter { !components.contains($0) }
    let configuration = FileSystem.join(path, PEFTAdapterConfiguration.fileName)
    guard stale.isEmpty, !FileSystem.exists(configuration) else {
      throw FormatError(
        .invalidValue, file: path, problem: "the folder holds another adapter",
        remedy: "give a new folder")
    }
    var notes: [AdapterNote] = []
    var parts: [AtomicFile.Part] = []
    for component in ImageModuleNames.components where components.contains(component) {
      let part = description.part(component)
      var file = try PEFTAdapterFile(describing: part)
      // No language model: PEFT would ask it for methods that only those have.
      file.configuration.taskType = nil
      provenance.fill(&file.configuration)
      parts += try file.parts(of: FileSystem.join(path, component))
      notes.append(AdapterNote(text: "\(component) is in the folder '\(component)'"))
    }
    return AdapterFile.Fitted(description, notes, parts: parts)
  }
}

extension AdapterDescription {
  /// What lies in one part of an image model, by paths within the part.
  fileprivate func part(_ component: String) -> AdapterDescription {
    let prefix = component + "."
    var part = renamed { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
    // PEFT has a file of its own for that.
    part.metadata[DiffusersAdapterFile.configurationKey] = nil
    return part
  }
}
