import LoRAJSON

extension DefinitionReader {
  /// The component's type.
  fileprivate func type() throws(TokenizerError) -> String { try required("type").string() }

  fileprivate func unsupported(_ component: String, _ supported: String) -> TokenizerError {
    let found = value["type"]?.stringValue ?? value.kind
    return error(
      .unsupported, expected: "a \(component) of the types \(supported)", found: found,
      advice: "this tokenizer cannot be used; without the component its ids would be wrong")
  }

  /// `{"String": ...}` or `{"Regex": ...}`.
  fileprivate func pattern() throws(TokenizerError) -> TextPattern {
    if let literal = optional("String") {
      let bytes = try literal.bytes()
      guard !bytes.isEmpty else {
        throw literal.error(
          .unsupported, expected: "a string to look for", found: "an empty one",
          advice: "remove the component")
      }
      return .literal(bytes)
    }
    let expression = try required("Regex")
    return .expression(try expression.expression(try expression.string()))
  }

  fileprivate func replacementCharacter() throws(TokenizerError) -> [UInt8] {
    let character = try required("replacement").string()
    guard character.unicodeScalars.count == 1 else {
      throw at("replacement").error(
        .malformed, expected: "one character", found: "\"\(character)\"",
        advice: "correct the file")
    }
    return Array(character.utf8)
  }
}

extension AddedToken {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let isSpecial = try reader.optional("special")?.boolean() ?? false
    self.init(
      content: try reader.required("content").bytes(),
      isSingleWord: try reader.optional("single_word")?.boolean() ?? false,
      stripsLeft: try reader.optional("lstrip")?.boolean() ?? false,
      stripsRight: try reader.optional("rstrip")?.boolean() ?? false,
      isNormalized: try reader.optional("normalized")?.boolean() ?? !isSpecial,
      isSpecial: isSpecial)
  }
}

extension Normalizer {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let type = try reader.type()
    if let form = UnicodeForm(rawValue: type) {
      self = .unicode(form)
      return
    }
    switch type {
    case "Lowercase": self = .lowercase
    case "Strip":
      self = .strip(
        left: try reader.required("strip_left").boolean(),
        right: try reader.required("strip_right").boolean())
    case "Prepend": self = .prepend(try reader.required("prepend").bytes())
    case "Replace":
      self = .replace(
        try reader.required("pattern").pattern(), with: try reader.required("content").bytes())
    case "Sequence":
      var normalizers: [Normalizer] = []
      for element in try reader.required("normalizers").elements() {
        normalizers.append(try Normalizer(element))
      }
      self = .sequence(normalizers)
    default:
      throw reader.unsupported(
        "normalizer", "NFC, NFD, NFKC, NFKD, Lowercase, Strip, Prepend, Replace, Sequence")
    }
  }
}

extension PreTokenizer {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    switch try reader.type() {
    case "ByteLevel":
      let usesPattern = try reader.optional("use_regex")?.boolean() ?? true
      self = .byteLevel(
        addsPrefixSpace: try reader.required("add_prefix_space").boolean(),
        splitter: usesPattern ? try reader.expression(Self.byteLevelPattern) : nil)
    case "Split":
      let name = try reader.required("behavior").string()
      guard let behavior = Behavior(rawValue: name) else {
        throw reader.at("behavior").error(
          .malformed, expected: "the behavior of a split", found: name,
          advice: "correct the file")
      }
      self = .split(
        try reader.required("pattern").pattern(), behavior,
        isInverted: try reader.required("invert").boolean())
    case "Digits":
      self = .digits(areIndividual: try reader.required("individual_digits").boolean())
    case "Metaspace":
      let scheme = try Self.prependScheme(reader)
      self = .metaspace(
        replacement: try reader.replacementCharacter(), scheme,
        splits: try reader.optional("split")?.boolean() ?? true)
    case "Sequence":
      var steps: [PreTokenizer] = []
      for element in try reader.required("pretokenizers").elements() {
        steps.append(try PreTokenizer(element))
      }
      self = .sequence(steps)
    default:
      throw reader.unsupported(
        "pre-tokenizer", "ByteLevel, Split, Digits, Metaspace, Sequence")
    }
  }

  /// `prepend_scheme`, or what the older `add_prefix_space` stands for.
  fileprivate static func prependScheme(
    _ reader: DefinitionReader
  ) throws(TokenizerError) -> PrependScheme {
    let addsPrefixSpace = try reader.optional("add_prefix_space")?.boolean()
    guard let name = try reader.optional("prepend_scheme")?.string() else {
      return addsPrefixSpace == false ? .never : .always
    }
    guard let scheme = PrependScheme(rawValue: name), addsPrefixSpace != false || scheme == .never
    else {
      throw reader.at("prepend_scheme").error(
        .malformed, expected: "first, always or never, in accord with add_prefix_space",
        found: name, advice: "correct the file")
    }
    return scheme
  }
}

extension DecoderStage.Kind {
  /// The decoders of a definition in their order, sequences flattened.
  static func read(_ reader: DefinitionReader) throws(TokenizerError) -> [DecoderStage.Kind] {
    switch try reader.type() {
    case "ByteLevel": return [.byteLevel]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Strip":
      let content = try reader.required("content").string()
      guard content.unicodeScalars.count == 1 else {
        throw reader.at("content").error(
          .malformed, expected: "one character", found: "\"\(content)\"",
          advice: "correct the file")
      }
      return [
        .strip(
          content: Array(content.utf8), start: try reader.required("start").integer(),
          stop: try reader.required("stop").integer())
      ]
    case "Replace":
      return [
        .replace(
          try reader.required("pattern").pattern(),
          with: try reader.required("content").bytes())
      ]
    case "Metaspace":
      return [
        .metaspace(
          replacement: try reader.replacementCharacter(),
          dropsFirst: try PreTokenizer.prependScheme(reader) != .never)
      ]
    case "Sequence":
      var kinds: [DecoderStage.Kind] = []
      for element in try reader.required("decoders").elements() {
        kinds += try read(element)
      }
      return kinds
    default:
      throw reader.unsupported(
        "decoder", "ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, Sequence")
    }
  }
}

extension TokenizerDefinition {
  /// What the post-processors put round a single sequence, one template behind the other.
  static func templates(
    _ reader: DefinitionReader
  ) throws(TokenizerError) -> [[TemplatePiece]] {
    switch try reader.type() {
    case "ByteLevel":
      // It only trims offsets.
      return []
    case "Sequence":
      var templates: [[TemplatePiece]] = []
      for element in try reader.required("processors").elements() {
        templates += try self.templates(element)
      }
      return templates
    case "TemplateProcessing":
      var template: [TemplatePiece] = []
      for piece in try reader.required("single").elements() {
        if let token = piece.optional("SpecialToken") {
          let name = try token.required("id").string()
          let entry = try reader.required("special_tokens").required(name)
          var ids: [Int] = []
          for id in try entry.required("ids").elements() { ids.append(try id.integer()) }
          template.append(.tokens(ids))
        } else {
          let id = try piece.required("Sequence").required("id").string()
          guard id == "A" else {
            throw piece.error(
              .malformed, expected: "the sequence A", found: id,
              advice: "correct the template of a single sequence")
          }
          template.append(.sequence)
        }
      }
      return [template]
    default:
      throw reader.unsupported("post-processor", "TemplateProcessing, ByteLevel, Sequence")
    }
  }
}
