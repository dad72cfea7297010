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
    /// The alpha of a loralib adapter. When writing one, the alpha that it will be read with.
    public var alpha: Double?
    /// Which parts of a merged projection have an adapter, of a loralib adapter.
    public var mergedGroups: [Bool]?
    /// The directory of the base model: for GGUF adapters, whose rows it permutes, and for LyCORIS
    /// names of models other than Stable Diffusion.
    public var basePath: String?

    /// Creates options.
    public init(alpha: Double? = nil, mergedGroups: [Bool]? = nil, basePath: String? = nil) {
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
  public internal(set) var mlxConfiguration: MLXAdapterConfiguration?

  /// Opens the adapter at `path`: a folder of PEFT's or MLX's, or a file.
  public init(path: String, options: Options = Options()) throws(FormatError) {
    self.path = path
    format = try AdapterFormat(detecting: path)
    switch format {
    case .peft:
      let components = AdapterFormat.components(in: path)
      if FileSystem.exists(FileSystem.join(path, PEFTAdapterConfiguration.fileName)) {
        let file = try PEFTAdapterFile(path: path)
        description = file.description
        peftConfiguration = file.configuration
      } else {
        description = try Self.parts(components, path)
      }
    case .mlx:
      let file = try MLXAdapterFile(path: path)
      description = file.description
      mlxConfiguration = file.configuration
    case .gguf:
      description = try Self.readGGUF(path, options)
    case .kohya, .lycoris:
      let modules = try options.basePath.map { path throws(FormatError) in
        try Self.modules(ofModel: path)
      }
      description = try KohyaAdapterFile(path: path, modules: modules ?? []).description
    case .diffusers:
      description = try DiffusersAdapterFile(path: path).description
    case .loralib:
      description = try LoralibAdapterFile(
        path: path, alpha: options.alpha, groups: options.mergedGroups
      ).description
    }
  }

  /// The PEFT adapters of an image model's parts as one.
  private static func parts(
    _ components: [String], _ path: String
  ) throws(FormatError) -> AdapterDescription {
    var result = AdapterDescription(layers: [])
    for component in components {
      var part = try PEFTAdapterFile(path: FileSystem.join(path, component)).description
      for index in part.layers.indices {
        part.layers[index].path = "\(component).\(part.layers[index].path)"
      }
      for index in part.replacements.indices {
        part.replacements[index].path = "\(component).\(part.replacements[index].path)"
      }
      for index in part.replacedRows.indices {
        part.replacedRows[index].path = "\(component).\(part.replacedRows[index].path)"
      }
      result.layers += part.layers
      result.replacements += part.replacements
      result.replacedRows += part.replacedRows
      result.metadata.merge(part.metadata) { first, _ in first }
    }
    return AdapterDescription(
      layers: result.layers, replacements: result.replacements,
      replacedRows: result.replacedRows, metadata: result.metadata)
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
  public struct Fact: Sendable, Hashable {
    /// What it is, as in "base model".
    public let name: String
    /// As the file has it.
    public let value: String
  }

  /// Who made the adapter, with what and for which base, as far as the file says.
  public var facts: [Fact] {
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
      add("base model", original["model"]?.stringValue)
      add("steps", original["iters"]?.intValue.map { "\($0)" })
      add("training data", original["data"]?.stringValue)
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
