import LoRAPatterns

extension TokenizerPipeline {
  /// The ids of `text`; see ``Tokenizer/encode(_:addSpecialTokens:)``.
  public func encode(_ text: String, addSpecialTokens: Bool) -> [Int] {
    let compact = encodeCompactly(text, addSpecialTokens: addSpecialTokens)
    return compact.map(Int.init)
  }

  /// Appends the ids of `text`; see ``Tokenizer/encode(_:addSpecialTokens:into:)``. Takes no memory
  /// that grows with the text but that of the ids, as a rule: a normalizer that looks at the
  /// whole text needs two copies of it.
  public func encode(_ text: String, addSpecialTokens: Bool, into ids: inout [Int32]) {
    if ids.isEmpty {
      ids = encodeCompactly(text, addSpecialTokens: addSpecialTokens)
    } else if let (before, after) = ends(addSpecialTokens) {
      ids += before
      encodeBare(text, into: &ids)
      ids += after
    } else {
      ids += encodeCompactly(text, addSpecialTokens: addSpecialTokens)
    }
  }

  private func encodeCompactly(_ text: String, addSpecialTokens: Bool) -> [Int32] {
    if let (before, after) = ends(addSpecialTokens) {
      var ids = before
      encodeBare(text, into: &ids)
      ids += after
      return ids
    }
    var ids: [Int32] = []
    encodeBare(text, into: &ids)
    for template in templates {
      ids = template.single.flatMap { piece in
        switch piece {
        case .text: ids
        case .tokens(let tokens, _): addSpecialTokens ? tokens.map(Int32.init) : []
        }
      }
    }
    return ids
  }

  /// What the templates put before and after a text; nil where one has it more than once, or not.
  private func ends(_ addSpecialTokens: Bool) -> (before: [Int32], after: [Int32])? {
    for template in templates where template.single.count(where: \.isText) != 1 { return nil }
    guard addSpecialTokens else { return ([], []) }
    return (template.before.map(Int32.init), template.after.map(Int32.init))
  }

  /// Appends the ids of a text without what a template adds.
  ///
  /// - Parameter ignoresAdded: added tokens are not looked for: they are text like any other.
  func encodeBare(_ text: String, into ids: inout [Int32], ignoresAdded: Bool = false) {
    let state = takeState()
    swap(&state.ids, &ids)
    state.ignoresAdded = ignoresAdded
    defer {
      state.ignoresAdded = false
      swap(&state.ids, &ids)
      putBack(state)
    }
    var text = text
    text.withUTF8 { bytes in
      if ignoresAdded { return encode(bytes, startsText: true, state) }
      added.forEachPart(of: bytes, range: 0..<bytes.count, stage: .raw) { range, id in
        if let id {
          state.ids.append(Int32(id))
        } else {
          encode(
            UnsafeBufferPointer(rebasing: bytes[range]), startsText: range.lowerBound == 0, state)
        }
      }
    }
  }

  /// Longer texts are normalized in parts where that gives the same.
  private static let partLength = 1 << 20

  /// Encodes a part of the text between added tokens.
  private func encode(
    _ text: UnsafeBufferPointer<UInt8>, startsText: Bool, _ state: EncodingState
  ) {
    guard let normalizer else {
      encodeNormalized(text, startsText: startsText, state)
      return
    }
    guard text.count > Self.partLength, preTokenizer == nil, !added.hasNormalized,
      let later = normalizer.forLaterParts, let seams = state.encoder.seams
    else {
      encode(text, with: normalizer, startsText: startsText, state)
      return
    }
    // A part begins at a space behind a letter between which, once normalized, no token goes on.
    let space = later.normalize([0x20]).bytes
    let code = space.withUnsafeBufferPointer { decodeScalar($0, at: 0).code }
    var start = 0
    var position = Self.partLength
    while position < text.count {
      let before = text[position - 1]
      guard text[position] == 0x20, before < 0x80, before | 0x20 > 0x60, before | 0x20 < 0x7B,
        seams.isSeam(UInt32(before), code)
      else {
        position += 1
        continue
      }
      encode(
        UnsafeBufferPointer(rebasing: text[start..<position]),
        with: start == 0 ? normalizer : later,
        startsText: startsText && start == 0, state)
      start = position
      position += Self.partLength
    }
    encode(
      UnsafeBufferPointer(rebasing: text[start...]), with: start == 0 ? normalizer : later,
      startsText: startsText && start == 0, state)
  }

  private func encode(
    _ text: UnsafeBufferPointer<UInt8>, with normalizer: Normalizer, startsText: Bool,
    _ state: EncodingState
  ) {
    guard let result = normalizer.normalized(text) else {
      encodeNormalized(text, startsText: startsText, state)
      return
    }
    result.bytes.withUnsafeBufferPointer {
      encodeNormalized($0, startsText: startsText && result.keepsStart, state)
    }
  }

  private func encodeNormalized(
    _ text: UnsafeBufferPointer<UInt8>, startsText: Bool, _ state: EncodingState
  ) {
    func forEachPart(_ body: (Range<Int>, Int?) -> Void) {
      if state.ignoresAdded { return body(0..<text.count, nil) }
      added.forEachPart(of: text, range: 0..<text.count, stage: .normalized, body)
    }
    forEachPart { part, id in
      if let id {
        state.ids.append(Int32(id))
      } else if let cutter = state.cutter {
        cutter.cut(text, part, startsText: startsText && part.lowerBound == 0, to: state)
      } else {
        state.receive(UnsafeBufferPointer(rebasing: text[part]))
      }
    }
  }
}

/// A text on its way to ids: what encoding needs, and what it keeps for the next text.
final class EncodingState: WordReceiver {
  /// What cuts words, nil where a text is one.
  let cutter: WordCutter?
  /// The ids of the words so far.
  var ids: [Int32] = []
  let encoder: any WordEncoder
  /// Whether added tokens are text like any other.
  var ignoresAdded = false
  /// Whether words are written in GPT-2's alphabet before they are encoded: the last step of a
  /// pre-tokenizer, left to be done once for each word of the cache.
  private let mapsBytes: Bool
  private var mapped: [UInt8] = []
  private var cache = WordCache()

  init(_ model: any WordModel, _ preTokenizer: PreTokenizer?) {
    encoder = model.makeEncoder()
    (cutter, mapsBytes) = WordCutter.cutting(by: preTokenizer)
  }

  /// Appends the ids of a word.
  func receive(_ word: UnsafeBufferPointer<UInt8>, _: UnsafePointer<Origin>?) { receive(word) }

  func receive(_ word: UnsafeBufferPointer<UInt8>) {
    guard word.count <= WordCache.longestWord else {
      encode(word)
      return
    }
    let hash = hashBytes(word)
    if cache.appendIDs(of: word, hash: hash, to: &ids) { return }
    let start = ids.count
    encode(word)
    cache.insert(word, hash: hash, ids: ids[start...])
  }

  private func encode(_ word: UnsafeBufferPointer<UInt8>) {
    guard mapsBytes else {
      encoder.encode(word, into: &ids)
      return
    }
    mapped.removeAll(keepingCapacity: true)
    for byte in word { ByteLevelAlphabet.append(byte, to: &mapped) }
    mapped.withUnsafeBufferPointer { encoder.encode($0, into: &ids) }
  }

  /// Lets go of the memory that an unusually long word took.
  func trim() {
    encoder.trim()
    if mapped.capacity > 1 << 20 { mapped = [] }
  }
}
