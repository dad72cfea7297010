import LoRAPatterns

extension TokenizerPipeline {
  /// The tokens of one text or two with where they are in it, in code points, as `tokenizers` has
  /// them.
  ///
  /// The ids are those of `encode`. Where a normalizer changes the text, offsets still tell of the
  /// text that was given. It takes several times as long as encoding without offsets, which is why
  /// that is a method of its own.
  ///
  /// - Parameters:
  ///   - text: Any text, including the empty text.
  ///   - second: The text behind it, whose offsets are its own; nil for one alone.
  ///   - addSpecialTokens: Whether to add the special tokens of the template.
  public func encodeAligned(
    _ text: String, pairedWith second: String? = nil, addSpecialTokens: Bool = true
  ) -> AlignedEncoding {
    var parts = ([text] + (second.map { [$0] } ?? [])).enumerated().map { index, text in
      var part = trace(text)
      part.types = Array(repeating: index, count: part.ids.count)
      for trim in offsetTrims { trim.apply(to: &part) }
      return part
    }
    for template in templates {
      var whole = AlignedEncoding()
      for piece in parts.count == 2 ? template.pair : template.single {
        switch piece {
        case .text(let index, let type): whole.append(parts[index], type: type)
        case .tokens(let ids, let type):
          guard addSpecialTokens else { continue }
          for id in ids {
            whole.append(
              AlignedEncoding(
                ids: [id], types: [type], tokens: [token(of: id) ?? ""], offsets: [0..<0]))
          }
        }
      }
      parts = [whole]
    }
    return parts.dropFirst().reduce(into: parts[0]) { $0.append($1) }
  }

  /// The tokens of a text without what a template adds.
  ///
  /// - Parameter ignoresAdded: added tokens are not looked for: they are text like any other.
  func trace(_ text: String, ignoresAdded: Bool = false) -> AlignedEncoding {
    let tracer = WordTracer(model, preTokenizer)
    var text = text
    return text.withUTF8 { bytes in
      func take(_ range: Range<Int>, _ id: Int?) {
        if let id {
          tracer.add(id, called: bytes[range], Origin(range))
        } else {
          trace(
            AlignedText(bytes, range), startsText: range.lowerBound == 0, ignoresAdded, tracer)
        }
      }
      if ignoresAdded {
        take(0..<bytes.count, nil)
      } else {
        added.forEachPart(of: bytes, range: 0..<bytes.count, stage: .raw, take)
      }
      return AlignedEncoding(tracer.tokens, of: bytes) { id, name in
        // Found by the model: an added token of the same id is another one.
        let spelling = name.isEmpty ? model.vocabulary.spelling(of: id) ?? [] : name[...]
        return String(decoding: spelling, as: UTF8.self)
      }
    }
  }

  /// Traces a part of the text between added tokens.
  private func trace(
    _ text: AlignedText, startsText: Bool, _ ignoresAdded: Bool, _ tracer: WordTracer
  ) {
    let plain = normalizer?.normalize(text.bytes)
    var text = text
    normalizer?.apply(to: &text)
    let keepsStart = plain?.keepsStart ?? true
    text.bytes.withUnsafeBufferPointer { bytes in
      text.origins.withUnsafeBufferPointer { origins in
        guard let base = origins.baseAddress else { return }
        func take(_ part: Range<Int>, _ id: Int?) {
          if let id {
            let origin = Origin(
              start: base[part.lowerBound].start, end: base[part.upperBound - 1].end)
            tracer.add(id, called: bytes[part], origin)
          } else if let cutter = tracer.cutter {
            cutter.origins = base
            cutter.cut(
              bytes, part, startsText: startsText && keepsStart && part.lowerBound == 0,
              to: tracer)
            cutter.origins = nil
          } else {
            tracer.receive(
              UnsafeBufferPointer(rebasing: bytes[part]), base + part.lowerBound)
          }
        }
        if ignoresAdded {
          take(0..<bytes.count, nil)
        } else {
          added.forEachPart(of: bytes, range: 0..<bytes.count, stage: .normalized, take)
        }
      }
    }
  }
}

extension Origin {
  fileprivate init(_ range: Range<Int>) {
    self.init(start: Int32(range.lowerBound), end: Int32(range.upperBound))
  }
}

extension AlignedEncoding {
  /// Counts code points instead of bytes.
  fileprivate init(
    _ traced: [WordTracer.Token], of text: UnsafeBufferPointer<UInt8>,
    name: (Int, [UInt8]) -> String
  ) {
    var counts: [Int32] = []
    counts.reserveCapacity(text.count)
    var count: Int32 = -1
    for byte in text {
      if byte & 0xC0 != 0x80 { count += 1 }
      counts.append(count)
    }
    func range(_ origin: Origin) -> Range<Int> {
      let (start, end) = (Int(origin.start), Int(origin.end))
      guard start < counts.count else { return Int(count + 1)..<Int(count + 1) }
      let first = Int(counts[start])
      if end < counts.count { return first..<max(first, Int(counts[end])) }
      return first..<max(first, Int(counts[min(end, counts.count) - 1]) + 1)
    }
    self.init(
      ids: traced.map(\.id), tokens: traced.map { name($0.id, $0.name) },
      offsets: traced.map { range($0.origin) })
  }
}

/// Takes the words of a text and remembers their tokens with where they come from.
private final class WordTracer: WordReceiver {
  struct Token {
    var id: Int
    /// What it is called, where that is not the spelling of the id.
    var name: [UInt8] = []
    var origin: Origin
  }

  let cutter: WordCutter?
  private(set) var tokens: [Token] = []
  private let encoder: any WordEncoder
  private let mapsBytes: Bool
  private var traced: [TracedToken] = []

  init(_ model: any WordModel, _ preTokenizer: PreTokenizer?) {
    encoder = model.makeEncoder()
    (cutter, mapsBytes) = WordCutter.cutting(by: preTokenizer)
  }

  func add(_ id: Int, called name: Slice<UnsafeBufferPointer<UInt8>>, _ origin: Origin) {
    tokens.append(Token(id: id, name: Array(name), origin: origin))
  }

  func receive(_ word: UnsafeBufferPointer<UInt8>, _ origins: UnsafePointer<Origin>?) {
    guard let origins else { return }
    guard mapsBytes else {
      trace(word, origins)
      return
    }
    var mapped: [UInt8] = []
    var aligned: [Origin] = []
    for (i, byte) in word.enumerated() {
      ByteLevelAlphabet.append(byte, to: &mapped)
      aligned.append(contentsOf: repeatElement(origins[i], count: mapped.count - aligned.count))
    }
    mapped.withUnsafeBufferPointer { mapped in
      aligned.withUnsafeBufferPointer {
        if let base = $0.baseAddress { trace(mapped, base) }
      }
    }
  }

  private func trace(_ word: UnsafeBufferPointer<UInt8>, _ origins: UnsafePointer<Origin>) {
    traced.removeAll(keepingCapacity: true)
    encoder.trace(word, into: &traced)
    for token in traced {
      let range = token.range
      let origin =
        if range.isEmpty {
          Origin(
            start: origins[min(range.lowerBound, word.count - 1)].start,
            end: origins[min(range.lowerBound, word.count - 1)].start)
        } else if range.upperBound <= word.count {
          Origin(
            start: origins[range.lowerBound].start, end: origins[range.upperBound - 1].end)
        } else {
          // A token of bytes that its word does not have: `tokenizers` tells its place in the word.
          Origin(start: Int32(range.lowerBound), end: Int32(range.upperBound))
        }
      tokens.append(
        Token(
          id: Int(token.id), name: token.isCalledByText ? Array(word[range]) : [],
          origin: origin))
    }
  }
}
