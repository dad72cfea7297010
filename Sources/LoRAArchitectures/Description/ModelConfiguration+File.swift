public import LoRAFiles
package import LoRAJSON
import LoRATensor

// `config.json`, by the architecture's table.

extension ModelConfiguration {
  /// The most blocks that a model may have: something is made for each of them.
  static let mostLayers = 4096

  /// Reads the text of a `config.json`; `file` is for errors.
  public init(parsing bytes: [UInt8], file: String = "config.json") throws(FormatError) {
    try self.init(try FileSystem.object(parsing: bytes, file: file), file: file)
  }

  /// Reads the object in a `config.json`.
  package init(_ object: JSONObject, file: String) throws(FormatError) {
    let top = JSONFields(object: object, file: file)
    let architecture = try Self.architecture(top)
    let fields = try architecture.textPart?.fields(top) ?? top
    self.init(architecture)
    let type = fields["model_type"]?.stringValue
    if let type, architecture.textPart?.otherKeys[type] != nil { textPartType = type }
    for key in ConfigurationKey.common + keys {
      try key.read(&self, fields)
      guard layerCount <= Self.mostLayers else {
        throw fields.error(
          .invalidValue, architecture.key(of: \.layerCount), "\(layerCount) layers are too many")
      }
      if slidingWindows.count != layerCount {
        slidingWindows = Array(repeating: nil, count: layerCount)
      }
    }
    try fillHeads(fields)
    try refuseQuantization(fields)
    try validate(file: file)
  }

  /// What the architecture has no key for: as many heads for keys as for queries, which make up the
  /// hidden size.
  private mutating func fillHeads(_ fields: JSONFields) throws(FormatError) {
    if !architecture.hasKey(of: \.keyValueHeadCount) { keyValueHeadCount = headCount }
    guard !architecture.hasKey(of: \.headSize) else { return }
    guard hiddenSize % headCount == 0 else {
      throw fields.error(
        .invalidValue, architecture.key(of: \.headCount),
        "\(headCount) heads do not divide '\(architecture.key(of: \.hiddenSize))', \(hiddenSize)")
    }
    headSize = hiddenSize / headCount
  }

  private static func architecture(_ fields: JSONFields) throws(FormatError) -> Architecture {
    let supported = Architecture.all.map { "'\($0)'" }.joined(separator: ", ")
    guard let name = try fields.string("model_type") else {
      throw fields.error(
        .missingKey, "model_type", "the file does not say which architecture this is",
        "add it; supported are \(supported)")
    }
    guard let architecture = Architecture(modelType: name) else {
      throw fields.error(
        .unsupported, "model_type", "the architecture '\(name)' is not supported",
        "supported are \(supported)")
    }
    return architecture
  }

  static func storedType(_ fields: JSONFields) throws(FormatError) -> DType? {
    let key = fields["dtype"] != nil ? "dtype" : "torch_dtype"
    guard var name = try fields.string(key), name != "auto" else { return nil }
    if name.hasPrefix("torch.") { name.removeFirst("torch.".count) }
    guard let type = DType(rawValue: name), type.isFloatingPoint, !type.isQuantized else {
      throw fields.error(
        .unsupported, key, "weights of type '\(name)' are not supported",
        "supported are float32, bfloat16, float16 and float64")
    }
    return type
  }

  private func refuseQuantization(_ fields: JSONFields) throws(FormatError) {
    if let quantization = fields["quantization_config"], !quantization.isNull {
      let method = quantization["quant_method"]?.stringValue
      if architecture.readsMXFP4, method == "mxfp4" { return }
      throw fields.error(
        .unsupported, "quantization_config",
        "the weights are quantized (\(quantization["quant_method"]?.stringValue ?? "unknown"))",
        architecture.readsMXFP4
          ? "supported are MXFP4 and unquantized weights" : "use the model's unquantized weights")
    }
  }

  /// The architecture's keys, or those of this text part.
  private var keys: [ConfigurationKey] { architecture.keys(ofTextPart: textPartType) }

  /// The text of a `config.json` that this library and transformers 5 read as this configuration.
  public func encoded() -> [UInt8] {
    let part = architecture.textPart
    var object: JSONObject = [
      "model_type": .string(textPartType ?? part?.modelTypes.first ?? architecture.modelType)
    ]
    for key in ConfigurationKey.common + keys {
      if let value = key.write(self) { object[key.name] = value }
    }
    guard part != nil else { return object.encodedBytesOfFile() }
    var whole: JSONObject = ["model_type": .string(architecture.modelType)]
    for key in ["architectures", "dtype", "tie_word_embeddings"] { whole[key] = object[key] }
    object["architectures"] = nil
    whole["text_config"] = .object(object)
    return whole.encodedBytesOfFile()
  }
}

extension JSONObject {
  /// The object as the field's programs write their files: indented, keys sorted, a final newline.
  func encodedBytesOfFile() -> [UInt8] {
    JSONValue.object(self).encodedBytes(pretty: true, sortedKeys: true) + [0x0A]
  }
}
