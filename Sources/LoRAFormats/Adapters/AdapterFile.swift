import LoRAArchitectures
public import LoRAFiles
import LoRAJSON

/// Any adapter of any supported format: one door to all of them.
///
/// ```swift
/// let adapter = try AdapterFile(path: "style.safetensors")
/// adapter.format                        // .kohya
/// adapter.description.layers.count      // 264
/// try adapter.write(as: .diffusers, to: "pytorch_lora_weights.safetensors")
/// ```
///
/// The format follows from the content. What is no adapter, or might be two formats, is refused with
/// what was looked for; so is a tensor that belongs to nothing. Factors keep their numbers bit for
/// bit, and scales are the true ones, whatever a format calls alpha.
public struct AdapterFile: Sendable {
  /// What some formats' files do not say themselves.
  public struct Options: Sendable {
    /// The alpha of a loralib adapter, or of an MLX adapter without a configuration. When writing
    /// loralib's, the alpha that it will be read with.
    public var alpha: Double?
    /// Which parts of a merged projection have an adapter, of a loralib adapter.
    public var mergedGroups: [Bool]?
    /// The base model, which the adapter is then checked against: nothing is missing, nothing is of
    /// another model. GGUF adapters, whose rows it permutes, and LyCORIS names of models other than
    /// Stable Diffusion cannot be read without; of GPT-2 and others it decides MLX's names.
    public var basePath: String?
    /// Whether the adapter is checked against the base when it is opened. False where it is attached
    /// to the base next, which checks the same.
    package var checksBase = true

    /// Creates options.
    public init(
      alpha: Double? = nil, mergedGroups: [Bool]? = nil, basePath: String? = nil
    ) {
      self.alpha = alpha
      self.mergedGroups = mergedGroups
      self.basePath = basePath
    }
  }

  /// Where it was read.
  public let path: String
  /// The format.
  public let format: AdapterFormat
  /// What it does.
  public var description: AdapterDescription
  /// `adapter_config.json` of a PEFT adapter; nil of other formats and of image models' parts.
  public internal(set) var peftConfiguration: PEFTAdapterConfiguration?
  /// `adapter_config.json` of an MLX adapter.
  package internal(set) var mlxConfiguration: MLXAdapterConfiguration?
  /// `adapter_config.json` of one of the adapters package.
  package internal(set) var adapterHubConfiguration: AdapterHubConfiguration?
  /// What reading had to assume, could not match or leaves out: to be said to whoever uses the
  /// adapter.
  public internal(set) var notes: [AdapterNote] = []
  /// Whether the scale of some layers is not in the file and was assumed, which ``notes`` explain.
  public internal(set) var assumesScale = false
  /// How the file names the layers of the base that ``description`` names as the base does.
  var naming = AdapterNaming.ofModel
  /// The modules of the base's architecture; empty as long as no base is known.
  var modules: [TensorName] = []
  /// Where the adapter comes from, as far as other formats have a field for it too.
  public internal(set) var provenance = Provenance()
  /// What the adapter says of its making; nil where it says nothing.
  public let record: AdapterRecord?

  /// Opens the adapter at `path`: a folder of PEFT's or MLX's, or a file.
  ///
  /// With a base (``Options/basePath``) everything in the file must belong to it and fit it, and
  /// everything that the configuration says must be there.
  public init(path: String, options: Options = Options()) throws(FormatError) {
    self.path = path
    format = try AdapterFormat(detecting: path)
    let content = try format.codec.read(path, options)
    description = content.description
    (peftConfiguration, mlxConfiguration) = (content.peftConfiguration, content.mlxConfiguration)
    adapterHubConfiguration = content.adapterHubConfiguration
    (notes, assumesScale) = (content.notes, content.assumesScale)
    provenance = content.provenance
    record = try AdapterRecord(metadata: content.description.metadata, file: path)
    provenance.license = provenance.license ?? record?.license
    try description.checkScales(file: path)
    if let note = description.noteOfOverflow { notes.append(note) }
    if let note = noteOfOtherWeights() { notes.append(note) }
    if let basePath = options.basePath {
      if options.checksBase { try check(againstBase: basePath) }
    } else if let note = noteOfHoles() {
      notes.append(note)
    }
  }

  /// Takes on the names of the base at `path`, and throws unless the adapter is whole and fits it. Of a
  /// `config.json` alone, which is enough for a GGUF adapter's base, the layers' names follow.
  private mutating func check(againstBase path: String) throws(FormatError) {
    let configuration = FileSystem.join(path, ModelDirectory.configurationFile)
    guard AdapterBase.hasWeights(path: path) || !FileSystem.exists(configuration) else {
      let model = try ModelConfiguration(
        parsing: try FileSystem.read(configuration, limit: 1 << 26), file: configuration)
      let layout = ModelLayout(model)
      let known = Set(layout.modules.map(\.path))
      let prefix = model.architecture.isPublishedWithoutHead ? model.architecture.bodyPrefix : ""
      func isKnown(_ path: String) -> Bool {
        // The whole model, a layer, or a block.
        path.isEmpty || known.contains(path) || known.contains(prefix + path)
          || known.contains { $0.hasPrefix(path + ".") }
      }
      takeNames(
        prefixes: CheckpointNames(model.architecture).bodyPrefixes,
        modules: model.architecture.tensors, modelType: model.architecture.modelType,
        isKnown: isKnown)
      for layer in description.layers where !isKnown(layer.path) {
        throw FormatError(
          .unexpectedTensor, file: self.path, subject: "layer '\(layer.path)'",
          problem: "models of \(configuration) have no such layer",
          remedy: "give the base that the adapter was made for")
      }
      return try checkComplete(for: layout)
    }
    let base = try AdapterBase(path: path)
    takeNames(
      prefixes: base.bodyPrefixes, modules: base.modules, modelType: base.modelType,
      isKnown: base.hasModule)
    try base.check(self)
  }

  /// The adapter as what another was made of, `weight` times.
  package func parent(weight: Double? = nil) throws(FormatError) -> AdapterRecord.Parent {
    var file: String? = path
    if FileSystem.isFolder(path) {
      file = format.codec.weightsFiles.map { FileSystem.join(path, $0) }
        .first { FileSystem.exists($0) }
    }
    return AdapterRecord.Parent(
      name: FileSystem.name(of: FileSystem.absolute(path)),
      sha256: try file.map { file throws(FormatError) in try SHA256.digest(ofFile: file) },
      weight: weight, record: record)
  }

  /// The note about a second adapter in the folder, which its configuration does not describe.
  private func noteOfOtherWeights() -> AdapterNote? {
    guard format.isFolder, FileSystem.isFolder(path) else { return nil }
    let others = AdapterFormat.codecs.filter { $0.format != format }.flatMap(\.weightsFiles)
    guard let other = others.first(where: { FileSystem.exists(FileSystem.join(path, $0)) }) else {
      return nil
    }
    return AdapterNote(
      text: "the folder also holds '\(other)', another format's weights, which are not read")
  }

  /// The paths of a model's modules, by the names of its weights.
  static func modules(ofModel path: String) throws(FormatError) -> [String] {
    try ModelDirectory(path: path).tensorNames.filter { $0.hasSuffix(".weight") }
      .map { String($0.dropLast(7)) }
  }
}

// MARK: - Who made it

extension AdapterFile {
  /// Something that the file says about its making.
  package struct Fact: Sendable, Hashable {
    /// What it is, as in "base model".
    package let name: String
    /// As the file has it.
    package let value: String
  }

  /// Who made the adapter, with what and for which base, as far as the file says.
  package var facts: [Fact] {
    var result: [Fact] = []
    func add(_ name: String, _ value: String?) {
      if let value, !value.isEmpty { result.append(Fact(name: name, value: value)) }
    }
    if let peftConfiguration {
      add("PEFT version", peftConfiguration.original["peft_version"]?.stringValue)
      add("base model", peftConfiguration.baseModelName)
      add("task", peftConfiguration.taskType)
    }
    if let mlxConfiguration {
      let original = mlxConfiguration.original
      add("base model", mlxConfiguration.baseModelName)
      add("steps", original["iters"]?.intValue.map { "\($0)" })
      add("training data", original["data"]?.stringValue)
    }
    if let adapterHubConfiguration {
      add("made with", adapterHubConfiguration.original["version"]?.stringValue)
      add("base model", adapterHubConfiguration.modelName)
    }
    for (key, name) in Self.knownMetadata { add(name, description.metadata[key]) }
    return result
  }

  /// What kohya's scripts (`ss_`), Stability's model specification, GGUF and others write.
  private static let knownMetadata: [(key: String, name: String)] = [
    ("modelspec.title", "title"), ("modelspec.author", "author"),
    ("modelspec.architecture", "architecture"), ("modelspec.license", "license"),
    ("modelspec.date", "date"), ("modelspec.implementation", "implementation"),
    ("ss_output_name", "name"), ("ss_network_module", "made with"),
    ("ss_sd_scripts_commit_hash", "sd-scripts commit"), ("ss_sd_model_name", "base model"),
    ("ss_base_model_version", "base version"), ("ss_network_dim", "trained rank"),
    ("ss_network_alpha", "trained alpha"), ("ss_steps", "steps"),
    ("ss_training_comment", "comment"), ("software", "made with"), ("general.name", "name"),
    ("general.author", "author"), ("general.base_model.0.name", "base model"),
  ]
}
