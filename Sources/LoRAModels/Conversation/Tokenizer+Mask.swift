public import LoRATemplates
public import LoRAText

/// The ids of a conversation, and which of them the assistant wrote.
public struct MaskedEncoding: Sendable, Hashable {
  /// The ids.
  public var ids: [Int]
  /// For each id, whether a part of its text is the assistant's.
  public var isAssistant: [Bool]
  /// For each of the assistant's ids the index of its message; nil for all others, and where the template
  /// does not tell.
  public var messages: [Int?]

  /// Creates an encoding.
  public init(ids: [Int], isAssistant: [Bool], messages: [Int?]? = nil) {
    self.ids = ids
    self.isAssistant = isAssistant
    self.messages = messages ?? ids.map { _ in nil }
  }
}

extension TokenizerPipeline {
  /// The ids of a conversation's text, in which some places are text whatever they look like, see
  /// `TokenizerPipeline.encode(_:keepingAsText:)`, and which of the ids the assistant wrote.
  public func encode(_ masked: MaskedText, keepingAsText kept: [Range<Int>]) throws
    -> MaskedEncoding
  {
    let encoding = try encodeAligned(masked.text, keepingAsText: kept)
    // What a tokenizer puts before a text stands for none of its characters: it goes with the next.
    let places = encoding.offsets.map { $0.lowerBound..<max($0.upperBound, $0.lowerBound + 1) }
    return try MaskedEncoding(encoding.ids, at: places, masked)
  }
}

extension Tokenizer {
  /// The ids of a conversation's text, which has its special tokens in it, and which of them the
  /// assistant wrote: a token counts if any of its characters do.
  ///
  /// - Throws: `TemplateError` of the kind `mask` if the tokenizer does not spell the text exactly, as
  ///   one that makes it lower case, so that it is not known where its tokens are; or if all tokens or
  ///   none are the assistant's.
  public func encode(_ masked: MaskedText) throws(TemplateError) -> MaskedEncoding {
    let ids = encode(masked.text, addSpecialTokens: false)
    return try MaskedEncoding(ids, at: try places(of: ids, in: masked.text), masked)
  }

  /// Where in `text` each of its tokens stands, in Unicode scalars. Tokens that share a character all
  /// have it.
  private func places(of ids: [Int], in text: String) throws(TemplateError) -> [Range<Int>] {
    let scalars = Array(text.unicodeScalars)
    var decoder = streamingDecoder(skipSpecialTokens: false)
    var places: [Range<Int>] = []
    var position = 0
    func take(_ piece: String) throws(TemplateError) {
      for scalar in piece.unicodeScalars {
        guard position < scalars.count, scalars[position] == scalar else {
          throw TemplateError(
            .mask,
            "the tokens of the conversation do not spell its text: after character \(position) they "
              + "go on with \"\(scalar)\"; this tokenizer changes texts, and masks need one that does "
              + "not")
        }
        position += 1
      }
    }
    for id in ids {
      let start = position
      try take(decoder.append(id))
      // A token that completes no character is a part of the next one.
      places.append(start..<max(position, start + 1))
    }
    try take(decoder.finish())
    guard position == scalars.count else {
      throw TemplateError(
        .mask,
        "the tokens of the conversation end after character \(position) of \(scalars.count): this "
          + "tokenizer changes texts, and masks need one that does not")
    }
    return places
  }
}

extension MaskedEncoding {
  /// The ids of a text, each of which stands at its place of `places`: those count of which a character does.
  fileprivate init(
    _ ids: [Int], at places: [Range<Int>], _ masked: MaskedText
  ) throws(TemplateError) {
    var next = 0
    let ranges: [Int?] = places.map { place in
      while next < masked.assistant.count, masked.assistant[next].upperBound <= place.lowerBound {
        next += 1
      }
      let isInside =
        next < masked.assistant.count && masked.assistant[next].lowerBound < place.upperBound
      return isInside ? next : nil
    }
    let isAssistant = ranges.map { $0 != nil }
    guard isAssistant.contains(true), isAssistant.contains(false) else {
      throw TemplateError(
        .mask, "all tokens of the conversation are the assistant's, or none: nothing to tell apart")
    }
    self.init(
      ids: ids, isAssistant: isAssistant,
      messages: ranges.map { range in range.flatMap { masked.messages?[$0] } })
  }
}
