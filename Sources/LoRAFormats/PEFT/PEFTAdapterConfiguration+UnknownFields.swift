import LoRAJSON

extension PEFTAdapterConfiguration {
  /// The fields that neither this library nor PEFT up to 0.21 knows, and that say something: a newer
  /// PEFT, or another program, may mean by them what is not done here.
  public var unknownFields: [String] {
    original.filter { key, value in
      !Self.knownFields.contains(key) && !Self.isSilent(value)
    }.map(\.key).sorted()
  }

  /// What to tell about them; nil if there are none.
  package var noteOfUnknownFields: AdapterNote? {
    let fields = unknownFields
    guard !fields.isEmpty else { return nil }
    return AdapterNote(
      text: "\(Self.fileName) has fields that are not known here and are ignored, as PEFT ignores "
        + "what it does not know: \(listed(fields)); a newer program may mean another function")
  }

  /// Throws for an unknown switch that is on: switches change what is computed.
  static func refuseUnknownSwitches(_ fields: JSONFields) throws(FormatError) {
    for (key, value) in fields.object
    where key.hasPrefix("use_") && value.boolValue == true && !knownFields.contains(key) {
      throw fields.error(
        .unsupported, key,
        "this switch is not known here, and it is on: the adapter may compute something else",
        "a newer PEFT wrote it: save the adapter without, or remove the field if it has no effect")
    }
  }

  /// Whether a value says no more than the absence of its field.
  private static func isSilent(_ value: JSONValue) -> Bool {
    value.isNull || value.boolValue == false || value.stringValue == ""
      || value.arrayValue?.isEmpty ?? false || value.objectValue?.isEmpty ?? false
  }

  /// The fields of PEFT 0.2 to 0.21 for the methods that are read here, those that its predecessors
  /// wrote, and what other programs add that says nothing of the arithmetic.
  private static let knownFields: Set<String> = [
    "alora_invocation_tokens", "alpha", "alpha_pattern", "arrow_config", "auto_mapping",
    "base_model_name_or_path", "bias", "corda_config", "decompose_both", "decompose_factor",
    "enable_lora", "ensure_weight_tying", "eva_config", "exclude_modules", "fan_in_fan_out",
    "feedforward_modules", "inference_mode", "init_ia3_weights", "init_lora_weights",
    "init_weights", "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform",
    "loftq_config", "lora_alpha", "lora_bias", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "merge_weights", "module_dropout", "modules_to_save",
    "monteclora_config", "peft_type", "peft_version", "qalora_group_size", "r", "rank_dropout",
    "rank_dropout_scale", "rank_pattern", "revision", "runtime_config", "target_modules",
    "target_parameters", "task_type", "trainable_token_indices", "use_bdlora", "use_dora",
    "use_effective_conv2d", "use_qalora", "use_rslora", "velora_config",
    // ms-swift's, for training alone.
    "lora_dtype", "lorap_emb_lr", "lorap_lr_ratio",
  ]
}
