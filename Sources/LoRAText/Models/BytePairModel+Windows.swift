import LoRAPatterns

// Long words are encoded window by window, in memory that does not grow with them.
//
// It gives what encoding the whole word gives, for this reason. Of all neighbours that merge, the pair
// of the lowest rank does, the leftmost of equal ones; so what happens in a part of the word depends on
// the rest only by merges across the part's ends. Take a word cut into units, each with its tokens,
// and suppose that encoding any two neighbouring units together gives their tokens. If the whole
// word's encoding merged across a boundary, the first merge that did would be the lowest of the
// two units around it as well, and encoding these two would merge there too. So no merge crosses a
// boundary, and the word's tokens are those of its units. The other way round, any two neighbours
// in an encoding pass that test. Two windows may therefore be joined wherever the last unit of the
// one and the first unit of the other do.

extension BytePairModel {
  /// The tokens of a text with where they start in it.
  struct Window {
    var ids: [Int32] = []
    var starts: [Int32] = []

    /// The indices of tokens that start where a code point does, so that the text can be cut there.
    func boundaries(in text: UnsafeBufferPointer<UInt8>) -> [Int] {
      starts.indices.filter { text[Int(starts[$0])] & 0xC0 != 0x80 }
    }
  }

  /// Longer words are encoded by windows of this many bytes.
  static let windowLength = 1 << 16

  /// Whether a code point gives the same symbols wherever it stands.
  var hasLocalSymbols: Bool {
    guard continuingPrefix.isEmpty, endSuffix.isEmpty else { return false }
    return byteIDs?.allSatisfy { $0 >= 0 } ?? true
  }

  /// Appends the ids of a word of any length.
  func encodeByWindows(
    _ word: UnsafeBufferPointer<UInt8>, length: Int = windowLength, into ids: inout [Int32],
    scratch: inout Scratch
  ) {
    var length = length
    var start = 0
    var end = Self.end(of: start + length, in: word)
    var window = self.window(of: word, start..<end, &scratch)
    search: while end < word.count {
      let text = UnsafeBufferPointer(rebasing: word[start..<end])
      let boundaries = window.boundaries(in: text)
      // A cut near the window's end is still under the influence of what was cut off there.
      var back = 16
      while back + 1 < boundaries.count {
        let place = boundaries.count - back
        let cut = boundaries[place]
        let position = start + Int(window.starts[cut])
        let nextEnd = Self.end(of: position + length, in: word)
        let next = self.window(of: word, position..<nextEnd, &scratch)
        let before = boundaries[place - 1]
        let unit = start + Int(window.starts[before])..<position
        if joins(word, unit, window.ids[before..<cut], next, from: position, &scratch) {
          ids.append(contentsOf: window.ids[..<cut])
          (window, start, end) = (next, position, nextEnd)
          continue search
        }
        back *= 4
      }
      length *= 2
      end = Self.end(of: start + length, in: word)
      window = self.window(of: word, start..<end, &scratch)
    }
    ids.append(contentsOf: window.ids)
  }

  /// The last place up to `position` where a code point starts, or the end.
  private static func end(of position: Int, in word: UnsafeBufferPointer<UInt8>) -> Int {
    guard position < word.count else { return word.count }
    var end = position
    while word[end] & 0xC0 == 0x80 { end -= 1 }
    return end
  }

  /// Whether encoding a unit and the first one of a window together gives the tokens of both.
  private func joins(
    _ word: UnsafeBufferPointer<UInt8>, _ unit: Range<Int>, _ ids: ArraySlice<Int32>,
    _ window: Window, from start: Int, _ scratch: inout Scratch
  ) -> Bool {
    let text = UnsafeBufferPointer(rebasing: word[start...])
    var second = 1
    while second < window.ids.count, text[Int(window.starts[second])] & 0xC0 == 0x80 { second += 1 }
    let end = second < window.ids.count ? start + Int(window.starts[second]) : word.count
    guard !window.ids.isEmpty, end - unit.lowerBound <= Self.windowLength else { return false }
    let both = self.window(of: word, unit.lowerBound..<end, &scratch)
    return both.ids.elementsEqual(ids + window.ids[..<second])
  }

  private func window(
    of word: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ scratch: inout Scratch
  ) -> Window {
    let text = UnsafeBufferPointer(rebasing: word[range])
    var window = Window()
    if scores.isEmpty {
      tokens(of: text, &scratch)
      window.ids = scratch.symbols
      window.starts = scratch.starts
    } else {
      scoredTokens(of: text, &scratch, into: &window.ids) { window.starts.append($0) }
    }
    return window
  }
}
