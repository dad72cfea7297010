package import LoRAFiles

/// An adapter in PEFT's layout: a folder with `adapter_config.json` and
/// `adapter_model.safetensors`. LoRA with all that its configuration knows, LoHa, LoKr and IA3.
///
/// ```swift
/// let adapter = try PEFTAdapterFile(path: "support-adapter")
/// for layer in adapter.description.layers { print(layer.path, layer.change.methodName) }
/// ```
///
/// Reading is strict: every tensor must belong to a module that the configuration targets or saves,
/// have the shape that follows from it, and be finite. The weights are copied, so the folder may be
/// written to afterwards.
package struct PEFTAdapterFile: Sendable {
  /// `adapter_config.json`.
  package var configuration: PEFTAdapterConfiguration
  /// The factors, and the parameters that are saved along.
  package var description: AdapterDescription

  static let weightsFile = "adapter_model.safetensors"

  /// What of the configuration is not acted on.
  var notes: [AdapterNote] {
    var notes = [configuration.noteOfUnknownFields].compactMap { $0 }
    let heads = configuration.headsOfTask
    if configuration.savedModules.isEmpty, !heads.isEmpty,
      !description.replacements.contains(where: { PEFTAdapterConfiguration.isTaskHead($0.path) })
    {
      notes.append(
        AdapterNote(
          text:
            "the task \(configuration.taskType ?? "") has a head (\(listed(heads))), of which the "
            + "file holds nothing: the base's own is used"))
    }
    return notes
  }

  /// Creates an adapter in memory, see ``write(to:storedType:)``.
  package init(configuration: PEFTAdapterConfiguration, description: AdapterDescription) {
    self.configuration = configuration
    self.description = description
  }

  /// Reads the adapter in the folder at `path`, or a weights file of another name that has its
  /// `adapter_config.json` beside it. Throws `FormatError`, also for factors that fit a changed base
  /// alone (see ``PEFTAdapterConfiguration/Initialization/changesBase``).
  package init(path: String) throws(FormatError) {
    let isFolder = FileSystem.isFolder(path) || !FileSystem.exists(path)
    let folder = isFolder ? path : FileSystem.folder(of: path)
    try FolderJournal.check(folder)
    let configurationPath = FileSystem.join(folder, PEFTAdapterConfiguration.fileName)
    guard FileSystem.exists(configurationPath) else {
      throw Self.missingConfiguration(folder, configurationPath)
    }
    configuration = try PEFTAdapterConfiguration(path: configurationPath)
    let weightsPath = isFolder ? try Self.weights(in: folder) : path
    try Self.refuseChangedBase(configuration, configurationPath)
    let file = try SafetensorsFile(path: weightsPath, access: .copied)
    description = try PEFTAdapterReader(file: file, configuration: configuration).description()
    try description.checkScales(file: configurationPath)
  }

  /// The path of the folder's weights; a pickle is refused with the way to convert it, other files are
  /// named.
  private static func weights(in folder: String) throws(FormatError) -> String {
    let path = FileSystem.join(folder, weightsFile)
    if FileSystem.exists(path) { return path }
    let pickled = FileSystem.join(folder, "adapter_model.bin")
    if FileSystem.exists(pickled) {
      _ = try OpenFile(pickled)
      throw FormatError(
        .unsupported, file: pickled,
        problem: "weights in PyTorch's pickle format are not read: opening them can run code",
        remedy:
          "convert them in Python: PeftModel.from_pretrained(base, DIR).save_pretrained(DIR)")
    }
    let others = FileSystem.names(in: folder).filter { $0.hasSuffix(".safetensors") }
    throw FormatError(
      .missingFile, file: path, problem: "the file does not exist",
      remedy: others.isEmpty
        ? "copy it beside \(PEFTAdapterConfiguration.fileName)"
        : "the folder holds \(listed(others)): give one of them")
  }

  static func refuseChangedBase(
    _ configuration: PEFTAdapterConfiguration, _ file: String
  ) throws(FormatError) {
    guard case .named(let name) = configuration.initialization,
      configuration.initialization.changesBase
    else { return }
    throw FormatError(
      .unsupported, file: file, key: configuration.method.initializationKey,
      "'\(name)' takes a part out of the base's weights before training: these factors would "
        + "compute the wrong function on the base itself",
      remedy: name == "loftq"
        ? "merge it in PEFT, or train again with another initialization"
        : "save it in PEFT with path_initial_model_for_weight_conversion, which makes it plain LoRA"
    )
  }

  private static func missingConfiguration(_ path: String, _ expected: String) -> FormatError {
    let named = AdapterFormat.adapterFolders(in: path)
    return FormatError(
      .missingFile, file: expected, problem: "the file does not exist",
      remedy: named.isEmpty
        ? "give the folder of an adapter that PEFT or this library has written"
        : "the folder holds \(AdapterFormat.kind(ofFolders: named)): give one of \(listed(named))")
  }
}
