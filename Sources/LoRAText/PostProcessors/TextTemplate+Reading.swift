extension OffsetTrim {
  /// How the post-processors change offsets.
  static func read(_ reader: DefinitionReader) throws(TokenizerError) -> [OffsetTrim] {
    switch try reader.type() {
    case "Sequence":
      var trims: [OffsetTrim] = []
      for element in try reader.required("processors").elements() { trims += try read(element) }
      return trims
    case "ByteLevel", "RobertaProcessing":
      guard try reader.optional("trim_offsets")?.boolean() ?? true else { return [] }
      return [
        OffsetTrim(
          keepsPrefixSpace: try reader.optional("add_prefix_space")?.boolean() ?? true)
      ]
    default: return []
    }
  }
}

extension TextTemplate {
  /// What the post-processors put round texts, one template behind the other.
  static func read(_ reader: DefinitionReader) throws(TokenizerError) -> [TextTemplate] {
    switch try reader.type() {
    case "ByteLevel":
      // It only trims offsets.
      return []
    case "Sequence":
      var templates: [TextTemplate] = []
      for element in try reader.required("processors").elements() {
        templates += try read(element)
      }
      return templates
    case "TemplateProcessing":
      let single = try pieces(reader, "single", texts: ["A"])
      // A file may have no pairs, which then are as without a template.
      let pair =
        reader.optional("pair") == nil ? none.pair : try pieces(reader, "pair", texts: ["A", "B"])
      return [TextTemplate(single: single, pair: pair)]
    case "BertProcessing":
      return [bert(first: try token(reader, "cls"), separator: try token(reader, "sep"))]
    case "RobertaProcessing":
      return [roberta(first: try token(reader, "cls"), separator: try token(reader, "sep"))]
    default:
      throw reader.unsupported(
        "post-processor",
        "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence")
    }
  }

  private static func pieces(
    _ reader: DefinitionReader, _ key: String, texts: [String]
  ) throws(TokenizerError) -> [TemplatePiece] {
    var template: [TemplatePiece] = []
    for piece in try reader.required(key).elements() {
      if let token = piece.optional("SpecialToken") {
        let name = try token.required("id").string()
        let entry = try reader.required("special_tokens").required(name)
        var ids: [Int] = []
        for id in try entry.required("ids").elements() { ids.append(try id.integer()) }
        template.append(.tokens(ids, type: try token.optional("type_id")?.integer() ?? 0))
      } else {
        let sequence = try piece.required("Sequence")
        let name = try sequence.required("id").string()
        guard let text = texts.firstIndex(of: name) else {
          throw piece.error(
            .malformed, expected: "the sequence \(texts.joined(separator: " or "))", found: name,
            advice: "correct the template")
        }
        template.append(.text(text, type: try sequence.optional("type_id")?.integer() ?? 0))
      }
    }
    return template
  }

  /// The id of `["[SEP]", 102]`.
  private static func token(
    _ reader: DefinitionReader, _ key: String
  ) throws(TokenizerError) -> Int {
    let pair = try reader.required(key).elements()
    guard pair.count == 2 else {
      throw reader.at(key).error(
        .malformed, expected: "a token and its id", found: "\(pair.count) values",
        advice: "correct the file")
    }
    return try pair[1].integer()
  }
}
