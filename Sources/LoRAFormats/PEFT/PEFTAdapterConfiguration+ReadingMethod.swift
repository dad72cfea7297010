import LoRAJSON

extension PEFTAdapterConfiguration.Method {
  /// The key that says how the factors start.
  var initializationKey: String {
    switch self {
    case .lora: "init_lora_weights"
    case .loha, .lokr: "init_weights"
    case .ia3: "init_ia3_weights"
    }
  }

  /// The key of alpha; nil for a method without rank and alpha.
  var alphaKey: String? {
    switch self {
    case .lora: "lora_alpha"
    case .loha, .lokr: "alpha"
    case .ia3: nil
    }
  }
}

extension PEFTAdapterConfiguration {
  /// The method that `peft_type` names, with its own fields.
  static func method(_ fields: JSONFields) throws(FormatError) -> Method {
    guard let type = try fields.string("peft_type") else {
      let isMLX = fields["fine_tune_type"] != nil || fields["lora_parameters"] != nil
      throw fields.error(
        isMLX ? .unsupported : .missingKey, "peft_type",
        isMLX
          ? "this is an adapter of MLX, not of PEFT" : "the file does not say which method it is",
        "give an adapter folder that PEFT or this library has written")
    }
    switch type {
    case "LORA": return .lora(try loraOptions(fields))
    case "LOHA":
      return .loha(
        LoHa(
          rankDropout: try probability(fields, "rank_dropout"),
          moduleDropout: try probability(fields, "module_dropout"),
          usesTuckerForm: try fields.bool("use_effective_conv2d") ?? false))
    case "LOKR":
      return .lokr(
        LoKr(
          rankDropout: try probability(fields, "rank_dropout"),
          moduleDropout: try probability(fields, "module_dropout"),
          scalesRankDropout: try fields.bool("rank_dropout_scale") ?? false,
          usesTuckerForm: try fields.bool("use_effective_conv2d") ?? false,
          decomposesBoth: try fields.bool("decompose_both") ?? false,
          factor: try fields.int("decompose_factor") ?? -1))
    case "IA3":
      return .ia3(
        IA3(
          feedForward: try modules(fields, "feedforward_modules") ?? .unspecified,
          hasTransposedBase: try fields.bool("fan_in_fan_out") ?? false))
    default:
      throw fields.error(
        .unsupported, "peft_type", "adapters of type '\(type)' are not supported",
        "supported are \(listed(Method.supported))")
    }
  }

  private static func probability(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> Double {
    guard let value = try fields.double(key) else { return 0 }
    guard (0..<1).contains(value) else {
      throw fields.error(.invalidValue, key, "expected from 0 to below 1, found \(value)")
    }
    return value
  }

  private static func loraOptions(_ fields: JSONFields) throws(FormatError) -> LoRA {
    try refuseUnsupported(fields)
    var options = LoRA(
      dropout: try probability(fields, "lora_dropout"),
      usesRankStabilizedScale: try fields.bool("use_rslora") ?? false,
      isDoRA: try fields.bool("use_dora") ?? false,
      hasTransposedBase: try fields.bool("fan_in_fan_out") ?? false,
      hasFactorBias: try fields.bool("lora_bias") ?? false,
      trainedTokens: try trainedTokens(fields),
      keepsWeightsTied: try fields.bool("ensure_weight_tying") ?? false)
    if let text = try fields.string("bias") {
      guard let biases = LoRA.Biases(rawValue: text) else {
        throw fields.error(
          .invalidValue, "bias", "expected 'none', 'lora_only' or 'all', found '\(text)'")
      }
      options.biases = biases
    }
    guard !(options.hasFactorBias && options.isDoRA) else {
      throw fields.error(
        .invalidValue, "lora_bias", "PEFT knows no bias of factors under 'use_dora'")
    }
    return options
  }

  /// Fields whose presence changes the function or the tensors, with the values that do not, and
  /// what they ask for.
  private static let mustBeDefault:
    [(key: String, isDefault: @Sendable (JSONValue) -> Bool, meaning: String)] = {
      let isFalse: @Sendable (JSONValue) -> Bool = { $0.boolValue == false }
      let isEmpty: @Sendable (JSONValue) -> Bool = { value in
        value.arrayValue?.isEmpty ?? value.objectValue?.isEmpty ?? false
      }
      let none: @Sendable (JSONValue) -> Bool = { _ in false }
      return [
        ("layer_replication", isEmpty, "layers of the base would have to be stacked anew"),
        ("target_parameters", isEmpty, "it addresses raw parameters, such as those of experts"),
        ("enable_lora", none, "parts of fused layers have factors of their own (before PEFT 0.3)"),
        ("use_qalora", isFalse, "inputs are pooled in groups (QA-LoRA)"),
        ("alora_invocation_tokens", none, "it applies from certain tokens on (aLoRA)"),
        ("megatron_config", isEmpty, "it is made for Megatron's parallel layers"),
        ("use_bdlora", none, "factors are block-diagonal (BD-LoRA)"),
        ("arrow_config", none, "adapters are chosen token by token (Arrow)"),
        ("kasa_config", none, "the base is truncated and singular values are added (KaSA)"),
        ("monteclora_config", none, "factors are sampled (MonteCLoRA)"),
      ]
    }()

  private static func refuseUnsupported(_ fields: JSONFields) throws(FormatError) {
    for (key, isDefault, meaning) in mustBeDefault {
      guard let value = fields[key], !isDefault(value) else { continue }
      let shown = value.encoded()
      throw fields.error(
        .unsupported, key,
        "\(shown.utf8.count <= 60 ? shown : value.kind) changes what the adapter computes, "
          + "and is not supported: \(meaning)",
        "train or save the adapter without it")
    }
  }

  private static func trainedTokens(
    _ fields: JSONFields
  ) throws(FormatError) -> LoRA.TrainedTokens? {
    let key = "trainable_token_indices"
    guard let value = fields[key] else { return nil }
    guard value.objectValue != nil else {
      let ids = try distinctIDs(fields, key)
      return ids.isEmpty ? nil : .ofInput(ids)
    }
    guard let modules = try fields.object(key) else { return nil }
    var result: [Override<[Int]>] = []
    for name in modules.object.keys {
      guard !name.isEmpty else { throw fields.error(.invalidValue, key, "'' is no module's name") }
      result.append(Override(key: name, value: try distinctIDs(modules, name)))
    }
    return result.isEmpty ? nil : .byModule(result)
  }

  private static func distinctIDs(
    _ fields: JSONFields, _ key: String
  ) throws(FormatError) -> [Int] {
    let ids = try fields.tokenIDs(key)
    var seen: Set<Int> = []
    if let twice = ids.first(where: { !seen.insert($0).inserted }) {
      throw fields.error(.duplicate, key, "the token \(twice) is listed twice")
    }
    return ids
  }
}
