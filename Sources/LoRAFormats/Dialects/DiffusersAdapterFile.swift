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
/// `.lora.down.weight`, `.lora_linear_layer.down.weight` or `.processor.to_q_lora.down.weight`, and
/// the oldest lack the part, which then is the UNet.
///
/// Ranks and alphas are in the metadata, `lora_adapter_metadata`, which holds PEFT's configuration
/// of every part; a file without has a scale of 1, as it has in diffusers.
public struct DiffusersAdapterFile: Sendable {
  /// The factors; paths with the part of the pipeline in front.
  public var description: AdapterDescription

  /// Where the metadata holds the configuration.
  static let configurationKey = "lora_adapter_metadata"

  /// Creates an adapter in memory, see ``write(to:)``.
  public init(description: AdapterDescription) { self.description = description }

  /// Reads the file at `path`.
  public init(path: String) throws(FormatError) {
    let file = try SafetensorsFile(path: path, access: .copied)
    let configurations = try Self.configurations(file.metadata, path)
    var table = FactorTable(file)
    for name in file.names {
      guard let key = Self.key(name) else { throw Self.unexpected(name, path) }
      try table.add(name, path: key.path, part: key.part)
    }
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths { layers.append(try Self.layer(path, table, configurations)) }
    description = AdapterDescription(layers: layers, metadata: file.metadata)
  }

  /// The layer and the part of it that a tensor's name says, whatever diffusers' age; nil if it is
  /// none of theirs.
  static func key(_ name: String) -> (path: String, part: String)? {
    var text = name.replacing(".processor.", with: ".")
    // The oldest files hold the attention of the UNet alone.
    if ImageModuleNames.component(of: text) == nil {
      guard ["down_blocks.", "mid_block.", "up_blocks."].contains(where: text.hasPrefix) else {
        return nil
      }
      text = "unet." + text
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

  /// PEFT's configuration of each part of the pipeline.
  private static func configurations(
    _ metadata: [String: String], _ file: String
  ) throws(FormatError) -> [String: PEFTAdapterConfiguration] {
    guard let text = metadata[configurationKey], !text.isEmpty else { return [:] }
    let place = "\(file) (\(configurationKey))"
    let object = try FileSystem.object(parsing: Array(text.utf8), file: place)
    var result: [String: PEFTAdapterConfiguration] = [:]
    for component in ImageModuleNames.components {
      var fields = Self.fields(of: component, in: object)
      guard !fields.isEmpty else { continue }
      if fields["peft_type"]?.isNull ?? true { fields["peft_type"] = "LORA" }
      let configuration = try PEFTAdapterConfiguration(fields, file: "\(place), \(component)")
      try PEFTAdapterFile.refuseChangedBase(configuration, "\(place), \(component)")
      result[component] = configuration
    }
    return result
  }

  private static func fields(of component: String, in object: JSONObject) -> JSONObject {
    JSONObject(
      object.filter { $0.key.hasPrefix(component + ".") }
        .map { (String($0.key.dropFirst(component.count + 1)), $0.value) })
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
    if let stored = try table.scalar(path, "alpha"), stored != 0 {
      (alpha, scale) = (stored, stored / Double(rank))
    } else if let configuration = configurations[component] {
      let configured = configuration.rank(forPath: local)
      guard configured == rank else {
        throw FormatError(
          .shapeMismatch, file: table.file.path, tensor: a.name,
          "its rank is \(rank), the metadata's \(configurationKey) says \(configured)",
          remedy: "correct 'r' or 'rank_pattern' there")
      }
      alpha = configuration.alpha(forPath: local)
      scale = configuration.scale(forPath: local)
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
      change: .lowRank(
        LowRankChange(
          a: a.tensor, b: b.tensor, alpha: alpha, scale: scale, bias: bias?.tensor,
          magnitude: magnitude?.tensor.reshaped(to: [b.shape[0]]))),
      storedType: FactorTable.commonType([a, b, bias, magnitude]))
  }
}

// MARK: - Writing

extension DiffusersAdapterFile {
  /// The adapter as diffusers can hold it, and what a reader has to know. Factors stay as they are:
  /// ranks and alphas go into the metadata.
  public static func fitting(
    _ description: AdapterDescription, file: String = "adapter"
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
    result.metadata = try metadata(of: description, file)
    return (DiffusersAdapterFile(description: result), notes)
  }

  /// The metadata with the configurations of all parts, which keep what they held before.
  private static func metadata(
    of description: AdapterDescription, _ file: String
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
      var fields = fields(of: component, in: old)
      for (key, value) in configuration(layers) { fields[key] = value }
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

  /// Writes the file at `path`, atomically, in diffusers' present names. Throws ``FormatError`` for
  /// what ``fitting(_:file:)`` refuses, `FileError` if writing fails.
  public func write(to path: String) throws {
    try AtomicFile.writeAll([try part(path: path)])
  }

  func part(path: String) throws(FormatError) -> AtomicFile.Part {
    let (fitted, _) = try Self.fitting(description, file: path)
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in fitted.description.layers {
      guard let change = layer.lowRank else { continue }
      let parts: [(String, Tensor?)] = [
        ("lora_A.weight", change.a), ("lora_B.weight", change.b), ("lora_B.bias", change.bias),
        ("lora_magnitude_vector", change.magnitude),
      ]
      for case (let part, let tensor?) in parts {
        tensors.append(("\(layer.path).\(part)", tensor.converted(to: layer.storedType)))
      }
    }
    return try SafetensorsWriter.part(
      tensors, metadata: fitted.description.metadata, path: path)
  }
}
