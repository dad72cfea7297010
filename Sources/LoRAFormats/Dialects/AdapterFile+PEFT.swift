extension AdapterFile {
  /// Writes the adapter in PEFT's layout; of an image model a folder for every part, as PEFT's own
  /// examples have them.
  func writePEFT(to path: String) throws -> (written: AdapterDescription, notes: [AdapterNote]) {
    let components = Set(description.layers.map { ImageModuleNames.component(of: $0.path) })
    guard components.contains(where: { $0 != nil }) else {
      let file = try Self.peftFile(description, template: peftConfiguration)
      try file.write(to: path)
      return (file.description, [])
    }
    if let layer = description.layers.first(where: {
      ImageModuleNames.component(of: $0.path) == nil
    }) {
      throw description.refusal(
        layer.path, .peft, path, "layers within and outside of an image model's parts together")
    }
    var notes: [AdapterNote] = []
    var files: [(folder: String, file: PEFTAdapterFile)] = []
    var metadata = description.metadata
    metadata[DiffusersAdapterFile.configurationKey] = nil
    var written: [AdapterDescription.Layer] = []
    for component in ImageModuleNames.components where components.contains(component) {
      let prefix = component + "."
      var part = AdapterDescription(
        layers: description.layers.filter { $0.path.hasPrefix(prefix) }, metadata: metadata)
      for index in part.layers.indices {
        part.layers[index].path = String(part.layers[index].path.dropFirst(prefix.count))
      }
      let file = try Self.peftFile(part, template: nil)
      files.append((FileSystem.join(path, component), file))
      written += file.description.layers.map { layer in
        var layer = layer
        layer.path = prefix + layer.path
        return layer
      }
      notes.append(AdapterNote(text: "\(component) is in the folder '\(component)'"))
    }
    for (folder, file) in files { try file.write(to: folder) }
    return (AdapterDescription(layers: written, metadata: metadata), notes)
  }

  private static func peftFile(
    _ description: AdapterDescription, template: PEFTAdapterConfiguration?
  ) throws -> PEFTAdapterFile {
    if let template { return PEFTAdapterFile(configuration: template, description: description) }
    var description = description
    func alpha(_ change: LowRankChange) -> Double {
      change.alpha / Double(change.rank) == change.scale
        ? change.alpha : change.scale * Double(change.rank)
    }
    let changes = description.layers.compactMap(\.lowRank)
    let rank = commonest(changes.map(\.rank)) ?? 1
    let common = commonest(changes.map(alpha)) ?? 1
    var configuration = PEFTAdapterConfiguration(
      rank: rank, alpha: common, targets: .names(description.layers.map(\.path)))
    for index in description.layers.indices {
      guard var change = description.layers[index].lowRank else { continue }
      let path = description.layers[index].path
      if change.rank != rank { configuration.rankPattern.append(.init(key: path, value: change.rank)) }
      let own = alpha(change)
      if own != common { configuration.alphaPattern.append(.init(key: path, value: own)) }
      change.alpha = own
      change.scale = own / Double(change.rank)
      description.layers[index].change = .lowRank(change)
    }
    return PEFTAdapterFile(configuration: configuration, description: description)
  }
}
