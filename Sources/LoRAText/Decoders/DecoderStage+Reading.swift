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
    case "WordPiece":
      return [
        .wordPiece(
          prefix: try reader.required("prefix").bytes(),
          cleansUp: try reader.optional("cleanup")?.boolean() ?? true)
      ]
    case "BPEDecoder":
      let suffix = try reader.required("suffix").bytes()
      guard !suffix.isEmpty else {
        throw reader.at("suffix").error(
          .unsupported, expected: "what words end with", found: "an empty string",
          advice: "remove the component")
      }
      return [.wordEnds(suffix: suffix)]
    case "CTC":
      let pad = try reader.required("pad_token").bytes()
      let delimiter = try reader.required("word_delimiter_token").bytes()
      guard !pad.isEmpty, !delimiter.isEmpty else {
        throw reader.error(
          .unsupported, expected: "tokens for pads and between words", found: "an empty string",
          advice: "name both")
      }
      return [
        .ctc(
          pad: pad, wordDelimiter: delimiter,
          cleansUp: try reader.required("cleanup").boolean())
      ]
    case "Sequence":
      var kinds: [DecoderStage.Kind] = []
      for element in try reader.required("decoders").elements() {
        kinds += try read(element)
      }
      return kinds
    default:
      throw reader.unsupported(
        "decoder",
        "ByteLevel, ByteFallback, Fuse, Strip, Replace, Metaspace, WordPiece, BPEDecoder, "
          + "CTC, Sequence")
    }
  }
}
