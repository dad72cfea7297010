import LoRAJSON

extension PEFTAdapterConfiguration {
  /// The text of an `adapter_config.json` with the fields that PEFT 0.21 writes, and those of the
  /// file that this configuration was read from.
  public func encoded() -> [UInt8] {
    var object = Self.defaults
    for (key, value) in original { object[key] = value }
    object["r"] = .integer(Int64(rank))
    object["lora_alpha"] = Self.number(alpha)
    object["lora_dropout"] = .number(dropout)
    object["target_modules"] = Self.json(targets)
    object["exclude_modules"] = excluded.map(Self.json) ?? .null
    object["use_rslora"] = .bool(usesRankStabilizedScale)
    object["rank_pattern"] = .object(
      JSONObject(rankPattern.map { ($0.key, JSONValue.integer(Int64($0.value))) }))
    object["alpha_pattern"] = .object(
      JSONObject(alphaPattern.map { ($0.key, Self.number($0.value)) }))
    object["layers_to_transform"] =
      layersToTransform.map { .array($0.map { .integer(Int64($0)) }) } ?? .null
    object["layers_pattern"] =
      layersPattern.isEmpty ? .null : .array(layersPattern.map { .string($0) })
    object["task_type"] = taskType.map { .string($0) } ?? .null
    object["base_model_name_or_path"] = baseModelName.map { .string($0) } ?? .null
    object["revision"] = revision.map { .string($0) } ?? .null
    object["inference_mode"] = .bool(isForInference)
    object["init_lora_weights"] =
      switch initialization {
      case .standard: true
      case .random: false
      case .named(let name): .string(name)
      }
    return Self.encodedKeepingOrder(object)
  }

  /// Keys sorted as PEFT does, except within the patterns, whose order decides which key counts.
  private static func encodedKeepingOrder(_ object: JSONObject) -> [UInt8] {
    let sorted = object.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let document = JSONValue.object(JSONObject(sorted.map { ($0.key, $0.value) }))
    return document.encodedBytes(pretty: true) + [0x0A]
  }

  private static func json(_ modules: Modules) -> JSONValue {
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

  private static let defaults: JSONObject = [
    "alora_invocation_tokens": nil, "alpha_pattern": [:], "arrow_config": nil, "auto_mapping": nil,
    "base_model_name_or_path": nil, "bias": "none", "corda_config": nil,
    "ensure_weight_tying": false, "eva_config": nil, "exclude_modules": nil,
    "fan_in_fan_out": false, "inference_mode": true, "init_lora_weights": true,
    "kasa_config": nil, "layer_replication": nil, "layers_pattern": nil,
    "layers_to_transform": nil, "loftq_config": [:], "lora_alpha": 8, "lora_bias": false,
    "lora_dropout": 0.0, "lora_ga_config": nil, "megatron_config": nil,
    "megatron_core": "megatron.core", "modules_to_save": nil, "monteclora_config": nil,
    "peft_type": "LORA", "peft_version": "0.21.2", "qalora_group_size": 16, "r": 8,
    "rank_pattern": [:], "revision": nil, "target_modules": nil, "target_parameters": nil,
    "task_type": nil, "trainable_token_indices": nil, "use_bdlora": nil, "use_dora": false,
    "use_qalora": false, "use_rslora": false, "velora_config": nil,
  ]
}
