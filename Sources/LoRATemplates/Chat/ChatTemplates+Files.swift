package import LoRAJSON

extension ChatTemplates {
  /// The named special tokens of a tokenizer, which templates have as variables.
  private static let tokenNames = [
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
  ]

  /// The special tokens that a `tokenizer_config.json` or a `special_tokens_map.json` names, those of
  /// the model's own kind (`image_token`) too.
  package static func specialTokens(in config: JSONObject) -> [TemplateValue.Member] {
    let named = tokenNames.map { ($0, config[$0]) }
    let own =
      config["extra_special_tokens"]?.objectValue?.map { ($0.key, Optional($0.value)) } ?? []
    return (named + own).compactMap { name, value in
      let token = value?.stringValue ?? value?["content"]?.stringValue
      return token.map { TemplateValue.Member(name, .string($0)) }
    }
  }

  /// The templates in the `chat_template` of a configuration: a text, or a list of objects with `name`
  /// and `template`. Empty if it has none.
  package static func sources(
    in config: JSONObject, file: String
  ) throws(TemplateError) -> [String: String] {
    guard let value = config["chat_template"], !value.isNull else { return [:] }
    if let source = value.stringValue { return ["default": source] }
    var result: [String: String] = [:]
    guard let entries = value.arrayValue else {
      throw malformed(file, "found \(value.kind)")
    }
    for entry in entries {
      guard let name = entry["name"]?.stringValue, let source = entry["template"]?.stringValue
      else {
        throw malformed(file, "an entry has no \"name\" and \"template\" that are texts")
      }
      result[name] = source
    }
    return result
  }

  private static func malformed(_ file: String, _ found: String) -> TemplateError {
    TemplateError(
      .input,
      "\(file): expected a text as \"chat_template\", or a list of objects with \"name\" and "
        + "\"template\"; \(found)")
  }
}
