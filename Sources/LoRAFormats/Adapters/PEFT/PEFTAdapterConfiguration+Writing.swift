import LoRAJSON

extension PEFTAdapterConfiguration {
  /// The text of an `adapter_config.json`: of one that was read the same text's content but for
  /// what was changed; otherwise the fields that PEFT 0.21 writes.
  public func encoded() -> [UInt8] {
    var object = original
    if let before = try? Self(original, file: ""),
      before.method.peftType == method.peftType
    {
      // What means the same stays as it was written, a lone layer's index for example.
      let old = JSONObject(before.fields)
      for (key, value) in fields where value != old[key] { object[key] = value }
    } else {
      object = ["auto_mapping": nil, "peft_version": "0.21.2"]
      for (key, value) in method.options.type.silent { object[key] = value }
      for (key, value) in fields { object[key] = value }
    }
    return Self.encodedKeepingOrder(object)
  }

  /// Keys sorted as PEFT does, except within the patterns, whose order decides which key counts.
  private static func encodedKeepingOrder(_ object: JSONObject) -> [UInt8] {
    let sorted = object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let document = JSONValue.object(JSONObject(sorted.map { ($0.key, $0.value) }))
    return document.encodedBytes(pretty: true) + [0x0A]
  }

  /// What this type holds, as PEFT writes it.
  private var fields: [(String, JSONValue)] {
    var fields: [(String, JSONValue)] = [
      ("peft_type", .string(method.peftType)),
      ("target_modules", Self.json(targets)),
      ("exclude_modules", excluded.map(Self.json) ?? .null),
      ("modules_to_save", savedModules.isEmpty ? .null : Self.json(.names(savedModules))),
      ("task_type", taskType.map { .string($0) } ?? .null),
      ("base_model_name_or_path", baseModelName.map { .string($0) } ?? .null),
      ("revision", revision.map { .string($0) } ?? .null),
      ("inference_mode", .bool(isForInference)),
    ]
    let start: JSONValue =
      switch initialization {
      case .standard: true
      case .random: false
      case .named(let name): .string(name)
      }
    if !method.initializationKey.isEmpty { fields.append((method.initializationKey, start)) }
    let absent = method.options.type.absentKeys
    return (fields + rankFields + method.options.written).filter { key, value in
      !absent.contains(key) || !value.isNull
    }
  }

  private var rankFields: [(String, JSONValue)] {
    let rankField = ("r", JSONValue.integer(Int64(rank)))
    switch method.options.type.rankKeys {
    case .none: return []
    case .rank: return [rankField] + layerFields
    case .rankAndAlpha(let alphaKey):
      let ranks = rankPattern.map { ($0.key, JSONValue.integer(Int64($0.value))) }
      let alphas = alphaPattern.map { ($0.key, Self.number($0.value)) }
      return [
        rankField, (alphaKey, Self.number(alpha)), ("rank_pattern", .object(JSONObject(ranks))),
        ("alpha_pattern", .object(JSONObject(alphas))),
      ] + layerFields
    }
  }

  private var layerFields: [(String, JSONValue)] {
    [
      (
        "layers_to_transform",
        layersToTransform.map { .array($0.map { .integer(Int64($0)) }) } ?? .null
      ),
      (
        "layers_pattern",
        layersPattern.isEmpty ? .null : .array(layersPattern.map { .string($0) })
      ),
    ]
  }

  static func json(_ modules: Modules) -> JSONValue {
    switch modules {
    case .names(let names): .array(names.map { .string($0) })
    case .pattern(let text): .string(text)
    case .allLinear: "all-linear"
    case .unspecified: .null
    }
  }

  /// Whole numbers without a point, as people write alphas.
  private static func number(_ value: Double) -> JSONValue {
    if let whole = Int64(exactly: value) { return .integer(whole) }
    return .number(value)
  }
}
