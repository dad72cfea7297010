import LoRAFiles
package import LoRATensor

extension PEFTAdapterFile {
  /// Writes the adapter into the folder at `path`, which is made if needed, so that PEFT loads it.
  /// Both files appear, or replace an older adapter's, at once; other files in the folder stay.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - storedType: the type that tensors get in the file; nil: each the one that its description
  ///     names, which rewrites what was read bit for bit.
  ///   - otherFiles: more files of the folder.
  ///
  /// Throws `FormatError` if the configuration does not describe the factors (another method, rank
  /// or scale, a path that its targets do not match) or if one is not finite, `FileError` if writing
  /// fails; then the folder's files are as before.
  package func write(
    to path: String, storedType: DType? = nil,
    otherFiles: [(name: String, content: [UInt8])] = []
  ) throws {
    let others = otherFiles.map { AtomicFile.Part(FileSystem.join(path, $0.name), $0.content) }
    try AtomicFolder.write(
      others + (try parts(of: path, storedType: storedType)), as: FolderResult.adapter(.peft),
      to: path)
  }

  /// The files of the folder at `path`, not yet written: for folders that are written together.
  /// Throws `FormatError` as `write(to:storedType:)` does.
  func parts(of path: String, storedType: DType? = nil) throws(FormatError) -> [AtomicFile.Part] {
    let weightsPath = FileSystem.join(path, Self.weightsFile)
    try description.checkScales(file: weightsPath)
    let writer = PEFTAdapterWriter(
      configuration: configuration, file: weightsPath, storedType: storedType)
    let tensors = try writer.tensors(of: description)
    var metadata = description.metadata
    metadata["format"] = "pt"
    return [
      try SafetensorsWriter.part(tensors, metadata: metadata, path: weightsPath),
      AtomicFile.Part(
        FileSystem.join(path, PEFTAdapterConfiguration.fileName), configuration.encoded()),
    ]
  }
}

/// The tensors of a PEFT file that holds a description, which a configuration must describe.
struct PEFTAdapterWriter {
  let configuration: PEFTAdapterConfiguration
  /// The file's path, for errors.
  let file: String
  /// The type for all tensors; nil: the described ones.
  let storedType: DType?

  typealias Named = (name: String, tensor: Tensor)

  /// Checks that the configuration describes `description`, whose numbers are not looked at.
  func check(_ description: AdapterDescription) throws(FormatError) {
    guard !configuration.initialization.changesBase else {
      throw FormatError(
        .invalidValue, file: file, key: configuration.method.initializationKey,
        "it says that the base was changed, but these factors belong to the base itself",
        remedy: "set the configuration's initialization to .standard")
    }
    let adapted = Set(description.layers.map { ExactName($0.path) })
    for layer in description.layers where ParameterPath(layer.path) == nil {
      _ = try parts(of: layer)
    }
    try checkWhole(stacks(description))
    for tokens in description.replacedTokens { try check(tokens, adapted) }
    for replacement in description.replacements { _ = try name(of: replacement, adapted) }
  }

  func tensors(of description: AdapterDescription) throws(FormatError) -> [Named] {
    try check(description)
    var result: [Named] = []
    var shared: [String: Tensor] = [:]
    let type = configuration.method.options.type
    let sharedNames = type.sharedTensors
    let prefix = type.isOfModel ? PEFTTensorName.promptedPrefix : PEFTTensorName.prefix
    for layer in description.layers where ParameterPath(layer.path) == nil {
      for (part, tensor) in try parts(of: layer) {
        var name =
          layer.path.isEmpty ? part : "\(PEFTTensorName.prefix)\(layer.path).\(part)"
        var type = layer.storedType
        if sharedNames.contains(part) {
          if let other = shared[part] {
            guard other == tensor else {
              throw PEFTLayerWriter(path: layer.path, configuration: configuration, file: file)
                .inexpressible("'\(part)' that differs from those of other layers")
            }
            continue
          }
          shared[part] = tensor
          (name, type) = (part, .float32)
        }
        result.append((name, try stored(tensor, type, "\(part) of layer '\(layer.path)'")))
      }
    }
    for (name, tensor, type) in try self.tensors(of: stacks(description)) {
      result.append((name, try stored(tensor, type, "'\(name)'")))
    }
    for tokens in description.replacedTokens {
      result.append(
        (
          "\(prefix)\(tokens.path).token_adapter.\(PEFTAdapterReader.tokensPart)",
          try stored(tokens.vectors, tokens.storedType, "the trained tokens of '\(tokens.path)'")
        ))
    }
    let adapted = Set(description.layers.map { ExactName($0.path) })
    let withTokens = Set(description.replacedTokens.map { ExactName($0.path) })
    for replacement in description.replacements {
      result.append(
        (
          prefix + (try name(of: replacement, adapted)),
          try stored(replacement.value, replacement.storedType, "'\(replacement.path)'")
        ))
    }
    for copy in description.baseCopies {
      result.append(
        (
          prefix + Self.name(ofBaseCopy: copy.path, adapted, withTokens),
          try stored(copy.value, copy.storedType, "'\(copy.path)'")
        ))
    }
    return result
  }

  private func stored(
    _ tensor: Tensor, _ described: DType, _ what: String
  ) throws(FormatError) -> Tensor {
    do throws(UnstorableNumber) {
      return try tensor.stored(as: storedType ?? described)
    } catch {
      throw FormatError(file: file, subject: what, error)
    }
  }

  // MARK: Parameters of the base

  private static func split(_ path: String) -> (module: String, parameter: String) {
    guard let dot = path.lastIndex(of: ".") else { return ("", path) }
    return (String(path[..<dot]), String(path[path.index(after: dot)...]))
  }

  private func name(
    of replacement: AdapterDescription.Replacement, _ adapted: Set<ExactName>
  ) throws(FormatError) -> String {
    let (module, parameter) = Self.split(replacement.path)
    let biases = configuration.method.options.biases
    if adapted.contains(ExactName(module)) {
      guard parameter == "bias", biases != .none else {
        throw FormatError(
          .unsupported, file: file, subject: "'\(replacement.path)'",
          problem: "PEFT replaces no \(parameter) of a layer that has an adapter, unless 'bias' "
            + "says so for biases")
      }
      return "\(module).base_layer.bias"
    }
    let last = module.split(separator: ".").last.map(String.init) ?? module
    guard
      configuration.saves(modulePath: module) || parameter == "bias" && biases == .all
        || parameter == "weight" && PEFTAdapterReader.embeddingNames.contains(last)
    else {
      throw FormatError(
        .invalidValue, file: file, subject: "'\(replacement.path)'",
        problem: "neither 'modules_to_save' nor 'bias' says that it is saved",
        remedy: "give a configuration that names its module in 'modules_to_save'")
    }
    return replacement.path
  }

  private static func name(
    ofBaseCopy path: String, _ adapted: Set<ExactName>, _ withTokens: Set<ExactName>
  ) -> String {
    let (module, parameter) = split(path)
    if adapted.contains(ExactName(module)) { return "\(module).base_layer.\(parameter)" }
    if withTokens.contains(ExactName(module)) {
      return "\(module).token_adapter.base_layer.\(parameter)"
    }
    return "\(module).original_module.\(parameter)"
  }

  private func check(
    _ tokens: AdapterDescription.ReplacedTokens, _ adapted: Set<ExactName>
  ) throws(FormatError) {
    guard !adapted.contains(ExactName(tokens.path)), !configuration.saves(modulePath: tokens.path)
    else {
      throw FormatError(
        .unsupported, file: file, subject: "the trained tokens of '\(tokens.path)'",
        problem: "PEFT trains no tokens of an embedding that has factors or is saved whole")
    }
    let ids: [Int]? =
      switch configuration.method.options.trainedTokens {
      case nil: nil
      case .ofInput(let ids): ids
      case .byModule(let entries):
        entries.filter { tokens.path.hasSuffix($0.key) }
          .max { $0.key.utf8.count < $1.key.utf8.count }?.value
      }
    guard ids == tokens.ids else {
      throw FormatError(
        .invalidValue, file: file, subject: "the trained tokens of '\(tokens.path)'",
        problem: "'trainable_token_indices' does not name their tokens",
        remedy: "give a configuration that describes the adapter")
    }
  }
}

// MARK: - Layers

extension PEFTAdapterWriter {
  /// The parts of a layer's adapter with what follows its path in their names.
  private func parts(
    of layer: AdapterDescription.Layer
  ) throws(FormatError) -> [(part: String, tensor: Tensor)] {
    let path = layer.path
    if configuration.targets != .unspecified, !configuration.matches(path: path) {
      throw PEFTLayerWriter(path: path, configuration: configuration, file: file)
        .mismatch("the configuration's targets do not match it")
    }
    let writer = PEFTLayerWriter(path: path, configuration: configuration, file: file)
    guard let parts = try configuration.method.options.tensors(ofAny: layer.change, writer) else {
      throw FormatError(
        .unsupported, file: file, subject: "layer '\(path)'",
        problem: "a PEFT adapter of type \(configuration.method.peftType) holds no "
          + layer.change.methodName)
    }
    return parts
  }
}
