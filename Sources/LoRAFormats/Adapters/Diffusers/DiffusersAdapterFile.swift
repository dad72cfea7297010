package import LoRAFiles
import LoRAJSON
import LoRATensor

/// An adapter of an image model as Hugging Face diffusers writes it: one safetensors file.
///
/// ```swift
/// let adapter = try DiffusersAdapterFile(path: "pytorch_lora_weights.safetensors")
/// adapter.description.layers[0].path  // "unet.mid_block.attentions.0.proj_in"
/// ```
///
/// Names begin with the part of the pipeline (`unet.`, `transformer.`, `text_encoder.`,
/// `text_encoder_2.`) and end with `.lora_A.weight` and `.lora_B.weight`; older files have
/// `.lora.down.weight`, `.lora_linear_layer.down.weight` or `.processor.to_q_lora.down.weight`. The
/// oldest files, and those of one model alone (`unet.save_lora_adapter()`), lack the part.
///
/// Ranks and alphas are in the metadata, `lora_adapter_metadata`, which holds PEFT's configuration
/// of every part, or, without a part's name before its fields, that of the only one. A file without
/// has a scale of 1, as it has in diffusers.
package struct DiffusersAdapterFile: Sendable {
  /// The factors; paths with the part of the pipeline in front.
  package var description: AdapterDescription
  /// What of the metadata could not be matched with the factors.
  package private(set) var notes: [AdapterNote] = []
  /// Whether the scale of some layers is not in the file, which has those of others.
  var assumesScale = false

  /// Where the metadata holds the configuration.
  static let configurationKey = "lora_adapter_metadata"

  /// What the metadata says of its making.
  var provenance = AdapterFile.Provenance()

  /// Creates an adapter in memory, see ``write(to:)``.
  package init(description: AdapterDescription) { self.description = description }

  /// Reads the file at `path`.
  package init(path: String) throws(FormatError) {
    let file = try SafetensorsFile(path: path, access: .copied)
    var table = FactorTable(file)
    let part = Self.partOfBareNames(file.names)
    for name in file.names {
      guard let key = Self.key(name, part: part) else { throw Self.unexpected(name, path) }
      try table.add(name, path: key.path, part: key.part)
    }
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: path, problem: "the file holds no factors of an adapter")
    }
    let metadata = try DiffusersMetadata(
      file.metadata, file: path,
      parts: ImageModuleNames.components.filter { component in
        table.paths.contains { ImageModuleNames.component(of: $0) == component }
      })
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths {
      layers.append(try Self.layer(path, table, metadata.configurations))
    }
    description = AdapterDescription(layers: layers, metadata: file.metadata)
    notes = metadata.notes
    for (_, configuration) in metadata.configurations.sorted(by: { $0.key < $1.key }) {
      provenance.fill(from: AdapterFile.Provenance(configuration))
    }
    // Converted from another format.
    provenance.fill(from: AdapterFile.Provenance(metadata: file.metadata))
    assumesScale = !metadata.partsWithout.isEmpty
  }

  /// Whether a file's metadata says that diffusers wrote it, whatever its tensors are called.
  static func isMarked(_ file: SafetensorsFile) -> Bool {
    guard !(file.metadata[configurationKey] ?? "").isEmpty else { return false }
    let part = partOfBareNames(file.names)
    return !file.names.isEmpty && file.names.allSatisfy { key($0, part: part) != nil }
      && !file.names.contains { $0.hasPrefix("base_model.model.") || $0.hasPrefix("lora_unet_") }
  }

  /// The blocks of a UNet.
  private static let blocksOfUNet = ["down_blocks.", "mid_block.", "up_blocks."]
  /// Those of the transformers that are sure to be diffusers'.
  private static let blocksOfTransformer = ["transformer_blocks.", "single_transformer_blocks."]

  /// The part that names without one belong to: a UNet if there are its blocks, else a transformer.
  private static func partOfBareNames(_ names: [String]) -> String {
    let isUNet = names.contains { name in
      let name = name.replacing(".processor.", with: ".")
      return blocksOfUNet.contains(where: name.hasPrefix)
    }
    return isUNet ? "unet" : "transformer"
  }

  /// The layer and the part of it that a tensor's name says, whatever diffusers' age; nil if it is
  /// none of theirs. `part` is that of names without one; nil if only names that are sure to be
  /// diffusers' may lack it.
  static func key(_ name: String, part bare: String? = nil) -> (path: String, part: String)? {
    var text = name.replacing(".processor.", with: ".")
    if ImageModuleNames.component(of: text) == nil {
      if blocksOfUNet.contains(where: text.hasPrefix) {
        text = "unet." + text
      } else if blocksOfTransformer.contains(where: text.hasPrefix) {
        text = "transformer." + text
      } else if let bare {
        text = "\(bare).\(text)"
      } else {
        return nil
      }
    }
    // With transformers 5 text encoders lost a level, which diffusers reads with and without.
    for component in ["text_encoder", "text_encoder_2"]
    where text.hasPrefix(component + ".encoder.") {
      text = "\(component).text_model" + text.dropFirst(component.count)
    }
    let ends: [(end: String, part: String)] = [
      (".lora_A.weight", "lora_A"), (".lora_B.weight", "lora_B"), (".lora_B.bias", "bias"),
      (".lora.down.weight", "lora_A"), (".lora.up.weight", "lora_B"),
      (".lora_linear_layer.down.weight", "lora_A"), (".lora_linear_layer.up.weight", "lora_B"),
      ("_lora.down.weight", "lora_A"), ("_lora.up.weight", "lora_B"),
      (".lora_magnitude_vector", "magnitude"), (".lora_magnitude_vector.weight", "magnitude"),
      (".alpha", "alpha"),
    ]
    guard let (end, part) = ends.first(where: { text.hasSuffix($0.end) }) else { return nil }
    var path = String(text.dropLast(end.count))
    if path.hasSuffix("_lora"), part == "alpha" { path = String(path.dropLast(5)) }
    if end.hasPrefix("_lora") || text.contains("_lora.alpha") {
      // "to_out_lora" is the first layer of an output projection; text encoders say it otherwise.
      let isText = path.hasPrefix("text_encoder")
      for (old, unet, text) in [
        ("to_q", "to_q", "q_proj"), ("to_k", "to_k", "k_proj"), ("to_v", "to_v", "v_proj"),
        ("to_out", "to_out.0", "out_proj"),
      ] where path.hasSuffix(".\(old)") {
        return (path.dropLast(old.count) + (isText ? text : unet), part)
      }
    }
    return (path, part)
  }

  private static func unexpected(_ name: String, _ file: String) -> FormatError {
    if name.contains(".lokr_") || name.contains(".hada_") {
      return FormatError(
        .unsupported, file: file, tensor: name,
        "LoKr and LoHa in diffusers' names are not supported",
        remedy: "use the file in LyCORIS's names")
    }
    return FormatError(
      .unexpectedTensor, file: file, tensor: name,
      "expected '<part>.<path>.lora_A.weight' or '.lora_B.weight' (older: '.lora.down.weight', "
        + "'_lora.down.weight') with one of the parts "
        + ImageModuleNames.components.joined(separator: ", "))
  }

  private static func layer(
    _ path: String, _ table: FactorTable, _ configurations: [String: PEFTAdapterConfiguration]
  ) throws(FormatError) -> AdapterDescription.Layer {
    let a = try table.required(path, "lora_A")
    let b = try table.required(path, "lora_B")
    try table.checkPair(a, b)
    let rank = a.shape[0]
    let component = ImageModuleNames.component(of: path) ?? ""
    let local = String(path.dropFirst(component.count + 1))
    var (alpha, scale) = (Double(rank), 1.0)
    let stored = try table.scalar(path, "alpha").flatMap { $0 == 0 ? nil : $0 }
    if let stored { (alpha, scale) = (stored, stored / Double(rank)) }
    if let configuration = configurations[component] {
      let configured = configuration.rank(forPath: local)
      guard configured == rank else {
        throw FormatError(
          .shapeMismatch, file: table.file.path, tensor: a.name,
          "its rank is \(rank), the metadata's \(configurationKey) says \(configured)",
          remedy: "correct 'r' or 'rank_pattern' there")
      }
      alpha = configuration.alpha(forPath: local)
      scale = configuration.scale(forPath: local)
      if let stored, stored != alpha || scale != stored / Double(rank) {
        throw FormatError(
          .invalidValue, file: table.file.path, tensor: table.name(path, "alpha") ?? path,
          "it says alpha \(stored), the metadata's \(configurationKey) says \(alpha) and a scale of "
            + "\(scale)",
          remedy: "remove the one that is wrong")
      }
    }
    let bias = try table.optional(path, "bias")
    if let bias, bias.shape != [b.shape[0]] {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: bias.name,
        "expected [\(b.shape[0])], found \(bias.shape)")
    }
    let magnitude = try table.optional(path, "magnitude")
    if let magnitude,
      magnitude.shape.first != b.shape[0]
        || magnitude.tensor.elementCount != b.shape[0]
    {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: magnitude.name,
        "expected [\(b.shape[0])], found \(magnitude.shape)")
    }
    return AdapterDescription.Layer(
      path: path,
      change: LowRankChange(
        a: a.tensor, b: b.tensor, alpha: alpha, scale: scale, bias: bias?.tensor,
        magnitude: magnitude?.tensor.reshaped(to: [b.shape[0]])),
      storedType: FactorTable.commonType([a, b, bias, magnitude]))
  }
}

// MARK: - Writing

extension DiffusersAdapterFile {
  /// The adapter as diffusers can hold it, and what a reader has to know. Factors stay as they are:
  /// ranks and alphas go into the metadata.
  package static func fitting(
    _ description: AdapterDescription, provenance: AdapterFile.Provenance = .init(),
    file: String = "adapter"
  ) throws(FormatError) -> (file: DiffusersAdapterFile, notes: [AdapterNote]) {
    try description.refuseReplacements(for: .diffusers, file)
    for layer in description.layers {
      guard ImageModuleNames.component(of: layer.path) != nil else {
        throw description.refusal(
          layer.path, .diffusers, file, "it: its path lies in no part of an image pipeline",
          remedy: "paths begin with one of "
            + ImageModuleNames.components.joined(separator: ", ") + "; write another format")
      }
      guard let change = layer.lowRank else {
        throw description.refusal(
          layer.path, .diffusers, file, layer.change.methodName, remedy: "write it as lycoris")
      }
      if change.middle != nil {
        throw description.refusal(
          layer.path, .diffusers, file, "cores (LoCon)", remedy: "write it as lycoris")
      }
      if change.isEmbedding {
        throw description.refusal(layer.path, .diffusers, file, "embeddings")
      }
      if let magnitude = change.magnitude, magnitude.shape != [change.outputSize] {
        throw description.refusal(
          layer.path, .diffusers, file, "magnitudes of inputs", remedy: "write it as lycoris")
      }
    }
    var notes: [AdapterNote] = []
    if description.layers.contains(where: { ($0.lowRank?.scale ?? 1) != 1 }) {
      notes.append(
        AdapterNote(
          text: "scales are in the metadata's \(configurationKey), which diffusers before 0.34 "
            + "does not read"))
    }
    var result = description
    result.metadata = try metadata(of: description, provenance, file)
    return (DiffusersAdapterFile(description: result), notes)
  }

  /// The metadata with the configurations of all parts, which keep what they held before.
  private static func metadata(
    of description: AdapterDescription, _ provenance: AdapterFile.Provenance, _ file: String
  ) throws(FormatError) -> [String: String] {
    var metadata = description.metadata
    metadata["format"] = "pt"
    let isPlain = description.layers.allSatisfy { $0.lowRank?.scale == 1 }
    if isPlain, metadata[configurationKey] == nil { return metadata }
    let old =
      try metadata[configurationKey].map { text throws(FormatError) in
        try FileSystem.object(parsing: Array(text.utf8), file: "\(file) (\(configurationKey))")
      } ?? [:]
    var object = JSONObject()
    for component in ImageModuleNames.components {
      let prefix = component + "."
      let layers = description.layers.filter { $0.path.hasPrefix(prefix) }
        .compactMap { layer in
          layer.lowRank.map { (path: String(layer.path.dropFirst(prefix.count)), change: $0) }
        }
      guard !layers.isEmpty else { continue }
      var fields = DiffusersMetadata.fields(of: component, in: old)
      if fields.isEmpty, description.layers.allSatisfy({ $0.path.hasPrefix(prefix) }) {
        // Of a model that was saved alone.
        fields = JSONObject(old.filter { !$0.key.contains(".") }.map { ($0.key, $0.value) })
      }
      for (key, value) in configuration(layers) { fields[key] = value }
      if fields["base_model_name_or_path"]?.isNull ?? true, let name = provenance.baseModelName {
        fields["base_model_name_or_path"] = .string(name)
      }
      if fields["lora_dropout"] == nil, let dropout = provenance.dropout, dropout > 0 {
        fields["lora_dropout"] = .number(dropout)
      }
      for (key, value) in fields { object[prefix + key] = value }
    }
    metadata[configurationKey] = JSONValue.object(object).encoded(pretty: true, sortedKeys: true)
    return metadata
  }

  /// PEFT's fields that describe the layers: the commonest rank and alpha, patterns for others.
  private static func configuration(
    _ layers: [(path: String, change: LowRankChange)]
  ) -> JSONObject {
    func alpha(_ change: LowRankChange) -> Double {
      change.alpha / Double(change.rank) == change.scale
        ? change.alpha : change.scale * Double(change.rank)
    }
    func json(_ value: Double) -> JSONValue {
      Int64(exactly: value).map { .integer($0) } ?? .number(value)
    }
    // A key matches the ends of paths too: where that would be another layer, it is anchored.
    func key(_ path: String) -> String {
      layers.contains { $0.path.hasSuffix("." + path) } ? "^" + path : path
    }
    let rank = commonest(layers.map(\.change.rank)) ?? 1
    let common = commonest(layers.map { alpha($0.change) }) ?? 1
    let ranks = layers.filter { $0.change.rank != rank }
      .map { (key($0.path), JSONValue.integer(Int64($0.change.rank))) }
    let alphas = layers.filter { alpha($0.change) != common }
      .map { (key($0.path), json(alpha($0.change))) }
    return [
      "peft_type": "LORA", "r": .integer(Int64(rank)), "lora_alpha": json(common),
      "rank_pattern": .object(JSONObject(ranks)), "alpha_pattern": .object(JSONObject(alphas)),
      "target_modules": .array(layers.map { .string($0.path) }), "use_rslora": false,
      "use_dora": .bool(layers.contains { $0.change.magnitude != nil }),
      "lora_bias": .bool(layers.contains { $0.change.bias != nil }), "bias": "none",
    ]
  }

  /// Writes the file at `path`, atomically, in diffusers' present names. Throws `FormatError` for
  /// what ``fitting(_:provenance:file:)`` refuses, `FileError` if writing fails.
  package func write(to path: String) throws {
    try AtomicFile.writeAll([try part(path: path)])
  }

  func part(path: String) throws(FormatError) -> AtomicFile.Part {
    let (fitted, _) = try Self.fitting(description, provenance: provenance, file: path)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in fitted.description.layers {
      guard let change = layer.lowRank else { continue }
      let parts: [(String, Tensor?)] = [
        ("lora_A.weight", change.a), ("lora_B.weight", change.b), ("lora_B.bias", change.bias),
        ("lora_magnitude_vector", change.magnitude),
      ]
      for case (let part, let tensor?) in parts {
        let name = "\(layer.path).\(part)"
        tensors.append((name, try tensor.stored(as: layer.storedType, named: name, file: path)))
      }
    }
    return try SafetensorsWriter.part(
      tensors, metadata: fitted.description.metadata, path: path)
  }
}
