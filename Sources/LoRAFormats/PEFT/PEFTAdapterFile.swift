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
public struct PEFTAdapterFile: Sendable {
  /// `adapter_config.json`.
  public var configuration: PEFTAdapterConfiguration
  /// The factors, and the parameters that are saved along.
  public var description: AdapterDescription

  static let weightsFile = "adapter_model.safetensors"

  /// Creates an adapter in memory, see ``write(to:storedType:)``.
  public init(configuration: PEFTAdapterConfiguration, description: AdapterDescription) {
    self.configuration = configuration
    self.description = description
  }

  /// Reads the adapter in the folder at `path`. Throws ``FormatError``, also for factors that fit a
  /// changed base alone (see ``PEFTAdapterConfiguration/Initialization/changesBase``).
  public init(path: String) throws(FormatError) {
    try FolderJournal.check(path)
    let configurationPath = FileSystem.join(path, PEFTAdapterConfiguration.fileName)
    guard FileSystem.exists(configurationPath) else {
      throw Self.missingConfiguration(path, configurationPath)
    }
    configuration = try PEFTAdapterConfiguration(path: configurationPath)
    let weightsPath = FileSystem.join(path, Self.weightsFile)
    if !FileSystem.exists(weightsPath) {
      let pickled = FileSystem.join(path, "adapter_model.bin")
      if FileSystem.exists(pickled) {
        throw FormatError(
          .unsupported, file: pickled,
          problem: "weights in PyTorch's pickle format are not read: opening them can run code",
          remedy:
            "convert them in Python: PeftModel.from_pretrained(base, DIR).save_pretrained(DIR)")
      }
    }
    try Self.refuseChangedBase(configuration, configurationPath)
    let file = try SafetensorsFile(path: weightsPath, access: .copied)
    description = try PEFTAdapterReader(file: file, configuration: configuration).description()
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
    let named = FileSystem.names(in: path).filter { name in
      FileSystem.exists(
        FileSystem.join(FileSystem.join(path, name), PEFTAdapterConfiguration.fileName))
    }
    return FormatError(
      .missingFile, file: expected, problem: "the file does not exist",
      remedy: named.isEmpty
        ? "give the folder of an adapter that PEFT or this library has written"
        : "the folder holds named adapters: give one of \(listed(named))")
  }
}
