import LoRAArchitectures
package import LoRAFiles

extension AdapterFile {
  /// Throws unless the file holds all that its configuration says of a model of this layout: factors
  /// of every layer that is targeted, every parameter of the modules that were saved whole.
  ///
  /// A file that lost some would compute another function without a word.
  package func checkComplete(for layout: ModelLayout) throws(FormatError) {
    // What the configuration says is said of the file's names.
    let (description, layout) = (
      description.renamed(nameInFile), layout.named(by: nameInFile)
    )
    if let peftConfiguration {
      try peftConfiguration.checkComplete(description, for: layout, file: path)
    } else if let mlxConfiguration {
      try mlxConfiguration.checkComplete(description, for: layout, file: path)
    } else if let adapterHubConfiguration {
      try adapterHubConfiguration.checkComplete(description, for: layout, file: path)
    }
  }
}

extension AdapterHubConfiguration {
  /// See ``AdapterFile/checkComplete(for:)``: every block has its networks, or is left out.
  func checkComplete(
    _ description: AdapterDescription, for layout: ModelLayout, file: String
  ) throws(FormatError) {
    let present = Set(description.layers.map { ExactName($0.path) })
    let stems = Set(
      description.layers.map { $0.path.split(separator: ".").dropLast().joined(separator: ".") })
    let blocks = layout.modules.compactMap { BlockPath($0.path) }.filter { stems.contains($0.stem) }
    for block in blocks where !leftOut.contains(block.index) {
      let path = "\(block.stem).\(block.index)"
      guard !present.contains(ExactName(path)) else { continue }
      throw FormatError(
        .missingTensor, file: file, subject: "block '\(path)'",
        problem:
          "'leave_out' in \(Self.fileName) does not name it, but the file has no networks for "
          + "it",
        remedy: "the adapter is incomplete, or made for another model")
    }
  }
}

extension PEFTAdapterConfiguration {
  /// See ``AdapterFile/checkComplete(for:)``.
  package func checkComplete(
    _ description: AdapterDescription, for layout: ModelLayout, file: String
  ) throws(FormatError) {
    let present = Set(description.layers.map { ExactName($0.path) })
    let resolved = resolvingTargets(forModelType: layout.modelType)
    // Experts are no layers in the latest transformers: there names mean the layers of single networks
    // beside them, unless the method is LoRA, whose targets PEFT then makes into parameters.
    let meansExperts =
      lora != nil
      || layout.modules.contains { $0.kind == .expert && present.contains(ExactName($0.path)) }
    for module in layout.modules
    where resolved.targets(module) && !present.contains(ExactName(module.path))
      && (module.kind != .expert || meansExperts)
    {
      throw FormatError(
        .missingTensor, file: file, subject: "layer '\(module.path)'",
        problem: "\(Self.fileName) targets it, but the file has no factors for it",
        remedy: "the adapter is incomplete, or made for another model")
    }
    let replaced = Set(description.replacements.map { ExactName($0.path) })
    for module in layout.modules where savesExplicitly(modulePath: module.path) {
      for name in module.parameters where !replaced.contains(ExactName("\(module.path).\(name)")) {
        throw FormatError(
          .missingTensor, file: file, subject: "'\(module.path).\(name)'",
          problem: "'modules_to_save' in \(Self.fileName) names its module, but the file has no "
            + "value of it",
          remedy: "the adapter is incomplete, or made for another model")
      }
    }
  }

  /// Whether PEFT would give the module an adapter.
  private func targets(_ module: ModelLayout.Module) -> Bool {
    let isTargetable =
      switch module.kind {
      case .linear: true
      case .head, .convolution, .expert: targets != .allLinear
      case .embedding: targets != .allLinear && method.options.type.adaptsEmbeddings
      case .other: false
      }
    return isTargetable && matches(path: module.path)
  }
}

extension MLXAdapterConfiguration {
  /// See ``AdapterFile/checkComplete(for:)``. Without `keys` mlx-lm takes what its version takes,
  /// which nothing can be compared with.
  package func checkComplete(
    _ description: AdapterDescription, for layout: ModelLayout, file: String
  ) throws(FormatError) {
    let names = MLXModuleNames(modelType: layout.modelType)
    let modules = layout.modules.filter { $0.kind != .other && $0.kind != .convolution }
    let places = modules.map { (module: $0, name: names.name(ofPath: $0.path)) }
    let prepared = MLXPreparedLayers(self, namesOfModel: places.map(\.name))
    try prepared.check(description.layers.map { names.name(ofPath: $0.path) }, file: file)
    guard keys != nil else { return }
    let present = Set(description.layers.map { ExactName($0.path) })
    for (module, name) in places {
      guard prepared.lack(name) == nil, !present.contains(ExactName(module.path)) else { continue }
      throw FormatError(
        .missingTensor, file: file, subject: "layer '\(module.path)'",
        problem: "'keys' and 'num_layers' in \(Self.fileName) name it, but the file has no factors "
          + "for it",
        remedy: "the adapter is incomplete, or made for another model")
    }
  }
}

/// The layers that mlx-lm gives an adapter before it reads the factors. It leaves out all others'
/// without a word, which would then compute something else there than here.
///
/// Source: `linear_to_lora_layers` and `load_adapters` in `mlx_lm/tuner/utils.py`.
struct MLXPreparedLayers {
  private let keys: Set<String>?
  private let blockCount: Int
  /// The first of the last `num_layers` blocks.
  private let firstBlock: Int

  /// `namesOfModel` are mlx-lm's names of the model's modules, or of the adapter's alone: a model has
  /// all blocks that its adapter has.
  init(_ configuration: MLXAdapterConfiguration, namesOfModel: some Sequence<String>) {
    keys = configuration.keys.map(Set.init)
    blockCount = configuration.blockCount
    let count = (namesOfModel.compactMap { BlockPath($0)?.index }.max() ?? -1) + 1
    firstBlock = blockCount > 0 ? max(0, count - blockCount) : 0
  }

  /// The field of the configuration that leaves the module `name` out; nil if it gets an adapter.
  func lack(_ name: String) -> String? {
    if keys?.contains(name) ?? false { return nil }
    let block = BlockPath(name)
    if let keys, !(block.map { keys.contains($0.rest) } ?? false) { return "keys" }
    return (block?.index ?? firstBlock) < firstBlock ? "num_layers" : nil
  }

  /// Throws if a layer among `names` gets no adapter.
  func check(_ names: [String], file: String) throws(FormatError) {
    let lacking = Set(names).sorted(by: naturallyPrecedes).compactMap { name in
      lack(name).map { (name: name, field: $0) }
    }
    guard let (name, field) = lacking.first else { return }
    let others = lacking.count > 1 ? ", nor of \(lacking.count - 1) more" : ""
    throw FormatError(
      .unexpectedTensor, file: file, subject: "layer '\(name)'",
      problem: field == "keys"
        ? "the file has factors for it, and 'keys' in \(MLXAdapterConfiguration.fileName) does not "
          + "name it: mlx-lm makes no use of them\(others)"
        : "the file has factors for it, and 'num_layers' in \(MLXAdapterConfiguration.fileName) is "
          + "\(blockCount), counted from the last block, which leaves out those before block "
          + "\(firstBlock): mlx-lm makes no use of them\(others)",
      remedy: field == "keys"
        ? "add it to 'keys' if it belongs to the adapter, else save the adapter without it"
        : "set 'num_layers' to -1 if it belongs to the adapter, else save the adapter without it")
  }
}

/// A path that goes through a numbered block: what precedes the number, it, and what follows.
struct BlockPath: Hashable {
  var stem: String
  var index: Int
  var rest: String

  init(stem: String, index: Int, rest: String) {
    (self.stem, self.index, self.rest) = (stem, index, rest)
  }

  /// The first number of `path` that is a whole component; nil if there is none with something
  /// behind it.
  init?(_ path: String) {
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    guard
      let place = parts.firstIndex(where: { part in
        !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
      }), place + 1 < parts.count, let index = Int(parts[place])
    else { return nil }
    stem = parts[..<place].joined(separator: ".")
    self.index = index
    rest = parts[(place + 1)...].joined(separator: ".")
  }

  /// The whole path.
  var path: String { (stem.isEmpty ? "" : stem + ".") + "\(index).\(rest)" }

  /// The last component.
  var lastName: String { rest.split(separator: ".").last.map(String.init) ?? rest }

  /// The path of the module that holds this one.
  var parent: String { path.split(separator: ".").dropLast().joined(separator: ".") }
}

extension AdapterDescription {
  /// Layers that are missing from the pattern of the others: most blocks have such a layer, or the
  /// block has others of the same module. `isExpected` says which ones a configuration targets.
  ///
  /// Some models are made so: hybrids, in which few blocks have attention; blocks that share keys and
  /// values; blocks with another kind of attention. Only the base can tell.
  func holes(where isExpected: (String) -> Bool) -> [String] {
    let blocks = layers.compactMap { BlockPath($0.path) }
    let present = Set(blocks)
    let modules = Set(blocks.map(\.parent))
    var result: [String] = []
    for (stem, own) in Dictionary(grouping: blocks, by: \.stem) {
      let indices = Set(own.map(\.index))
      let names = Dictionary(grouping: own, by: \.index).mapValues { Set($0.map(\.lastName)) }
      let rests = Set(own.map(\.rest))
      // More than any model has: names that somebody made up.
      if rests.count > (1 << 20) / indices.count { continue }
      for rest in rests {
        let missing = indices.map { BlockPath(stem: stem, index: $0, rest: rest) }
          .filter { !present.contains($0) && isExpected($0.path) }
        let isMinority = 2 * missing.count <= indices.count
        result += missing.filter { block in
          modules.contains(block.parent)
            || isMinority && !(names[block.index] ?? []).contains(block.lastName)
        }.map(\.path)
      }
    }
    return result.sorted(by: naturallyPrecedes)
  }
}

extension AdapterFile {
  /// The note about layers that the configuration targets and the file lacks, as far as that can be
  /// told without a base.
  func noteOfHoles() -> AdapterNote? {
    let holes: [String]
    if let peftConfiguration {
      holes = description.holes { peftConfiguration.matches(path: $0) }
    } else if let mlxConfiguration, mlxConfiguration.keys != nil {
      holes = description.holes { _ in true }
    } else {
      return nil
    }
    guard let first = holes.first else { return nil }
    return AdapterNote(
      layer: first,
      text: "other blocks have factors for such a layer, this one has none"
        + (holes.count > 1 ? ", nor have \(holes.count - 1) more layers" : "")
        + ": the adapter may be incomplete; give the base model to check it")
  }
}
