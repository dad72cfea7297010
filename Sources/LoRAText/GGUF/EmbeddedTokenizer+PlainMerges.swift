// Gemma 4's tokenizer in a GGUF file: merges over plain text, in which "\u{2581}" stands for spaces, and
// bytes of what has no token.

extension TokenizerDefinition {
  /// No merge crosses the end of a line.
  static let lines = #"[^\n]+|\n+"#

  init(
    plainMerges fields: EmbeddedTokenizer, _ vocabulary: Vocabulary, _ reader: DefinitionReader
  ) throws(TokenizerError) {
    model = BytePairModel(
      vocabulary: vocabulary, merges: try Self.merges(fields, vocabulary, reader),
      unknown: Int32(fields.unknown ?? -1), fusesUnknown: true, fallsBackToBytes: true,
      ignoresMerges: false, continuingPrefix: [], endSuffix: [])
    let space = Array("\u{2581}".utf8)
    normalizer = .replace(.literal([0x20]), with: space)
    preTokenizer = .split(
      .expression(try reader.expression(Self.lines)), .isolated, isInverted: false)
    decoders = [.replace(.literal(space), with: [0x20]), .byteFallback, .fuse]
    // A text always begins with its token; older files say that it does not, as llama.cpp knows.
    templates = Self.template(
      fields, addsBeginning: true, addsEnd: fields.addsEnd ?? false)
  }
}
