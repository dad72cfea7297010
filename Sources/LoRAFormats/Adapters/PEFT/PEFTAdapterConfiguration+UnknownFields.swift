import LoRAFiles
import LoRAJSON

extension PEFTAdapterConfiguration {
  /// The fields that neither this library nor PEFT up to 0.21 knows, and that say something: a newer
  /// PEFT, or another program, may mean by them what is not done here.
  var unknownFields: [String] {
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
  private static let knownFields: Set<String> = Set(
    [
      "alpha_pattern", "auto_mapping", "base_model_name_or_path", "exclude_modules",
      "inference_mode", "layers_pattern", "layers_to_transform", "modules_to_save", "peft_type",
      "peft_version", "r", "rank_pattern", "revision", "runtime_config", "target_modules",
      "task_type",
    ] + Method.all.flatMap { $0.allKeys })
}
