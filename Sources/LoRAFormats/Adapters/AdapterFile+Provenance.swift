import LoRAJSON

extension AdapterFile {
  /// What several formats say of an adapter's making, each in a field of its own: it survives from
  /// one to the other.
  ///
  /// | | PEFT, diffusers | MLX | GGUF | kohya |
  /// | --- | --- | --- | --- | --- |
  /// | base | `base_model_name_or_path` | `model` | `general.base_model.0.name` | `ss_sd_model_name` |
  /// | dropout | `lora_dropout` | `dropout` | | `ss_network_dropout` |
  /// | licence | | | `general.license` | `modelspec.license` |
  public struct Provenance: Sendable, Hashable {
    /// The model that the adapter was made for: a name on the hub or a path.
    public var baseModelName: String?
    /// The probability of dropping an input of the factors in training.
    public var dropout: Double?
    /// The licence that the adapter is given under.
    public var license: String?

    /// Creates it of its parts.
    package init(
      baseModelName: String? = nil, dropout: Double? = nil, license: String? = nil
    ) {
      self.baseModelName = baseModelName
      self.dropout = dropout
      self.license = license
    }
  }
}

extension AdapterFile.Provenance {
  enum Keys {
    static let ggufBase = "general.base_model.0.name"
    static let ggufRepository = "general.base_model.0.repo_url"
    static let kohyaBase = "ss_sd_model_name"
    static let kohyaDropout = "ss_network_dropout"
    static let ggufLicense = "general.license"
    static let kohyaLicense = "modelspec.license"
  }

  init(_ configuration: PEFTAdapterConfiguration) {
    self.init(
      baseModelName: configuration.baseModelName.flatMap { $0.isEmpty ? nil : $0 },
      dropout: configuration.lora?.dropout)
  }

  /// What kohya's scripts and GGUF files note.
  init(metadata: [String: String]) {
    func text(_ key: String) -> String? {
      // kohya's scripts write None for what they do not know.
      metadata[key].flatMap { $0.isEmpty || $0 == "None" ? nil : $0 }
    }
    let dropout = text(Keys.kohyaDropout).flatMap { Double($0) }
    // The name on the hub says more than what llama.cpp's converter makes of it for people.
    let hub = "https://huggingface.co/"
    let repository = text(Keys.ggufRepository).flatMap { address in
      address.hasPrefix(hub) ? String(address.dropFirst(hub.count)) : nil
    }
    self.init(
      baseModelName: repository ?? text(Keys.ggufBase) ?? text(Keys.kohyaBase),
      dropout: dropout.flatMap { (0..<1).contains($0) ? $0 : nil },
      license: text(Keys.ggufLicense) ?? text(Keys.kohyaLicense))
  }

  /// Takes from `other` what is unknown here.
  mutating func fill(from other: Self) {
    baseModelName = baseModelName ?? other.baseModelName
    dropout = dropout ?? other.dropout
    license = license ?? other.license
  }

  /// Puts it into a configuration that says nothing of it.
  package func fill(_ configuration: inout PEFTAdapterConfiguration) {
    if configuration.baseModelName == nil { configuration.baseModelName = baseModelName }
    if let dropout, dropout > 0, var options = configuration.lora, options.dropout == 0 {
      options.dropout = dropout
      configuration.method = .lora(options)
    }
  }

  /// The same for MLX's.
  func fill(_ configuration: inout MLXAdapterConfiguration) {
    if configuration.baseModelName == nil { configuration.baseModelName = baseModelName }
    if let dropout, configuration.dropout == 0 { configuration.dropout = dropout }
  }

  /// The metadata with it, for a GGUF or a kohya file.
  func added(to metadata: [String: String], for format: AdapterFormat) -> [String: String] {
    var result = metadata
    func add(_ key: String, _ value: String?) {
      if let value, result[key] == nil { result[key] = value }
    }
    switch format {
    case .gguf:
      add(Keys.ggufBase, baseModelName)
      add(Keys.ggufLicense, license)
    case .kohya, .lycoris:
      add(Keys.kohyaBase, baseModelName)
      add(Keys.kohyaLicense, license)
      if let dropout, dropout > 0 { add(Keys.kohyaDropout, "\(dropout)") }
    case .peft, .mlx, .diffusers, .loralib, .adapters: break
    }
    return result
  }
}
