import LoRATensor

/// An adapter of mlx-lm: a folder with `adapter_config.json` and `adapters.safetensors`.
///
/// ```swift
/// let adapter = try MLXAdapterFile(path: "adapters")
/// adapter.configuration.scale                  // 10.0
/// adapter.description.layers[0].lowRank?.rank  // 8
/// ```
///
/// MLX's factors lie transposed to everybody else's, `lora_a` [in, r] and `lora_b` [r, out]; the
/// description holds A [r, in] and B [out, r], the same numbers.
public struct MLXAdapterFile: Sendable {
  /// `adapter_config.json`.
  public var configuration: MLXAdapterConfiguration
  /// The factors.
  public var description: AdapterDescription

  static let weightsFile = "adapters.safetensors"
  /// How tables of embeddings are called: their factors look like any other's.
  private static let embeddings: Set<String> = [
    "embed_tokens", "wte", "tok_embeddings", "word_embeddings", "embedding",
  ]

  /// Creates an adapter in memory, see ``write(to:)``.
  public init(configuration: MLXAdapterConfiguration, description: AdapterDescription) {
    self.configuration = configuration
    self.description = description
  }

  /// Reads the adapter in the folder at `path`.
  public init(path: String) throws(FormatError) {
    try FolderJournal.check(path)
    let configurationPath = FileSystem.join(path, MLXAdapterConfiguration.fileName)
    let configuration = try MLXAdapterConfiguration(
      try FileSystem.readObject(configurationPath), file: configurationPath)
    let file = try SafetensorsFile(
      path: FileSystem.join(path, Self.weightsFile), access: .copied)
    self.init(
      configuration: configuration, description: try Self.read(file, configuration))
  }

  private static func read(
    _ file: SafetensorsFile, _ configuration: MLXAdapterConfiguration
  ) throws(FormatError) -> AdapterDescription {
    var table = FactorTable(file)
    for name in file.names {
      guard let dot = name.lastIndex(of: "."), dot > name.startIndex else {
        throw unexpected(name, file)
      }
      let part = String(name[name.index(after: dot)...])
      guard part == "lora_a" || part == "lora_b" || (part == "m" && configuration.method == .dora)
      else { throw unexpected(name, file) }
      try table.add(name, path: String(name[..<dot]), part: part)
    }
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: file.path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths { layers.append(try layer(path, table, configuration)) }
    return AdapterDescription(layers: layers, metadata: file.metadata)
  }

  private static func unexpected(_ name: String, _ file: SafetensorsFile) -> FormatError {
    if name.hasSuffix(".lora_A.weight") || name.hasSuffix(".lora_B.weight") {
      return FormatError(
        .unexpectedTensor, file: file.path, tensor: name,
        "this is a factor of PEFT's, which lies transposed to MLX's",
        remedy: "give it PEFT's adapter_config.json and the name adapter_model.safetensors")
    }
    return FormatError(
      .unexpectedTensor, file: file.path, tensor: name,
      "it is neither '<path>.lora_a' nor '<path>.lora_b' nor, of DoRA, '<path>.m'",
      remedy: "train and save the adapter without it")
  }

  private static func layer(
    _ path: String, _ table: FactorTable, _ configuration: MLXAdapterConfiguration
  ) throws(FormatError) -> AdapterDescription.Layer {
    let a = try table.required(path, "lora_a")
    let b = try table.required(path, "lora_b")
    let rank = configuration.rank
    for (factor, axis) in [(a, 1), (b, 0)] {
      let expected = axis == 1 ? "[inputs, \(rank)]" : "[\(rank), outputs]"
      guard factor.shape.count == 2 else {
        throw FormatError(
          .unsupported, file: table.file.path, tensor: factor.name,
          "expected \(expected), found \(factor.shape): factors of experts are not supported",
          remedy: "train without adapters on mixtures of experts")
      }
      guard factor.shape[axis] == rank else {
        let isTransposed = factor.shape[1 - axis] == rank
        throw FormatError(
          .shapeMismatch, file: table.file.path, tensor: factor.name,
          "expected \(expected) for the configured rank \(rank), found \(factor.shape)"
            + (isTransposed ? ", which is transposed" : ""),
          remedy: isTransposed
            ? "transpose the factors; PEFT's lie that way"
            : "set 'rank' in \(MLXAdapterConfiguration.fileName) to that of the factors")
      }
    }
    var magnitude: FactorTable.Factor?
    let last = path.split(separator: ".").last.map(String.init) ?? path
    if configuration.method == .dora {
      let m = try table.required(path, "m")
      guard !embeddings.contains(last) else {
        throw FormatError(
          .unsupported, file: table.file.path, tensor: m.name,
          "MLX's DoRA of an embedding has norms of the table's rows, which is not supported",
          remedy: "train without an adapter on the embedding")
      }
      guard m.shape == [b.shape[1]] else {
        throw FormatError(
          .shapeMismatch, file: table.file.path, tensor: m.name,
          "expected [\(b.shape[1])], one magnitude an output, found \(m.shape)")
      }
      magnitude = m
    }
    return AdapterDescription.Layer(
      path: path,
      change: .lowRank(
        LowRankChange(
          a: a.tensor.transposed(), b: b.tensor.transposed(),
          alpha: configuration.scale * Double(rank), scale: configuration.scale,
          magnitude: magnitude?.tensor, isEmbedding: embeddings.contains(last))),
      storedType: FactorTable.commonType([a, b, magnitude]))
  }
}

// MARK: - Writing

extension MLXAdapterFile {
  /// The adapter as MLX can hold it, and what had to be done for that: all layers get the commonest
  /// scale, and the greatest rank by rows and columns of zeros.
  ///
  /// `template` gives what the description lacks: dropout and the fields of a training run. Throws
  /// ``FormatError`` for what MLX has no place for, by the layer's name.
  public static func fitting(
    _ description: AdapterDescription, template: MLXAdapterConfiguration? = nil,
    file: String = "adapters.safetensors"
  ) throws(FormatError) -> (file: MLXAdapterFile, notes: [AdapterNote]) {
    try description.refuseReplacements(for: .mlx, file)
    let isDoRA = description.layers.contains { $0.lowRank?.magnitude != nil }
    for layer in description.layers {
      guard let change = layer.lowRank else {
        throw description.refusal(layer.path, .mlx, file, layer.change.methodName)
      }
      if change.a.shape.count != 2 || change.middle != nil {
        throw description.refusal(layer.path, .mlx, file, "factors of convolutions")
      }
      if change.bias != nil { throw description.refusal(layer.path, .mlx, file, "biases of B") }
      if change.isEmbedding, change.magnitude != nil {
        throw description.refusal(
          layer.path, .mlx, file,
          "DoRA of an embedding as PEFT has it, norms of columns where MLX has norms of rows")
      }
      if isDoRA, change.magnitude?.shape != [change.outputSize] {
        throw description.refusal(
          layer.path, .mlx, file,
          change.magnitude == nil
            ? "LoRA and DoRA together: this layer has no magnitudes, others have"
            : "magnitudes of inputs")
      }
    }
    let changes = description.layers.compactMap(\.lowRank)
    let rank = changes.map(\.rank).max() ?? 1
    let kept = template.flatMap { t in changes.contains { $0.scale == t.scale } ? t.scale : nil }
    let common = kept ?? commonest(changes.map(\.scale).filter { $0 != 0 }) ?? 1
    var (result, notes) = description.folding { _ in (common, common * Double(rank)) }
    for index in result.layers.indices {
      guard var change = result.layers[index].lowRank else { continue }
      change.alpha = common * Double(rank)
      if change.rank < rank {
        notes.append(
          AdapterNote(
            layer: result.layers[index].path,
            text: "its rank \(change.rank) is filled up to \(rank) with zeros, the same function"))
        change = change.padded(toRank: rank)
      }
      result.layers[index].change = .lowRank(change)
    }
    var configuration = template ?? MLXAdapterConfiguration(rank: rank, scale: common)
    configuration.method = isDoRA ? .dora : .lora
    configuration.rank = rank
    configuration.scale = common
    if template == nil { configuration.keys = keys(of: result.layers.map(\.path)) }
    return (MLXAdapterFile(configuration: configuration, description: result), notes)
  }

  /// The layers as `keys` names them: within a block by what follows its number.
  private static func keys(of paths: [String]) -> [String] {
    let names = paths.map { path -> String in
      let parts = path.split(separator: ".")
      guard let index = parts.firstIndex(where: { Int($0) != nil }), index + 1 < parts.count else {
        return path
      }
      return parts[(index + 1)...].joined(separator: ".")
    }
    return Set(names).sorted()
  }

  /// Writes the adapter into the folder at `path`, which is made if needed. Both files appear, or
  /// replace an older adapter's, at once.
  ///
  /// Throws ``FormatError`` unless the configuration describes the factors, as that of
  /// ``fitting(_:template:file:)`` does, `FileError` if writing fails.
  public func write(to path: String) throws {
    try AtomicFolder.write(try parts(of: path), as: .adapter(.mlx), to: path)
  }

  /// The files of the folder at `path`, not yet written.
  func parts(of path: String) throws(FormatError) -> [AtomicFile.Part] {
    let weightsPath = FileSystem.join(path, Self.weightsFile)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in description.layers {
      let isDoRA = configuration.method == .dora
      guard let change = layer.lowRank, change.a.shape.count == 2, change.middle == nil,
        change.bias == nil, (change.magnitude != nil) == isDoRA
      else {
        throw description.refusal(layer.path, .mlx, weightsPath, layer.change.methodName)
      }
      guard change.rank == configuration.rank, change.scale == configuration.scale else {
        throw FormatError(
          .invalidValue, file: weightsPath, subject: "layer '\(layer.path)'",
          problem: "it has rank \(change.rank) and scale \(change.scale), the configuration says "
            + "\(configuration.rank) and \(configuration.scale)",
          remedy: "make both with MLXAdapterFile.fitting")
      }
      let parts =
        [
          ("lora_a", change.a.transposed()), ("lora_b", change.b.transposed()),
        ] + (change.magnitude.map { [("m", $0)] } ?? [])
      for (part, tensor) in parts {
        tensors.append(("\(layer.path).\(part)", tensor.converted(to: layer.storedType)))
      }
    }
    var metadata = description.metadata
    metadata["format"] = "mlx"
    return [
      try SafetensorsWriter.part(tensors, metadata: metadata, path: weightsPath),
      AtomicFile.Part(
        FileSystem.join(path, MLXAdapterConfiguration.fileName), configuration.encoded()),
    ]
  }
}
