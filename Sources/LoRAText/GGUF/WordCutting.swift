/// How a byte-level tokenizer cuts a text into words, by the name that GGUF files have for it.
///
/// Source: the tokenizers that the names stand for; `llama_vocab::impl::load` of llama.cpp lists
/// them.
struct WordCutting {
  /// Each cuts what the one before left.
  var patterns: [String]
  /// Whether every digit is a word of its own, before anything else.
  var cutsDigits = false
  /// Whether a word that is a token is not merged from its parts.
  var ignoresMerges = false
  /// Whether a sequence begins with its token unless the file says otherwise.
  var addsBeginning = false
  /// Whether the text is brought into Unicode's form C.
  var composes = false

  private static let llama3 =
    #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"#
    + #"|\s*[\r\n]+|\s+(?!\S)|\s+"#

  /// The names that are known.
  private static let all: [(names: [String], cutting: WordCutting)] = [
    (
      ["llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "lfm2"],
      WordCutting(patterns: [llama3], ignoresMerges: true, addsBeginning: true)
    ),
    (
      ["qwen2", "deepseek-r1-qwen", "megrez"],
      WordCutting(patterns: [TokenizerDefinition.qwen2Pattern], composes: true)
    ),
    (
      ["gpt-2", "phi-2", "mpt", "olmo"], WordCutting(patterns: [PreTokenizer.byteLevelPattern])
    ),
    (
      ["smollm", "starcoder", "refact", "command-r", "codeshell"],
      WordCutting(patterns: [PreTokenizer.byteLevelPattern], cutsDigits: true)
    ),
    (
      ["default"],
      WordCutting(patterns: [
        #"[\p{P}\$\+<=>\^~\|]+"#, PreTokenizer.byteLevelPattern, #"\p{N}+"#, "[0-9][0-9][0-9]",
      ])
    ),
  ]

  init(
    patterns: [String], cutsDigits: Bool = false, ignoresMerges: Bool = false,
    addsBeginning: Bool = false, composes: Bool = false
  ) {
    self.patterns = patterns
    self.cutsDigits = cutsDigits
    self.ignoresMerges = ignoresMerges
    self.addsBeginning = addsBeginning
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
