package import LoRAFiles
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
/// description holds A [r, in] and B [out, r], the same numbers, under Hugging Face's names
/// (`transformer.h.0.attn.c_attn` of GPT-2, which MLX calls `model.h.0.attn.c_attn`).
///
/// Before mlx-lm 0.9 it was one file, `adapters.npz`, without rank and scale: the rank is the
/// factors', the scale the 20.0 that those programs computed with.
package struct MLXAdapterFile: Sendable {
  /// `adapter_config.json`.
  package var configuration: MLXAdapterConfiguration
  /// The factors.
  package var description: AdapterDescription

  /// What reading had to assume or could not match.
  package private(set) var notes: [AdapterNote] = []
  /// Whether the scale is not in the file.
  var assumesScale = false
  /// Whether the configuration is a file's rather than made of an older file's factors.
  var hasConfiguration = true

  static let weightsFile = "adapters.safetensors"
  /// What mlx-lm before 0.9, and mlx-examples, wrote.
  static let arraysFile = "adapters.npz"
  /// The scale that those had in their code: 20.0, or 10.0 times an alpha of 16 over a rank of 8.
  static let scaleOfArrays = 20.0
  /// How tables of embeddings are called: their factors look like any other's.
  private static let embeddings: Set<String> = [
    "embed_tokens", "wte", "tok_embeddings", "word_embeddings", "embedding",
  ]

  /// What the layers are called in the file; nil: what they themselves tell.
  private var names: MLXModuleNames?

  /// Creates an adapter in memory, see ``write(to:)``.
  package init(configuration: MLXAdapterConfiguration, description: AdapterDescription) {
    self.configuration = configuration
    self.description = description
  }

  /// Reads the adapter in the folder at `path`, or a weights file, a checkpoint for example, that has
  /// its `adapter_config.json` beside it; or an older `.npz`, which needs none.
  ///
  /// - Parameters:
  ///   - path: the folder or the file.
  ///   - alpha: of a file without a configuration, what its scale is times its rank; nil: what
  ///     mlx-lm computed with when it wrote such files.
  package init(path: String, alpha: Double? = nil) throws(FormatError) {
    let isFolder = FileSystem.isFolder(path)
    let folder = isFolder ? path : FileSystem.folder(of: path)
    try FolderJournal.check(folder)
    let weightsPath = isFolder ? try Self.weights(in: folder) : path
    let source: TensorSource
    if ZipArchive.isOne(weightsPath) {
      source = .arrays(try NPZFile(path: weightsPath))
    } else {
      source = .safetensors(try SafetensorsFile(path: weightsPath, access: .copied))
    }
    let configurationPath = FileSystem.join(folder, MLXAdapterConfiguration.fileName)
    if FileSystem.exists(configurationPath) {
      let configuration = try MLXAdapterConfiguration(
        try FileSystem.readObject(configurationPath), file: configurationPath)
      self.init(
        configuration: configuration, description: try Self.read(source, configuration))
      if let note = configuration.noteOfScale { notes.append(note) }
      return
    }
    guard case .arrays = source else {
      throw FormatError(
        .missingFile, file: configurationPath, problem: "the file does not exist",
        remedy: "put the adapter_config.json of the training run beside the weights")
    }
    let rank = try Self.rank(of: source)
    let scale = alpha.map { $0 / Double(rank) } ?? Self.scaleOfArrays
    guard scale.isFinite else {
      throw FormatError(.invalidValue, file: path, key: "alpha", "the scale \(scale) is no number")
    }
    let configuration = MLXAdapterConfiguration(rank: rank, scale: scale)
    self.init(configuration: configuration, description: try Self.read(source, configuration))
    hasConfiguration = false
    guard alpha == nil else { return }
    assumesScale = true
    notes.append(
      AdapterNote(
        text: "the file does not hold its scale: read with \(scale), which mlx-lm and mlx-examples "
          + "computed with when they wrote such files; --alpha gives another, scale x rank"))
  }

  /// The folder's weights; of a folder with checkpoints alone these are listed.
  private static func weights(in folder: String) throws(FormatError) -> String {
    for name in [weightsFile, arraysFile] {
      let path = FileSystem.join(folder, name)
      if FileSystem.exists(path) { return path }
    }
    let others = FileSystem.names(in: folder).filter {
      $0.hasSuffix(".safetensors") || $0.hasSuffix(".npz")
    }
    throw FormatError(
      .missingFile, file: FileSystem.join(folder, weightsFile),
      problem: "the file does not exist",
      remedy: others.isEmpty
        ? "copy it beside \(MLXAdapterConfiguration.fileName)"
        : "the folder holds \(listed(others)): give one of them")
  }

  /// The rank that the factors of a file without configuration have.
  private static func rank(of source: TensorSource) throws(FormatError) -> Int {
    for name in source.names where name.hasSuffix(".lora_a") {
      let shape = try source.tensor(named: name).shape
      if shape.count == 2, shape[1] > 0 { return shape[1] }
    }
    throw FormatError(
      .missingTensor, file: source.path, problem: "the file holds no factors of an adapter")
  }

  private static func read(
    _ source: TensorSource, _ configuration: MLXAdapterConfiguration
  ) throws(FormatError) -> AdapterDescription {
    var table = FactorTable(source)
    let stems = source.names.map { name in
      name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    }
    for (name, stem) in zip(source.names, stems) {
      let part = String(name.dropFirst(stem.count + 1))
      guard !stem.isEmpty,
        part == "lora_a" || part == "lora_b"
          || (part == "m" && configuration.method == .dora)
      else { throw unexpected(name, source) }
      try table.add(name, path: MLXModuleNames.path(ofName: stem, among: stems), part: part)
    }
    try MLXPreparedLayers(configuration, namesOfModel: stems).check(stems, file: source.path)
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: source.path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths { layers.append(try layer(path, table, configuration)) }
    return AdapterDescription(layers: layers, metadata: source.metadata)
  }

  private static func unexpected(_ name: String, _ file: TensorSource) -> FormatError {
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
      change: LowRankChange(
        a: a.tensor.transposed(), b: b.tensor.transposed(),
        alpha: configuration.scale * Double(rank), scale: configuration.scale,
        magnitude: magnitude?.tensor, isEmbedding: embeddings.contains(last)),
      storedType: FactorTable.commonType([a, b, magnitude]))
  }
}

// MARK: - Writing

extension MLXAdapterFile {
  /// The adapter as MLX can hold it, and what had to be done for that: all layers get the commonest
  /// scale, and the greatest rank by rows and columns of zeros.
  ///
  /// - Parameters:
  ///   - description: the adapter.
  ///   - template: gives what the description lacks: dropout and the fields of a training run.
  ///   - modelType: `model_type` of the base, which decides what mlx-lm calls its layers; nil: the
  ///     layers themselves tell.
  ///   - file: for errors.
  ///
  /// Throws `FormatError` for what MLX has no place for, by the layer's name.
  package static func fitting(
    _ description: AdapterDescription, template: MLXAdapterConfiguration? = nil,
    modelType: String? = nil, file: String = "adapters.safetensors"
  ) throws(FormatError) -> (file: MLXAdapterFile, notes: [AdapterNote]) {
    try description.refuseReplacements(for: .mlx, file)
    let isDoRA = description.layers.contains { $0.lowRank?.magnitude != nil }
    let names = MLXModuleNames(layers: description.layers, modelType: modelType)
    for layer in description.layers {
      guard let change = layer.lowRank else {
        throw description.refusal(layer.path, .mlx, file, layer.change.methodName)
      }
      if names.lacksHead, ModelLayout.headNames.contains(layer.path) {
        throw description.refusal(
          layer.path, .mlx, file, "it: mlx-lm's model has no head apart from its embedding")
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
      result.layers[index].change = change
    }
    var configuration = template ?? MLXAdapterConfiguration(rank: rank, scale: common)
    configuration.method = isDoRA ? .dora : .lora
    configuration.rank = rank
    configuration.scale = common
    if template == nil {
      configuration.keys = keys(of: result.layers.map { names.name(ofPath: $0.path) })
    }
    if names.isGuess {
      notes.append(
        AdapterNote(
          text: "layers are called as in mlx-lm's GPT-2 (model.h); give the base if it is another "
            + "model"))
    }
    var adapter = MLXAdapterFile(configuration: configuration, description: result)
    adapter.names = names
    return (adapter, notes)
  }

  /// The layers as `keys` names them: within a block by what follows its number, if all blocks have
  /// the same ones, else by their whole names.
  private static func keys(of names: [String]) -> [String] {
    let blocks = names.map { BlockPath($0) }
    var rests: [String: Set<Int>] = [:]
    for case let block? in blocks {
      rests["\(block.stem) \(block.rest)", default: []].insert(block.index)
    }
    let all = Set(rests.values.joined())
    let isRegular = rests.values.allSatisfy { $0 == all } && all == Set(0..<all.count)
    let keys = zip(names, blocks).map { name, block in isRegular ? block?.rest ?? name : name }
    return Set(keys).sorted()
  }

  /// Writes the adapter into the folder at `path`, which is made if needed. Both files appear, or
  /// replace an older adapter's, at once.
  ///
  /// Throws `FormatError` unless the configuration describes the factors, as that of
  /// ``fitting(_:template:modelType:file:)`` does, `FileError` if writing fails.
  package func write(to path: String) throws {
    try AtomicFolder.write(try parts(of: path), as: FolderResult.adapter(.mlx), to: path)
  }

  /// The files of the folder at `path`, not yet written.
  func parts(of path: String) throws(FormatError) -> [AtomicFile.Part] {
    let weightsPath = FileSystem.join(path, Self.weightsFile)
    let names = names ?? MLXModuleNames(layers: description.layers, modelType: nil)
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
      let name = names.name(ofPath: layer.path)
      for (part, tensor) in parts {
        let key = "\(name).\(part)"
        tensors.append(
          (key, try tensor.stored(as: layer.storedType, named: key, file: weightsPath)))
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
