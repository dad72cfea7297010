/// What is done to the text before it is split into words.
indirect enum Normalizer: Sendable {
  case unicode(UnicodeForm)
  case lowercase
  case strip(left: Bool, right: Bool)
  case prepend([UInt8])
  case replace(TextPattern, with: [UInt8])
  case bert(BertNormalizer)
  case stripAccents
  case nmt
  case byteLevel
  case characterMap(CharacterMap)
  case sentencePiece(SentencePieceNormalizer)
  case sequence([Normalizer])

  enum UnicodeForm: String, Sendable {
    case nfc = "NFC"
    case nfd = "NFD"
    case nfkc = "NFKC"
    case nfkd = "NFKD"
  }

  /// A normalized text, and whether it still starts where the text given started.
  struct Result {
    var bytes: [UInt8]
    var keepsStart = true
  }

  /// nil where the text is normalized as it is.
  func normalized(_ text: UnsafeBufferPointer<UInt8>) -> Result? {
    if case .unicode(let form) = self, form.isUnchanged(text) { return nil }
    return normalize(Array(text))
  }

  /// What normalizes a later part of a text that is cut before spaces; nil where such parts can't be
  /// normalized one by one.
  var forLaterParts: Normalizer? {
    switch self {
    case .prepend: .sequence([])
    case .replace(.literal([0x20]), let content) where !content.isEmpty: self
    case .sequence(let steps):
      steps.reduce(Optional(Normalizer.sequence([]))) { parts, step in
        guard case .sequence(let known)? = parts, let part = step.forLaterParts else { return nil }
        return .sequence(known + [part])
      }
    default: nil
    }
  }

  func normalize(_ text: [UInt8]) -> Result {
    var result = Result(bytes: text)
    apply(to: &result)
    return result
  }

  private func apply(to result: inout Result) {
    switch self {
    case .unicode(let form): result.bytes = form.normalize(result.bytes)
    case .lowercase: result.lowercase()
    case .strip(let left, let right):
      var scalars = String(decoding: result.bytes, as: UTF8.self).unicodeScalars[...]
      if left {
        let count = scalars.count
        scalars = scalars.drop { $0.properties.isWhitespace }
        if scalars.count < count { result.keepsStart = false }
      }
      if right {
        while let last = scalars.last, last.properties.isWhitespace { scalars.removeLast() }
      }
      result.bytes = Array(String(scalars).utf8)
    case .prepend(let prefix):
      if !result.bytes.isEmpty { result.bytes.insert(contentsOf: prefix, at: 0) }
    case .replace(let pattern, let content):
      result.bytes = pattern.replacingMatches(in: result.bytes, with: content)
    case .bert(let normalizer): normalizer.apply(to: &result)
    case .stripAccents: result.filter { !CharacterClasses.isMark($0) }
    case .nmt:
      result.filter { !Self.isRemovedByNMT($0.value) }
      result.map { Self.isSpaceOfNMT($0.value) ? " " : $0 }
    case .byteLevel:
      var output: [UInt8] = []
      for byte in result.bytes { ByteLevelAlphabet.append(byte, to: &output) }
      result.bytes = output
    case .characterMap(let map): result.bytes = map.normalize(result.bytes)
    case .sentencePiece(let normalizer):
      var starts: [Int]?
      result.bytes = result.bytes.withUnsafeBufferPointer {
        normalizer.normalize($0, starts: &starts)
      }
    case .sequence(let normalizers):
      for normalizer in normalizers { normalizer.apply(to: &result) }
    }
  }

  /// The control characters that SentencePiece's rule for machine translation removes.
  static func isRemovedByNMT(_ code: UInt32) -> Bool {
    switch code {
    case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: true
    default: false
    }
  }

  /// The code points that the same rule makes a space.
  static func isSpaceOfNMT(_ code: UInt32) -> Bool {
    switch code {
    case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
      true
    default: false
    }
  }
}
