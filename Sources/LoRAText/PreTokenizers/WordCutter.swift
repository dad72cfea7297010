import LoRAPatterns

/// Takes the words that a ``WordCutter`` finds.
protocol WordReceiver: AnyObject {
  /// A word, and where its bytes come from if the cutter was told.
  func receive(_ word: UnsafeBufferPointer<UInt8>, _ origins: UnsafePointer<Origin>?)
}

/// A pre-tokenizer at work: hands on one word after another, so that no list of a text's words is
/// ever held.
///
/// A class, and one object a step, because the step behind runs while the one before is in the middle
/// of its search.
final class WordCutter {
  private let step: PreTokenizer
  private let next: WordCutter?
  private var stack = RegularExpression.Stack()
  private var buffer: [UInt8] = []
  /// Where the bytes of the text come from that is cut; nil where nobody asks.
  var origins: UnsafePointer<Origin>?

  /// nil where there are no steps.
  init?(_ steps: ArraySlice<PreTokenizer>) {
    guard let first = steps.first else { return nil }
    step = first
    next = WordCutter(steps.dropFirst())
  }

  /// What cuts words by a pre-tokenizer, nil where a text is one, and whether words are written in GPT-2's
  /// alphabet behind it: that last step is left to whoever takes the words.
  static func cutting(by preTokenizer: PreTokenizer?) -> (cutter: WordCutter?, mapsBytes: Bool) {
    var steps = preTokenizer?.steps ?? []
    let mapsBytes = if case .byteLevelAlphabet? = steps.last { true } else { false }
    if mapsBytes { steps.removeLast() }
    return (WordCutter(steps[...]), mapsBytes)
  }

  typealias Text = UnsafeBufferPointer<UInt8>

  /// Hands the words of a range to `receiver`. `startsText` says whether the whole text starts there.
  func cut(
    _ text: Text, _ range: Range<Int>, startsText: Bool, to receiver: some WordReceiver
  ) {
    switch step {
    case .sequence: fatalError("a sequence is taken apart before it is run")
    case .split(let pattern, let behavior, let isInverted):
      split(text, range, behavior, startsText, receiver) { emit in
        var done = range.lowerBound
        pattern.forEachMatch(in: text, range: range, stack: &stack) { start, end in
          if done < start { emit(done..<start, isInverted) }
          emit(start..<end, !isInverted)
          done = end
        }
        if done < range.upperBound { emit(done..<range.upperBound, isInverted) }
      }
    case .digits(let areIndividual):
      split(text, range, areIndividual ? .isolated : .contiguous, startsText, receiver) { emit in
        Self.find(UnicodeClasses.isNumeric, text, range, emit)
      }
    case .punctuation(let behavior):
      split(text, range, behavior, startsText, receiver) { emit in
        Self.find(CharacterClasses.isPunctuation, text, range, emit)
      }
    case .whitespaceSplit:
      split(text, range, .removed, startsText, receiver) { emit in
        Self.find(CharacterClasses.isWhitespace, text, range, emit)
      }
    case .whitespace: cutAtClasses(text, range, startsText, receiver)
    case .scripts: cutAtScripts(text, range, startsText, receiver)
    case .length(let length): cut(text, range, every: length, startsText, receiver)
    case .metaspace(let replacement, let scheme, let splits):
      rewrite { buffer, trace in
        let prepends =
          switch scheme {
          case .always: true
          case .first: startsText
          case .never: false
          }
        let starts = text[range].starts(with: replacement) || text[range].first == 0x20
        if prepends, !starts {
          buffer.append(contentsOf: replacement)
          trace(range.lowerBound, buffer.count)
        }
        for place in range {
          let byte = text[place]
          if byte == 0x20 { buffer.append(contentsOf: replacement) } else { buffer.append(byte) }
          trace(place, buffer.count)
        }
      } reading: { text in
        let range = text.startIndex..<text.endIndex
        guard splits else {
          hand(text, range, startsText, receiver)
          return
        }
        split(text, range, .mergedWithNext, startsText, receiver) { emit in
          var done = 0
          TextPattern.literal(replacement).forEachMatch(in: text, range: range, stack: &stack) {
            if done < $0 { emit(done..<$0, false) }
            emit($0..<$1, true)
            done = $1
          }
          if done < range.upperBound { emit(done..<range.upperBound, false) }
        }
      }
    case .byteLevel(let addsPrefixSpace, let splitter):
      func find(_ text: Text, _ range: Range<Int>) {
        guard let splitter else {
          hand(text, range, startsText, receiver)
          return
        }
        var done = range.lowerBound
        func emit(_ part: Range<Int>) {
          hand(text, part, startsText && part.lowerBound == range.lowerBound, receiver)
        }
        splitter.forEachMatch(in: text, range: range, stack: &stack) { start, end in
          if done < start { emit(done..<start) }
          if start < end { emit(start..<end) }
          done = end
        }
        if done < range.upperBound { emit(done..<range.upperBound) }
      }
      guard addsPrefixSpace, text[range].first != 0x20 else {
        find(text, range)
        return
      }
      rewrite { buffer, trace in
        buffer.append(0x20)
        trace(range.lowerBound, buffer.count)
        for place in range {
          buffer.append(text[place])
          trace(place, buffer.count)
        }
      } reading: {
        find($0, 0..<$0.count)
      }
    case .byteLevelAlphabet:
      rewrite { buffer, trace in
        for place in range {
          ByteLevelAlphabet.append(text[place], to: &buffer)
          trace(place, buffer.count)
        }
      } reading: {
        hand($0, 0..<$0.count, startsText, receiver)
      }
    }
  }

  /// Emits each code point of a class as a match, and what lies between.
  private static func find(
    _ isOfClass: (UInt32) -> Bool, _ text: Text, _ range: Range<Int>,
    _ emit: (Range<Int>, _ isMatch: Bool) -> Void
  ) {
    var done = range.lowerBound
    var position = range.lowerBound
    while position < range.upperBound {
      let (code, count) = decodeScalar(text, at: position)
      if isOfClass(code) {
        if done < position { emit(done..<position, false) }
        emit(position..<position + count, true)
        done = position + count
      }
      position += count
    }
    if done < range.upperBound { emit(done..<range.upperBound, false) }
  }

  private enum Kind { case space, word, other }

  /// The matches of `\w+|[^\w\s]+`, in the terms of the crate `regex`.
  private func cutAtClasses(
    _ text: Text, _ range: Range<Int>, _ startsText: Bool, _ receiver: some WordReceiver
  ) {
    func kind(_ code: UInt32) -> Kind {
      if CharacterClasses.isWhitespace(code) { return .space }
      return Unicode.Scalar(code).map(UnicodeClasses.isWord) == true ? .word : .other
    }
    var start = range.lowerBound
    var previous = Kind.space
    func end(_ position: Int) {
      guard previous != .space else { return }
      hand(text, start..<position, startsText && start == range.lowerBound, receiver)
    }
    var position = range.lowerBound
    while position < range.upperBound {
      let (code, count) = decodeScalar(text, at: position)
      let current = kind(code)
      if current != previous {
        end(position)
        (start, previous) = (position, current)
      }
      position += count
    }
    end(range.upperBound)
  }

  /// Cuts where a script begins that is neither any nor that of the last code point that was not.
  private func cutAtScripts(
    _ text: Text, _ range: Range<Int>, _ startsText: Bool, _ receiver: some WordReceiver
  ) {
    var start: Int?
    var last: UInt8 = 0
    var position = range.lowerBound
    while position < range.upperBound {
      let (code, count) = decodeScalar(text, at: position)
      let script = ScriptClasses.of(code)
      if script != 0, script != last {
        if let start {
          hand(text, start..<position, startsText && start == range.lowerBound, receiver)
        }
        (start, last) = (position, script)
      }
      position += count
    }
    if let start {
      hand(text, start..<range.upperBound, startsText && start == range.lowerBound, receiver)
    }
  }

  private func cut(
    _ text: Text, _ range: Range<Int>, every length: Int, _ startsText: Bool,
    _ receiver: some WordReceiver
  ) {
    var start = range.lowerBound
    var count = 0
    var position = start
    while position < range.upperBound {
      position += scalarLength(startingWith: text[position])
      count += 1
      guard count == length || position >= range.upperBound else { continue }
      hand(text, start..<position, startsText && start == range.lowerBound, receiver)
      (start, count) = (position, 0)
    }
  }

  /// Gives a part to the step behind, or to `body` as a word.
  private func hand(
    _ text: Text, _ part: Range<Int>, _ startsText: Bool, _ receiver: some WordReceiver
  ) {
    guard !part.isEmpty else { return }
    if let next {
      next.origins = origins
      next.cut(text, part, startsText: startsText, to: receiver)
    } else {
      receiver.receive(
        UnsafeBufferPointer(rebasing: text[part]), origins.map { $0 + part.lowerBound })
    }
  }

  /// Writes a text into this step's buffer and reads it there; lets go of an unusually long one.
  /// `write` tells, of each byte of the old text, how far the new one goes with it.
  private func rewrite(
    _ write: (inout [UInt8], _ trace: (Int, Int) -> Void) -> Void, reading body: (Text) -> Void
  ) {
    var buffer: [UInt8] = []
    swap(&buffer, &self.buffer)
    buffer.removeAll(keepingCapacity: true)
    if let old = origins {
      var new: [Origin] = []
      write(&buffer) { place, count in
        new.append(contentsOf: repeatElement(old[place], count: count - new.count))
      }
      new.withUnsafeBufferPointer { new in
        origins = new.baseAddress
        buffer.withUnsafeBufferPointer(body)
        origins = old
      }
    } else {
      write(&buffer) { _, _ in }
      buffer.withUnsafeBufferPointer(body)
    }
    if buffer.capacity <= 1 << 20 { self.buffer = buffer }
  }

  /// Hands on the matches and the rest that `find` emits in order, joined as `behavior` says.
  private func split(
    _ text: Text, _ range: Range<Int>, _ behavior: PreTokenizer.Behavior, _ startsText: Bool,
    _ receiver: some WordReceiver, _ find: ((Range<Int>, _ isMatch: Bool) -> Void) -> Void
  ) {
    func hand(_ part: Range<Int>) {
      self.hand(text, part, startsText && part.lowerBound == range.lowerBound, receiver)
    }
    // What may still be joined with the part behind it.
    var pending: Range<Int>?
    var previousIsMatch = false
    find { part, isMatch in
      switch behavior {
      case .isolated: hand(part)
      case .removed: if !isMatch { hand(part) }
      case .contiguous, .mergedWithPrevious:
        let joins =
          behavior == .contiguous ? isMatch == previousIsMatch : isMatch && !previousIsMatch
        if joins, let start = pending?.lowerBound {
          pending = start..<part.upperBound
        } else {
          if let pending { hand(pending) }
          pending = part
        }
      case .mergedWithNext:
        // Only a match is ever pending.
        if let start = pending?.lowerBound, !isMatch {
          hand(start..<part.upperBound)
          pending = nil
        } else {
          if let pending { hand(pending) }
          pending = isMatch ? part : nil
          if !isMatch { hand(part) }
        }
      }
      previousIsMatch = isMatch
    }
    if let pending { hand(pending) }
  }
}
