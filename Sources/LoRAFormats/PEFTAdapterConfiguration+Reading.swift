package import LoRAJSON

extension PEFTAdapterConfiguration {
  static let fileName = "adapter_config.json"

  /// Reads the text of an `adapter_config.json`; `file` is for errors.
  public init(parsing bytes: [UInt8], file: String = "adapter_config.json") throws(FormatError) {
    try self.init(try FileSystem.object(parsing: bytes, file: file), file: file)
  }

  /// Reads the file at `path`, an `adapter_config.json`.
  public init(path: String) throws(FormatError) {
    try self.init(try FileSystem.readObject(path), file: path)
  }

  /// Reads the object in an `adapter_config.json`.
  package init(_ object: JSONObject, file: String) throws(FormatError) {
    let fields = JSONFields(object: object, file: file)
    try Self.checkType(fields)
    try Self.refuseUnsupported(fields)
    let initialization = try Self.initialization(fields)
    let targets = try Self.modules(fields, "target_modules")
    self.init(
      rank: try Self.rank(fields), alpha: try fields.double("lora_alpha") ?? 8,
      dropout: try fields.double("lora_dropout") ?? 0, targets: targets ?? .unspecified,
      usesRankStabilizedScale: try fields.bool("use_rslora") ?? false,
      taskType: try fields.string("task_type"),
      baseModelName: try fields.string("base_model_name_or_path"))
    self.initialization = initialization
    excluded = try Self.modules(fields, "exclude_modules")
    revision = try fields.string("revision")
    isForInference = try fields.bool("inference_mode") ?? false
    guard (0..<1).contains(dropout) else {
      throw fields.error(
        .invalidValue, "lora_dropout", "expected from 0 to below 1, found \(dropout)")
    }
    if let pattern = try fields.object("rank_pattern") {
      for key in pattern.object.keys {
        try Self.checkPattern(key, pattern)
        guard let rank = try pattern.size(key) else {
          throw pattern.error(.typeMismatch, key, "expected a rank, found null")
        }
        rankPattern.append(Override(key: key, value: rank))
      }
    }
    if let pattern = try fields.object("alpha_pattern") {
      for key in pattern.object.keys {
        try Self.checkPattern(key, pattern)
        guard let alpha = try pattern.double(key) else {
          throw pattern.error(.typeMismatch, key, "expected a number, found null")
        }
        alphaPattern.append(Override(key: key, value: alpha))
      }
    }
    try readLayers(fields)
    original = object
  }

  private static func checkType(_ fields: JSONFields) throws(FormatError) {
    guard let type = try fields.string("peft_type") else {
      let isMLX = fields["fine_tune_type"] != nil || fields["lora_parameters"] != nil
      throw fields.error(
        isMLX ? .unsupported : .missingKey, "peft_type",
        isMLX
          ? "this is an adapter of MLX, not of PEFT" : "the file does not say which method it is",
        "give an adapter folder that PEFT or this library has written")
    }
    guard type == "LORA" else {
      throw fields.error(
        .unsupported, "peft_type", "adapters of type '\(type)' are not supported",
        "supported is 'LORA'")
    }
  }

  private static func rank(_ fields: JSONFields) throws(FormatError) -> Int {
    guard let rank = try fields.int("r") else { return 8 }
    guard rank > 0, rank <= 1 << 20 else {
      throw fields.error(.invalidValue, "r", "expected a rank from 1, found \(rank)")
    }
    return rank
  }

  /// Fields whose presence changes the function or the tensors, each with the values that do not.
  private static let mustBeDefault: [(key: String, isDefault: @Sendable (JSONValue) -> Bool)] = {
    let isFalse: @Sendable (JSONValue) -> Bool = { $0.boolValue == false }
    let isEmpty: @Sendable (JSONValue) -> Bool = { value in
      value.arrayValue?.isEmpty ?? value.objectValue?.isEmpty ?? false
    }
    let none: @Sendable (JSONValue) -> Bool = { _ in false }
    return [
      ("use_dora", isFalse), ("fan_in_fan_out", isFalse), ("lora_bias", isFalse),
      ("use_qalora", isFalse), ("bias", { $0.stringValue == "none" }),
      ("modules_to_save", isEmpty), ("layer_replication", isEmpty),
      ("trainable_token_indices", isEmpty), ("target_parameters", isEmpty),
      ("alora_invocation_tokens", none), ("megatron_config", isEmpty), ("use_bdlora", none),
      ("arrow_config", none), ("kasa_config", none), ("monteclora_config", none),
    ]
  }()

  private static func refuseUnsupported(_ fields: JSONFields) throws(FormatError) {
    for (key, isDefault) in mustBeDefault {
      guard let value = fields[key], !isDefault(value) else { continue }
      let shown = value.encoded()
      throw fields.error(
        .unsupported, key,
        "\(shown.utf8.count <= 60 ? shown : value.kind) changes what the adapter computes, "
          + "and is not supported",
        "train or save the adapter without it")
    }
  }

  private static func initialization(
    _ fields: JSONFields
  ) throws(FormatError) -> Initialization {
    let key = "init_lora_weights"
    guard let value = fields[key] else { return .standard }
    if let flag = value.boolValue { return flag ? .standard : .random }
    guard let name = value.stringValue else {
      throw fields.error(
        .typeMismatch, key, "expected true, false or a name, found \(value.kind)")
    }
    let changesBase =
      name.hasPrefix("pissa") || ["olora", "corda", "loftq", "lora_ga"].contains(name)
    guard !changesBase else {
      throw fields.error(
        .unsupported, key, "'\(name)' changes the base model's weights, and is not supported",
        "save it in PEFT with path_initial_model_for_weight_conversion, which makes it plain LoRA")
    }
    return .named(name)
  }

  private static func modules(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> Modules? {
    guard let value = fields[key] else { return nil }
    if let text = value.stringValue {
      if key == "target_modules", text == "all-linear" { return .allLinear }
      if text.isEmpty, key == "exclude_modules" { return nil }
      return .pattern(try PathPattern(text, fields, key).text)
    }
    guard let names = try fields.strings(key) else { return nil }
    if let bad = names.first(where: \.isEmpty) {
      throw fields.error(.invalidValue, key, "'\(bad)' is no module's name")
    }
    return .names(names)
  }

  private static func checkPattern(_ key: String, _ fields: JSONFields) throws(FormatError) {
    _ = try PathPattern(#"(.*\.)?(\#(key))$"#, fields, key)
  }

  private mutating func readLayers(_ fields: JSONFields) throws(FormatError) {
    layersToTransform = try fields.ints("layers_to_transform")
    if let bad = layersToTransform?.first(where: { $0 < 0 }) {
      throw fields.error(.invalidValue, "layers_to_transform", "\(bad) is no layer's index")
    }
    if let single = fields["layers_pattern"]?.stringValue {
      layersPattern = single.isEmpty ? [] : [single]
    } else {
      layersPattern = try fields.strings("layers_pattern") ?? []
    }
    for pattern in layersPattern {
      _ = try PathPattern(#"(?:^|.*?\.)\#(pattern)\.(?P<idx>\d+)\."#, fields, "layers_pattern")
    }
    let isList = if case .names = targets { true } else { false }
    if layersToTransform != nil, !isList {
      throw fields.error(
        .invalidValue, "layers_to_transform", "it needs 'target_modules' to be a list of names")
    }
    if !layersPattern.isEmpty, layersToTransform == nil {
      throw fields.error(
        .invalidValue, "layers_pattern", "it needs 'layers_to_transform', which is absent")
    }
  }
}
