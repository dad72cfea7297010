extension AdapterFile {
  /// Writes the adapter in PEFT's layout; of an image model a folder for every part, as PEFT's own
  /// examples have them.
  func fittedPEFT(to path: String, _ options: Options) throws -> Fitted {
    let components = Set(description.layers.map { ImageModuleNames.component(of: $0.path) })
    guard components.contains(where: { $0 != nil }) else {
      let modules = try options.basePath.flatMap { path throws(FormatError) in
        FileSystem.isFolder(path) ? try Self.modules(ofModel: path) : nil
      }
      var file = try PEFTAdapterFile(
        describing: description, among: modules, keeping: peftConfiguration)
      provenance.fill(&file.configuration)
      return Fitted(description, parts: try file.parts(of: path))
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
    return Fitted(description, notes, parts: parts)
  }
}

extension AdapterDescription {
  /// What lies in one part of an image model, by paths within the part.
  fileprivate func part(_ component: String) -> AdapterDescription {
    let prefix = component + "."
    func within(_ path: String) -> String? {
      path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : nil
    }
    var metadata = metadata
    // PEFT has a file of its own for that.
    metadata[DiffusersAdapterFile.configurationKey] = nil
    return AdapterDescription(
      layers: layers.compactMap { layer in
        within(layer.path).map { path in
          var layer = layer
          layer.path = path
          return layer
        }
      },
      replacements: replacements.compactMap { replacement in
        within(replacement.path).map { path in
          var replacement = replacement
          replacement.path = path
          return replacement
        }
      },
      replacedRows: replacedRows.compactMap { rows in
        within(rows.path).map { path in
          var rows = rows
          rows.path = path
          return rows
        }
      },
      metadata: metadata)
  }
}
