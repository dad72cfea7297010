/// A prompt and its completion as token ids for training.
public struct PromptEncoding: Sendable, Hashable {
  /// The ids of both, and the end-of-sequence token.
  public var ids: [Int]
  /// The number of prompt ids at the beginning: those of ``Tokenizer/encodePrompt(_:)``.
  public var promptLength: Int

  /// Creates an encoding.
  public init(ids: [Int], promptLength: Int) {
    self.ids = ids
    self.promptLength = promptLength
  }
}

// How texts are read wherever they meet a model: training, scoring and generation ask here, so that
// what was trained is what is asked.

extension Tokenizer {
  /// The ids of a prompt for a model to continue: the template's tokens before the text, and the
  /// text. The tokens after it are left out; an end-of-sequence token would end the text to
  /// continue.
  ///
  /// Of an encoder-decoder it is the source, with all that the template puts around a text, and
  /// ``targetStart`` behind it; a text that spells that token loses it.
  ///
  /// ```swift
  /// let prompt = tokenizer.encodePrompt("Once upon a time")
  /// let tokens = try model.generate(after: prompt)
  /// tokenizer.decode(tokens, after: prompt)
  /// ```
  public func encodePrompt(_ prompt: String) -> [Int] {
    if let targetStart {
      let source = encode(prompt, addSpecialTokens: true).filter { $0 != targetStart }
      return ended(source) + [targetStart]
    }
    return withoutEnd(encode(prompt, addSpecialTokens: true))
  }

  /// The ids of a whole text for training. They end with the end-of-sequence token, if the
  /// tokenizer has one.
  public func encodeDocument(_ text: String) -> [Int] {
    ended(encode(text, addSpecialTokens: true))
  }

  /// Appends the ids of a whole text, as ``encodeDocument(_:)`` returns them, with half its memory.
  public func encodeDocument(_ text: String, into ids: inout [Int32]) {
    encode(text, addSpecialTokens: true, into: &ids)
    if let end = endOfSequence, ids.last.map(Int.init) != end { ids.append(Int32(end)) }
  }

  /// The ids of a prompt and the completion that follows it, with the end-of-sequence token of a
  /// document.
  ///
  /// The prompt has the ids of ``encodePrompt(_:)``, and both together spell `prompt + completion`:
  /// no token spans the two, and the space that the tokenizer puts before a separate text is not
  /// inserted between them. An encoder-decoder's completion is a text of its own.
  public func encode(prompt: String, completion: String) -> PromptEncoding {
    let start = encodePrompt(prompt)
    if targetStart != nil {
      let target = ended(encode(completion, addSpecialTokens: true))
      return PromptEncoding(ids: start + target, promptLength: start.count)
    }
    let whole = encode(prompt + completion, addSpecialTokens: true)
    let joint = withoutEnd(whole)
    if joint.starts(with: start) {
      return PromptEncoding(ids: ended(whole), promptLength: start.count)
    }
    let ids = start + continuation(completion, after: start, spelling: joint)
    return PromptEncoding(ids: ended(ids + whole[joint.count...]), promptLength: start.count)
  }

  /// The ids of `completion` as they follow `prompt`, so that both spell what `joint` does.
  ///
  /// A tokenizer treats the beginning of a text in its own way, with a space before it as a rule. So
  /// the completion is also encoded behind a short text that is left out again, and what spells
  /// the joint text in the fewest tokens is taken. Where nothing does, as where a normalizer looks
  /// across the boundary, it is what adds the least of its own.
  private func continuation(
    _ completion: String, after prompt: [Int], spelling joint: [Int]
  ) -> [Int] {
    let alone = encode(completion, addSpecialTokens: false)
    if spells(prompt + alone, joint) { return alone }
    var best: [Int]?
    var shortest = alone
    for anchor in ["\n", "a", "1", ".", "\u{3042}", " a"] {
      let head = encode(anchor, addSpecialTokens: false)
      let ids = encode(anchor + completion, addSpecialTokens: false)
      guard ids.starts(with: head) else { continue }
      let rest = Array(ids[head.count...])
      if rest.count < best?.count ?? .max, spells(prompt + rest, joint) { best = rest }
      if spelling(rest).count < spelling(shortest).count { shortest = rest }
    }
    return best ?? shortest
  }

  /// Whether two encodings are of one text: by their tokens' spellings, or else by what they decode
  /// to.
  private func spells(_ ids: [Int], _ others: [Int]) -> Bool {
    spelling(ids) == spelling(others)
      || decode(ids, skipSpecialTokens: false).utf8.elementsEqual(
        decode(others, skipSpecialTokens: false).utf8)
  }

  private func spelling(_ ids: [Int]) -> [UInt8] {
    ids.flatMap { Array((token(of: $0) ?? "").utf8) }
  }

  private func withoutEnd(_ ids: [Int]) -> [Int] {
    let end = template.after
    return !end.isEmpty && ids.suffix(end.count).elementsEqual(end) ? ids.dropLast(end.count) : ids
  }

  private func ended(_ ids: [Int]) -> [Int] {
    guard let end = endOfSequence, ids.last != end else { return ids }
    return ids + [end]
  }
}

extension Tokenizer {
  /// The text that `ids` add to that of `prompt`: the decoded text of both, without the decoded
  /// text of the prompt.
  ///
  /// This differs from decoding `ids` alone, which would treat the first id as the beginning of a
  /// text and lose its space. If a prompt ends within a character, the completed character belongs
  /// to the result. An encoder-decoder's result is a text of its own.
  public func decode(
    _ ids: [Int], after prompt: [Int], skipSpecialTokens: Bool = true
  ) -> String {
    if targetStart != nil { return decode(ids, skipSpecialTokens: skipSpecialTokens) }
    var head = DecodedPrompt(decode(prompt, skipSpecialTokens: skipSpecialTokens))
    return head.removed(from: decode(prompt + ids, skipSpecialTokens: skipSpecialTokens))
  }

  /// A streaming decoder for the ids that follow `prompt`; its joined pieces equal
  /// ``decode(_:after:skipSpecialTokens:)``.
  public func streamingDecoder(
    after prompt: [Int], skipSpecialTokens: Bool = true
  ) -> StreamingDecoder {
    var decoder = streamingDecoder(skipSpecialTokens: skipSpecialTokens)
    if targetStart == nil { decoder.begin(after: prompt) }
    return decoder
  }
}

/// The text of a prompt, to be taken off the beginning of the text of prompt and continuation.
struct DecodedPrompt: Sendable {
  /// What has not been met yet.
  private var scalars: ArraySlice<Unicode.Scalar>
  /// How many U+FFFD stand for the rest, in a run of byte tokens that became ill-formed as a whole.
  private var signs = 0

  init(_ text: String) { scalars = Array(text.unicodeScalars)[...] }

  /// The next part of the text, without what is the prompt's.
  mutating func removed(from text: String) -> String {
    guard !scalars.isEmpty || signs > 0 else { return text }
    var rest = text.unicodeScalars[...]
    while let next = rest.first {
      if signs > 0 {
        guard next == "\u{FFFD}" else {
          signs = 0
          break
        }
        signs -= 1
      } else if let expected = scalars.first {
        if next == expected {
          scalars.removeFirst()
        } else if next == "\u{FFFD}" {
          signs = scalars.reduce(0) { $0 + UTF8.width($1) }
          scalars = []
          continue
        } else {
          // The prompt ended within a character, which is complete with the continuation.
          scalars = []
          break
        }
      } else {
        break
      }
      rest.removeFirst()
    }
    return String(rest)
  }
}
