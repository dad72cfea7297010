/// How a byte-level tokenizer cuts a text into words, by the name that GGUF files have for it.
///
/// Source: the tokenizers that the names stand for; `llama_vocab::impl::load` of llama.cpp lists
/// them. The patterns are in `WordCutting+Names.swift`.
struct WordCutting {
  /// Each cuts what the one before left.
  var patterns: [String]
  /// Whether every digit is a word of its own, before anything else.
  var cutsDigits = false
  /// Whether a word that is a token is not merged from its parts.
  var ignoresMerges = false
  /// Whether a sequence begins with its token unless the file says otherwise.
  var addsBeginning = false
  /// Whether a sequence ends with its separator unless the file says otherwise.
  var addsSeparator = false
  /// Whether the text is brought into Unicode's form C.
  var composes = false

  init(
    patterns: [String], cutsDigits: Bool = false, ignoresMerges: Bool = false,
    addsBeginning: Bool = false, addsSeparator: Bool = false, composes: Bool = false
  ) {
    self.patterns = patterns
    self.cutsDigits = cutsDigits
    self.ignoresMerges = ignoresMerges
    self.addsBeginning = addsBeginning
    self.addsSeparator = addsSeparator
    self.composes = composes
  }

  init(named name: String?, _ reader: DefinitionReader) throws(TokenizerError) {
    guard let entry = Self.all.first(where: { $0.names.contains(name ?? "") }) else {
      let known = Self.all.flatMap(\.names).map { "'\($0)'" }.joined(separator: ", ")
      throw reader.at("pre").error(
        .unsupported, expected: "one of \(known)", found: name.map { "'\($0)'" } ?? "nothing",
        advice: "another way to cut words would give other ids")
    }
    self = entry.cutting
  }
}
