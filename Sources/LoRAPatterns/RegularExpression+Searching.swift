extension RegularExpression {
  /// Calls `body` with each match in turn from left to right, as start and end, like `find_iter`.
  package func forEachMatch(
    in bytes: UnsafeBufferPointer<UInt8>, range: Range<Int>, stack: inout Stack,
    _ body: (Int, Int) -> Void
  ) {
    // Everything outside of the range is hidden from anchors and lookaround.
    let text = UnsafeBufferPointer(rebasing: bytes[range])
    var attempt = Attempt(stack: stack, steps: allowance(for: text.count))
    swap(&attempt.stack, &stack)
    defer { swap(&attempt.stack, &stack) }
    var thorough: ThoroughSearch?
    var start = 0
    var previousEnd = -1
    while start <= text.count {
      var end: Int
      if thorough != nil {
        end = thorough?.end(at: start) ?? Self.none
      } else {
        end = match(text, at: start, attempt: &attempt)
        if end == Self.givenUp {
          thorough = ThoroughSearch(self, text, from: start)
          continue
        }
      }
      // An empty match right behind the last one does not count.
      if end == start, start == previousEnd { end = Self.none }
      if end >= 0 {
        body(range.lowerBound + start, range.lowerBound + end)
        previousEnd = end
      }
      if end > start {
        start = end
      } else {
        guard start < text.count else { return }
        start += scalarLength(startingWith: text[start])
      }
    }
  }

  /// Whether it matches at the beginning of `text`, as Python's `re.match`.
  package func matches(_ text: String) -> Bool {
    withUTF8(text) { text in
      var attempt = Attempt(stack: Stack(), steps: allowance(for: text.count))
      var end = match(text, at: 0, attempt: &attempt)
      if end == Self.givenUp {
        var search = ThoroughSearch(self, text, from: 0)
        end = search.end(at: 0)
      }
      return end >= 0
    }
  }

  /// The text of the group asked for where the expression matches at the beginning of `text`.
  package func group(in text: String) -> String? {
    withUTF8(text) { text in
      var search = ThoroughSearch(self, text, from: 0)
      guard search.end(at: 0) >= 0, let range = search.group(at: 0) else { return nil }
      return String(decoding: text[range], as: UTF8.self)
    }
  }

  private func withUTF8<R>(_ text: String, _ body: (UnsafeBufferPointer<UInt8>) -> R) -> R {
    var text = text
    return text.withUTF8(body)
  }

  /// How many steps of backtracking a text may take before ``ThoroughSearch`` costs no more.
  private func allowance(for count: Int) -> Int {
    2_000 + (count + 1) * (32 + program.count)
  }
}
