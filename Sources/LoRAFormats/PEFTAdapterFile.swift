public import LoRATensor

/// A LoRA adapter in PEFT's layout: a folder with `adapter_config.json` and
/// `adapter_model.safetensors`.
///
/// ```swift
/// let adapter = try PEFTAdapterFile(path: "support-adapter")
/// for layer in adapter.description.layers { print(layer.path, layer.change.methodName) }
/// ```
///
/// Reading is strict: every tensor must be one of a pair of factors of a layer that the
/// configuration targets, of the rank that it gives, and finite. The weights are copied, so the
/// folder may be written to afterwards.
public struct PEFTAdapterFile: Sendable {
  /// `adapter_config.json`.
  public var configuration: PEFTAdapterConfiguration
  /// The factors.
  public var description: AdapterDescription

  static let weightsFile = "adapter_model.safetensors"
  static let prefix = "base_model.model."

  /// Creates an adapter in memory, see ``write(to:storedType:)``.
  public init(configuration: PEFTAdapterConfiguration, description: AdapterDescription) {
    self.configuration = configuration
    self.description = description
  }

  /// Reads the adapter in the folder at `path`.
  public init(path: String) throws(FormatError) {
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
    let file = try SafetensorsFile(path: weightsPath, access: .copied)
    description = try Self.factors(file, configuration)
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

// MARK: - Reading

extension PEFTAdapterFile {
  /// What a tensor's name says.
  private struct Key {
    var path: String
    var isA: Bool
    /// The adapter's name, where the file keeps it.
    var adapter: String?
  }

  private static func key(_ name: String, _ file: String) throws(FormatError) -> Key {
    guard name.hasPrefix(prefix) else {
      throw FormatError(
        .unexpectedTensor, file: file, tensor: name,
        "names in PEFT's adapters begin with '\(prefix)'")
    }
    let parts = name.dropFirst(prefix.count).split(separator: ".", omittingEmptySubsequences: false)
    for length in [2, 3] where parts.count > length && parts.last == "weight" {
      let factor = parts[parts.count - length]
      guard factor == "lora_A" || factor == "lora_B" else { continue }
      return Key(
        path: parts.dropLast(length).joined(separator: "."), isA: factor == "lora_A",
        adapter: length == 3 ? String(parts[parts.count - 2]) : nil)
    }
    let kinds: [(part: String, what: String)] = [
      ("lora_embedding_A", "adapters on embeddings"),
      ("lora_embedding_B", "adapters on embeddings"),
      ("lora_magnitude_vector", "DoRA's magnitudes"),
      ("token_adapter", "trained rows of an embedding"),
      ("modules_to_save", "modules that were saved whole"),
      ("base_layer", "weights of the base model"),
    ]
    for kind in kinds where parts.contains(where: { $0 == kind.part }) {
      throw FormatError(
        .unsupported, file: file, tensor: name, "\(kind.what) are not supported",
        remedy: "train or save the adapter without them")
    }
    if parts.suffix(2) == ["lora_B", "bias"] {
      throw FormatError(
        .unsupported, file: file, tensor: name, "biases of factors (lora_bias) are not supported",
        remedy: "train or save the adapter without them")
    }
    throw FormatError(
      .unexpectedTensor, file: file, tensor: name,
      "it is neither '<path>.lora_A.weight' nor '<path>.lora_B.weight'")
  }

  private static func factors(
    _ file: SafetensorsFile, _ configuration: PEFTAdapterConfiguration
  ) throws(FormatError) -> AdapterDescription {
    var pairs: [ExactName: (a: String?, b: String?)] = [:]
    var order: [String] = []
    var adapter: String?
    var isFirst = true
    for name in file.names {
      let key = try key(name, file.path)
      if !isFirst, key.adapter != adapter {
        throw FormatError(
          .unexpectedTensor, file: file.path, tensor: name,
          "the file holds tensors of several adapters",
          remedy: "keep each adapter in a folder of its own")
      }
      (adapter, isFirst) = (key.adapter, false)
      var pair = pairs[ExactName(key.path)] ?? (nil, nil)
      if pair.a == nil, pair.b == nil { order.append(key.path) }
      if let other = key.isA ? pair.a : pair.b {
        throw FormatError(
          .duplicate, file: file.path, tensor: name, "'\(other)' is the same factor")
      }
      if key.isA { pair.a = name } else { pair.b = name }
      pairs[ExactName(key.path)] = pair
    }
    guard !order.isEmpty else {
      throw FormatError(
        .missingTensor, file: file.path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in order {
      let pair = pairs[ExactName(path)] ?? (nil, nil)
      guard let nameA = pair.a, let nameB = pair.b else {
        throw FormatError(
          .missingTensor, file: file.path,
          tensor: "\(prefix)\(path).lora_\(pair.a == nil ? "A" : "B").weight",
          "it is missing, although '\(pair.a ?? pair.b ?? "")' is there")
      }
      layers.append(try layer(path, nameA, nameB, file, configuration))
    }
    return AdapterDescription(layers: layers, metadata: file.metadata)
  }

  private static func layer(
    _ path: String, _ nameA: String, _ nameB: String, _ file: SafetensorsFile,
    _ configuration: PEFTAdapterConfiguration
  ) throws(FormatError) -> AdapterDescription.Layer {
    if configuration.targets != .unspecified, !configuration.matches(path: path) {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: nameA,
        "the targets in \(PEFTAdapterConfiguration.fileName) do not match '\(path)'")
    }
    let rank = configuration.rank(forPath: path)
    let a = try file.tensor(named: nameA)
    let b = try file.tensor(named: nameB)
    for (name, tensor, axis) in [(nameA, a, 0), (nameB, b, 1)] {
      let expected = axis == 0 ? "[\(rank), inputs]" : "[outputs, \(rank)]"
      guard tensor.dtype.isFloatingPoint else {
        throw FormatError(
          .typeMismatch, file: file.path, tensor: name,
          "expected floating-point numbers, found \(tensor.dtype)")
      }
      guard tensor.shape.count == 2, tensor.shape[axis] == rank, tensor.elementCount > 0 else {
        throw FormatError(
          .shapeMismatch, file: file.path, tensor: name,
          "expected \(expected) for the configured rank \(rank), found \(tensor.shape)")
      }
      if let index = tensor.firstNonFiniteIndex() {
        let (row, column) = (index / tensor.shape[1], index % tensor.shape[1])
        throw FormatError(
          .nonFinite, file: file.path, tensor: name,
          "the element at [\(row), \(column)] is not a finite number",
          remedy: "the training that made it diverged: train again with a lower learning rate")
      }
    }
    let alpha = configuration.alpha(forPath: path)
    return AdapterDescription.Layer(
      path: path, a: a.converted(to: .float32), b: b.converted(to: .float32), alpha: alpha,
      scale: configuration.scale(alpha: alpha, rank: rank), storedType: a.dtype)
  }
}

// MARK: - Writing

extension PEFTAdapterFile {
  /// Writes the adapter into the folder at `path`, which is made if needed, so that PEFT loads it.
  /// Neither file is replaced before both are complete.
  ///
  /// Throws ``FormatError`` if the configuration does not describe the factors (another rank or
  /// scale, a path that its targets do not match) or if one is not finite, `FileError` if writing
  /// fails; then the folder's files are as before.
  public func write(to path: String, storedType: DType = .float32) throws {
    let weightsPath = FileSystem.join(path, Self.weightsFile)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in description.layers {
      let change = try checkedFactors(of: layer, weightsPath)
      tensors.append(
        ("\(Self.prefix)\(layer.path).lora_A.weight", change.a.converted(to: storedType)))
      tensors.append(
        ("\(Self.prefix)\(layer.path).lora_B.weight", change.b.converted(to: storedType)))
    }
    var metadata = description.metadata
    metadata["format"] = "pt"
    let weights = try SafetensorsWriter.part(tensors, metadata: metadata, path: weightsPath)
    try FileSystem.makeFolder(path)
    try AtomicFile.writeAll([
      weights,
      AtomicFile.Part(
        FileSystem.join(path, PEFTAdapterConfiguration.fileName), configuration.encoded()),
    ])
  }

  private func checkedFactors(
    of layer: AdapterDescription.Layer, _ file: String
  ) throws(FormatError) -> LowRankChange {
    func mismatch(_ problem: String) -> FormatError {
      FormatError(
        .invalidValue, file: file, subject: "layer '\(layer.path)'", problem: problem,
        remedy: "give a configuration that describes the factors")
    }
    if configuration.targets != .unspecified, !configuration.matches(path: layer.path) {
      throw mismatch("the configuration's targets do not match it")
    }
    guard let change = layer.lowRank, change.isPlain else {
      throw FormatError(
        .unsupported, file: file, subject: "layer '\(layer.path)'",
        problem: "a PEFT LoRA file holds low-rank factors only, this is \(layer.change.methodName)")
    }
    let rank = configuration.rank(forPath: layer.path)
    guard change.rank == rank else {
      throw mismatch("its factors have rank \(change.rank), the configuration says \(rank)")
    }
    let scale = configuration.scale(forPath: layer.path)
    guard change.scale == scale else {
      throw mismatch("its scale is \(change.scale), the configuration says \(scale)")
    }
    for (name, factor) in [("A", change.a), ("B", change.b)] {
      if let index = factor.firstNonFiniteIndex() {
        throw FormatError(
          .nonFinite, file: file, subject: "layer '\(layer.path)'",
          problem: "element \(index) of \(name) is not a finite number")
      }
    }
    return change
  }
}
