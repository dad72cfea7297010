import LoRAFiles
import LoRAFormats
import LoRAJSON
public import LoRATemplates

extension ChatTemplates {
  /// The chat templates of the model at `path`, a folder or a GGUF file, with its special tokens. No
  /// weights are read.
  ///
  /// In a folder they are, as transformers has it, `chat_template.jinja` with those in
  /// `additional_chat_templates`, otherwise the `chat_template` of `tokenizer_config.json`, one or
  /// several with names; or else `chat_template.json`. In a GGUF file they are `tokenizer.chat_template`
  /// and the ones with a name behind that.
  ///
  /// - Throws: `TemplateError` of the kind `input` if there is none, and `FormatError` for files that
  ///   are not what they should be.
  public init(path: String) throws {
    let found = try ChatTemplates(specialTokensAt: path)
    guard !found.sources.isEmpty else {
      throw TemplateError(
        .input,
        "\(path): the model has no chat template: it is a base model, or its tokenizer's files are "
          + "not all there")
    }
    self = found
  }

  /// What there is at `path`, special tokens alone too.
  package init(specialTokensAt path: String) throws {
    self =
      try PathContent(path) == .gguf
      ? try ChatTemplates(GGUFFile(path: path)) : try ChatTemplates(folder: path)
  }

  private init(folder: String) throws {
    func object(_ name: String) throws -> JSONObject {
      let path = FileSystem.join(folder, name)
      return FileSystem.exists(path) ? try FileSystem.readObject(path) : [:]
    }
    let configFile = FileSystem.join(folder, "tokenizer_config.json")
    let config = try object("tokenizer_config.json")
    var sources = try Self.files(in: folder)
    if sources.isEmpty { sources = try Self.sources(in: config, file: configFile) }
    if sources.isEmpty {
      sources = try Self.sources(
        in: try object("chat_template.json"), file: FileSystem.join(folder, "chat_template.json"))
    }
    var tokens = Self.specialTokens(in: config)
    for token in Self.specialTokens(in: try object("special_tokens_map.json"))
    where !tokens.contains(where: { $0.name == token.name }) { tokens.append(token) }
    self.init(named: sources, specialTokens: .object(tokens))
  }

  /// `chat_template.jinja` and what is in `additional_chat_templates`.
  private static func files(in folder: String) throws -> [String: String] {
    var result: [String: String] = [:]
    let main = FileSystem.join(folder, "chat_template.jinja")
    if FileSystem.exists(main) { result["default"] = try FileSystem.readText(main) }
    let further = FileSystem.join(folder, "additional_chat_templates")
    if FileSystem.isFolder(further) {
      for name in FileSystem.names(in: further) where name.hasSuffix(".jinja") {
        result[String(name.dropLast(6))] = try FileSystem.readText(FileSystem.join(further, name))
      }
    }
    return result
  }

  private init(_ file: GGUFFile) throws {
    let key = "tokenizer.chat_template"
    var sources: [String: String] = [:]
    if let source = try file.string(key) { sources["default"] = source }
    for entry in file.keyValues where entry.key.hasPrefix(key + ".") {
      sources[String(entry.key.dropFirst(key.count + 1))] = entry.value.stringValue
    }
    let tokens = file["tokenizer.ggml.tokens"]?.strings ?? []
    var special: [TemplateValue.Member] = []
    for (name, key) in [
      ("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"),
      ("pad_token", "padding"),
      ("sep_token", "seperator"), ("cls_token", "cls"), ("mask_token", "mask"),
    ] {
      let id = file["tokenizer.ggml.\(key)_token_id"]?.intValue
      if let id, tokens.indices.contains(id) {
        special.append(TemplateValue.Member(name, .string(tokens[id])))
      }
    }
    self.init(named: sources, specialTokens: .object(special))
  }
}

extension PretrainedModel {
  /// The model's chat templates, see `ChatTemplates.init(path:)`.
  public func chatTemplates() throws -> ChatTemplates { try ChatTemplates(path: path) }
}
