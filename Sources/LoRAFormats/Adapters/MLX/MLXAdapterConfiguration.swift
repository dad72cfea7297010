package import LoRAFiles
package import LoRAJSON

/// mlx-lm's `adapter_config.json`.
///
/// ```swift
/// let configuration = MLXAdapterConfiguration(rank: 8, scale: 10)
/// String(decoding: configuration.encoded(), as: UTF8.self)
/// // {"fine_tune_type": "lora", "lora_parameters": {"dropout": 0.0, "rank": 8, "scale": 10.0}, ...
/// ```
///
/// Fields that this type does not hold, mostly of the training run, are kept and written again.
package struct MLXAdapterConfiguration: Sendable, Hashable {
  /// `fine_tune_type`, as far as it is supported.
  package enum Method: String, Sendable, Hashable {
    /// Low-rank factors.
    case lora
    /// Low-rank factors and magnitudes.
    case dora
  }

  /// The method.
  package var method: Method
  /// `num_layers`: how many of the last blocks mlx-lm prepares; -1 for all.
  package var blockCount: Int
  /// The rank of every layer.
  package var rank: Int
  /// What the product of the factors is multiplied by: absolute, not divided by the rank.
  package var scale: Double
  /// The probability of dropping an input of the factors while training.
  package var dropout: Double
  /// Which layers mlx-lm prepares: paths within a block, or whole paths; nil for its default.
  package var keys: [String]?

  /// The object as it was read, for the fields that this type does not hold.
  package var original: JSONObject = [:]

  static let fileName = "adapter_config.json"

  /// The name of the model that was trained, `model`, or PEFT's field for it where a converter wrote
  /// that; nil if the file does not say.
  package var baseModelName: String? {
    get {
      ["model", "base_model_name_or_path"].lazy.compactMap { original[$0]?.stringValue }
        .first { !$0.isEmpty }
    }
    set { original["model"] = newValue.map { .string($0) } }
  }

  /// What to tell about a scale that mlx-lm's versions read differently; nil if they agree.
  var noteOfScale: AdapterNote? {
    guard original["use_dora"] == nil, original["fine_tune_type"] == nil,
      let alpha = original["lora_parameters"]?.objectValue?["alpha"]?.doubleValue
    else { return nil }
    let older = scale * alpha / Double(rank)
    guard older != scale else { return nil }
    return AdapterNote(
      text: "read with the scale \(scale), as mlx-lm does from 0.14 on; before, it multiplied by "
        + "'alpha' / 'rank' too, which makes \(older): if the adapter is from then, set 'scale' to "
        + "that and remove 'alpha'")
  }

  /// Creates a configuration.
  package init(
    method: Method = .lora, blockCount: Int = -1, rank: Int, scale: Double, dropout: Double = 0,
    keys: [String]? = nil
  ) {
    self.method = method
    self.blockCount = blockCount
    self.rank = rank
    self.scale = scale
    self.dropout = dropout
    self.keys = keys
  }

  /// Reads the text of the file; `file` is for errors.
  package init(parsing bytes: [UInt8], file: String = "adapter_config.json") throws(FormatError) {
    try self.init(try FileSystem.object(parsing: bytes, file: file), file: file)
  }

  /// Reads the object in the file.
  package init(_ object: JSONObject, file: String) throws(FormatError) {
    let fields = JSONFields(object: object, file: file)
    var name = try fields.string("fine_tune_type") ?? "lora"
    // mlx-lm 0.16 to 0.18 had a switch instead.
    if fields["fine_tune_type"] == nil, try fields.bool("use_dora") ?? false { name = "dora" }
    guard let method = Method(rawValue: name) else {
      throw fields.error(
        .unsupported, "fine_tune_type",
        name == "full"
          ? "this is a whole fine-tuned model, not an adapter" : "'\(name)' is not supported",
        name == "full"
          ? "merge it in mlx-lm (mlx_lm.fuse) and open the result as a model"
          : "supported are 'lora' and 'dora'")
    }
    guard let parameters = try fields.object("lora_parameters") else {
      throw fields.error(
        .missingKey, "lora_parameters", "it is missing, and with it the scale",
        "add {\"rank\": r, \"scale\": s, \"dropout\": 0.0} as in the training run")
    }
    guard let rank = try parameters.size("rank"), rank <= 1 << 20 else {
      throw parameters.error(.missingKey, "rank", "expected a rank from 1")
    }
    guard let scale = try parameters.double("scale") else {
      throw parameters.error(
        .missingKey, "scale", "it is missing: what the factors' product is multiplied by",
        "add the scale of the training run; mlx-lm's default was 20.0, before that 10.0")
    }
    guard scale.isFinite else {
      throw parameters.error(.invalidValue, "scale", "\(scale) is not a finite number")
    }
    let dropout = try parameters.double("dropout") ?? 0
    guard (0..<1).contains(dropout) else {
      throw parameters.error(
        .invalidValue, "dropout", "expected from 0 to below 1, found \(dropout)")
    }
    // Older files say lora_layers.
    var blocks = try fields.int("num_layers")
    if blocks == nil { blocks = try fields.int("lora_layers") }
    self.init(
      method: method, blockCount: blocks ?? -1, rank: rank, scale: scale, dropout: dropout,
      keys: try parameters.strings("keys"))
    original = object
  }

  /// The text of the file: keys sorted, four spaces, as mlx-lm writes it.
  package func encoded() -> [UInt8] {
    var object = original
    object["fine_tune_type"] = .string(method.rawValue)
    if object["num_layers"] != nil || object["lora_layers"] == nil {
      object["num_layers"] = .integer(Int64(blockCount))
    } else {
      object["lora_layers"] = .integer(Int64(blockCount))
    }
    var parameters = object["lora_parameters"]?.objectValue ?? [:]
    parameters["rank"] = .integer(Int64(rank))
    parameters["scale"] = .number(scale)
    parameters["dropout"] = .number(dropout)
    parameters["keys"] = keys.map { .array($0.map { .string($0) }) }
    object["lora_parameters"] = .object(parameters)
    return JSONValue.object(object).encodedBytes(pretty: true, sortedKeys: true) + [0x0A]
  }
}
