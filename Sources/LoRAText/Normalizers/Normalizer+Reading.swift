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
    case "BertNormalizer":
      self = .bert(
        BertNormalizer(
          cleansText: try reader.optional("clean_text")?.boolean() ?? true,
          separatesIdeographs: try reader.optional("handle_chinese_chars")?.boolean() ?? true,
          stripsAccents: try reader.optional("strip_accents")?.boolean(),
          lowercases: try reader.optional("lowercase")?.boolean() ?? true))
    case "StripAccents": self = .stripAccents
    case "Nmt": self = .nmt
    case "ByteLevel": self = .byteLevel
    case "Precompiled":
      self = .characterMap(try CharacterMap(try reader.required("precompiled_charsmap")))
    case "Sequence":
      var normalizers: [Normalizer] = []
      for element in try reader.required("normalizers").elements() {
        normalizers.append(try Normalizer(element))
      }
      self = .sequence(normalizers)
    default:
      throw reader.unsupported(
        "normalizer",
        "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Prepend, Replace, BertNormalizer, "
          + "Precompiled, Nmt, ByteLevel, Sequence")
    }
  }
}
