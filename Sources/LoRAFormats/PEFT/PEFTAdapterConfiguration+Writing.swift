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
      object = Self.defaults(of: method)
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
    fields.append((method.initializationKey, start))
    if let alphaKey = method.alphaKey { fields += rankFields(alphaKey) }
    return fields + methodFields
  }

  private func rankFields(_ alphaKey: String) -> [(String, JSONValue)] {
    [
      ("r", .integer(Int64(rank))),
      (alphaKey, Self.number(alpha)),
      (
        "rank_pattern",
        .object(JSONObject(rankPattern.map { ($0.key, JSONValue.integer(Int64($0.value))) }))
      ),
      (
        "alpha_pattern",
        .object(JSONObject(alphaPattern.map { ($0.key, Self.number($0.value)) }))
      ),
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

  private var methodFields: [(String, JSONValue)] {
    switch method {
    case .lora(let options):
      [
        ("lora_dropout", .number(options.dropout)),
        ("use_rslora", .bool(options.usesRankStabilizedScale)),
        ("use_dora", .bool(options.isDoRA)),
        ("fan_in_fan_out", .bool(options.hasTransposedBase)),
        ("bias", .string(options.biases.rawValue)),
        ("lora_bias", .bool(options.hasFactorBias)),
        ("trainable_token_indices", Self.json(options.trainedTokens)),
        ("ensure_weight_tying", .bool(options.keepsWeightsTied)),
      ]
    case .loha(let options):
      [
        ("rank_dropout", .number(options.rankDropout)),
        ("module_dropout", .number(options.moduleDropout)),
        ("use_effective_conv2d", .bool(options.usesTuckerForm)),
      ]
    case .lokr(let options):
      [
        ("rank_dropout", .number(options.rankDropout)),
        ("module_dropout", .number(options.moduleDropout)),
        ("rank_dropout_scale", .bool(options.scalesRankDropout)),
        ("use_effective_conv2d", .bool(options.usesTuckerForm)),
        ("decompose_both", .bool(options.decomposesBoth)),
        ("decompose_factor", .integer(Int64(options.factor))),
      ]
    case .ia3(let options):
      [
        ("feedforward_modules", Self.json(options.feedForward)),
        ("fan_in_fan_out", .bool(options.hasTransposedBase)),
      ]
    }
  }

  private static func json(_ modules: Modules) -> JSONValue {
    switch modules {
    case .names(let names): .array(names.map { .string($0) })
    case .pattern(let text): .string(text)
    case .allLinear: "all-linear"
    case .unspecified: .null
    }
  }

  private static func json(_ tokens: LoRA.TrainedTokens?) -> JSONValue {
    func list(_ ids: [Int]) -> JSONValue { .array(ids.map { .integer(Int64($0)) }) }
    switch tokens {
    case nil: return .null
    case .ofInput(let ids): return list(ids)
    case .byModule(let modules):
      return .object(JSONObject(modules.map { ($0.key, list($0.value)) }))
    }
  }

  /// Whole numbers without a point, as people write alphas.
  private static func number(_ value: Double) -> JSONValue {
    if let whole = Int64(exactly: value) { return .integer(whole) }
    return .number(value)
  }

  /// The fields that PEFT 0.21 writes beside those of ``fields``.
  private static func defaults(of method: Method) -> JSONObject {
    switch method {
    case .lora:
      [
        "alora_invocation_tokens": nil, "arrow_config": nil, "auto_mapping": nil,
        "corda_config": nil, "eva_config": nil, "kasa_config": nil, "layer_replication": nil,
        "loftq_config": [:], "lora_ga_config": nil, "megatron_config": nil,
        "megatron_core": "megatron.core", "monteclora_config": nil, "peft_version": "0.21.2",
        "qalora_group_size": 16, "target_parameters": nil, "use_bdlora": nil, "use_qalora": false,
        "velora_config": nil,
      ]
    case .loha, .lokr, .ia3: ["auto_mapping": nil, "peft_version": "0.21.2"]
    }
  }
}
