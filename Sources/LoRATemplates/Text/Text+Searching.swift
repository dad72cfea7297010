extension Text {
  /// Whether `other` stands at `index`.
  func matches(_ other: Text, at index: Int) -> Bool {
    guard index >= 0, index + other.count <= count else { return false }
    var offset = 0
    while offset < other.count {
      if scalars[index + offset] != other.scalars[offset] { return false }
      offset += 1
    }
    return true
  }

  /// The first place of `other` from `start` on that ends by `end`; nil if there is none.
  func firstIndex(of other: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
    let end = end ?? count
    guard start <= end - other.count else { return nil }
    guard let first = other.scalars.first else { return start }
    var index = start
    let last = end - other.count
    while index <= last {
      if scalars[index] == first, matches(other, at: index) { return index }
      index += 1
    }
    return nil
  }

  /// The last place of `other` from `start` on that ends by `end`; nil if there is none.
  func lastIndex(of other: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
    var index = (end ?? count) - other.count
    while index >= start {
      if matches(other, at: index) { return index }
      index -= 1
    }
    return nil
  }

  func contains(_ other: Text) -> Bool { firstIndex(of: other) != nil }

  /// Places of `other` that do not overlap.
  func occurrences(of other: Text, from start: Int = 0, to end: Int? = nil) -> Int {
    let end = end ?? count
    if other.isEmpty { return start <= end ? end - start + 1 : 0 }
    var result = 0
    var index = start
    while let found = firstIndex(of: other, from: index, to: end) {
      result += 1
      index = found + other.count
    }
    return result
  }

  /// The text with the first `limit` occurrences replaced, all of them where it is negative.
  func replacing(_ old: Text, with new: Text, limit: Int = -1) -> Text {
    var left = limit < 0 ? Int.max : limit
    var result: [Unicode.Scalar] = []
    if old.isEmpty {
      for (index, scalar) in scalars.enumerated() {
        if index < left { result += new.scalars }
        result.append(scalar)
      }
      if count < left { result += new.scalars }
      return Text(result)
    }
    var index = 0
    while left > 0, let found = firstIndex(of: old, from: index) {
      result += scalars[index..<found]
      result += new.scalars
      index = found + old.count
      left -= 1
    }
    result += scalars[index...]
    return Text(result)
  }

  func trimmed(
    left: Bool = true, right: Bool = true, where isTrimmed: (Unicode.Scalar) -> Bool
  ) -> Text {
    var start = 0
    var end = count
    if left { while start < end, isTrimmed(scalars[start]) { start += 1 } }
    if right { while end > start, isTrimmed(scalars[end - 1]) { end -= 1 } }
    return start == 0 && end == count ? self : self[start..<end]
  }
}
