extension PreTokenizer {
  init(_ reader: DefinitionReader) throws(TokenizerError) {
    switch try reader.type() {
    case "ByteLevel":
      let usesPattern = try reader.optional("use_regex")?.boolean() ?? true
      self = .byteLevel(
        addsPrefixSpace: try reader.required("add_prefix_space").boolean(),
        splitter: usesPattern ? try reader.expression(Self.byteLevelPattern) : nil)
    case "Split":
      self = .split(
        try reader.required("pattern").pattern(), try Self.behavior(reader.required("behavior")),
        isInverted: try reader.required("invert").boolean())
    case "Digits":
      self = .digits(areIndividual: try reader.required("individual_digits").boolean())
    case "WhitespaceSplit": self = .whitespaceSplit
    case "Whitespace": self = .whitespace
    case "Punctuation":
      self = .punctuation(try reader.optional("behavior").map(Self.behavior) ?? .isolated)
    case "BertPreTokenizer": self = .bert
    case "CharDelimiterSplit":
      let delimiter = try reader.required("delimiter").string()
      guard delimiter.unicodeScalars.count == 1 else {
        throw reader.at("delimiter").error(
          .malformed, expected: "one character", found: "\"\(delimiter)\"",
          advice: "correct the file")
      }
      self = .split(.literal(Array(delimiter.utf8)), .removed, isInverted: false)
    case "Metaspace":
      let scheme = try Self.prependScheme(reader)
      self = .metaspace(
        replacement: try reader.replacementCharacter(), scheme,
        splits: try reader.optional("split")?.boolean() ?? true)
    case "UnicodeScripts": self = .scripts
    case "FixedLength":
      let length = try reader.optional("length")?.integer() ?? 5
      guard length > 0 else {
        throw reader.at("length").error(
          .malformed, expected: "a length above 0", found: "0", advice: "correct the file")
      }
      self = .length(length)
    case "Sequence":
      var steps: [PreTokenizer] = []
      for element in try reader.required("pretokenizers").elements() {
        steps.append(try PreTokenizer(element))
      }
      self = .sequence(steps)
    default:
      throw reader.unsupported(
        "pre-tokenizer",
        "ByteLevel, Split, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation, "
          + "BertPreTokenizer, CharDelimiterSplit, UnicodeScripts, FixedLength, Sequence")
    }
  }

  private static func behavior(_ reader: DefinitionReader) throws(TokenizerError) -> Behavior {
    let name = try reader.string()
    guard let behavior = Behavior(rawValue: name) else {
      throw reader.error(
        .malformed, expected: "the behavior of a split", found: name, advice: "correct the file")
    }
    return behavior
  }

  /// `prepend_scheme`, or what the older `add_prefix_space` stands for.
  static func prependScheme(
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
