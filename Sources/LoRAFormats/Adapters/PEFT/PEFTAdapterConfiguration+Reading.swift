public import LoRAFiles
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
    let method = try Self.method(fields)
    try Self.refuseUnknownSwitches(fields)
    self.init(
      method: method, targets: try Self.modules(fields, "target_modules") ?? .unspecified,
      taskType: try fields.string("task_type"),
      baseModelName: try fields.string("base_model_name_or_path"))
    excluded = try Self.modules(fields, "exclude_modules")
    revision = try fields.string("revision")
    isForInference = try fields.bool("inference_mode") ?? false
    initialization = try Self.initialization(fields, method.initializationKey)
    savedModules = try Self.names(fields, "modules_to_save") ?? []
    try readRanks(fields)
    original = object
  }

  // MARK: Ranks and layers

  private mutating func readRanks(_ fields: JSONFields) throws(FormatError) {
    switch method.options.type.rankKeys {
    case .none: return
    case .rank(let fallback):
      rank = fallback
      try readRank(fields)
    case .rankAndAlpha(let alphaKey):
      try readRank(fields)
      if let alpha = try fields.double(alphaKey) {
        self.alpha = try Self.checkedAlpha(alpha, fields, alphaKey)
      }
      try readPatterns(fields)
    }
    try readLayers(fields)
  }

  private mutating func readRank(_ fields: JSONFields) throws(FormatError) {
    guard let rank = try fields.int("r") else { return }
    guard rank > 0, rank <= 1 << 20 else {
      throw fields.error(.invalidValue, "r", "expected a rank of 1 to 1048576, found \(rank)")
    }
    self.rank = rank
  }

  private mutating func readPatterns(_ fields: JSONFields) throws(FormatError) {
    if let pattern = try fields.object("rank_pattern") {
      for key in pattern.object.keys {
        try Self.checkPattern(key, pattern)
        guard let rank = try pattern.size(key), rank <= 1 << 20 else {
          throw pattern.error(.invalidValue, key, "expected a rank from 1")
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
        alphaPattern.append(
          Override(key: key, value: try Self.checkedAlpha(alpha, pattern, key)))
      }
    }
  }

  /// An alpha of 0 makes the scale 0: PEFT loads such an adapter, which then does nothing.
  private static func checkedAlpha(
    _ alpha: Double, _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> Double {
    guard alpha.isFinite else {
      throw fields.error(.invalidValue, key, "expected a finite number, found \(alpha)")
    }
    guard alpha != 0 else {
      throw fields.error(
        .invalidValue, key, "an alpha of 0 makes the scale 0: the adapter has no effect",
        "give the alpha that it was trained with; in kohya's files, not in PEFT's, 0 stands for "
          + "the rank")
    }
    return alpha
  }

  private static func checkPattern(_ key: String, _ fields: JSONFields) throws(FormatError) {
    try PathPattern.check(key, within: keyFrame, fields, key)
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
      try PathPattern.check(
        pattern, within: Self.layersFrame, fields, "layers_pattern")
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

  // MARK: Modules and initialization

  static func modules(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> Modules? {
    guard let value = fields[key] else { return nil }
    if let text = value.stringValue {
      if key == "target_modules", text == "all-linear" { return .allLinear }
      if text.isEmpty, key == "exclude_modules" { return nil }
      try PathPattern.check(text, fields, key)
      return .pattern(text)
    }
    return try names(fields, key).map { .names($0) }
  }

  private static func names(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> [String]? {
    guard let names = try fields.strings(key) else { return nil }
    if let bad = names.first(where: \.isEmpty) {
      throw fields.error(.invalidValue, key, "'\(bad)' is no module's name")
    }
    return names
  }

  private static func initialization(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> Initialization {
    guard let value = fields[key] else { return .standard }
    if let flag = value.boolValue { return flag ? .standard : .random }
    guard let name = value.stringValue else {
      throw fields.error(
        .typeMismatch, key, "expected true, false or a name, found \(value.kind)")
    }
    return .named(name)
  }
}
