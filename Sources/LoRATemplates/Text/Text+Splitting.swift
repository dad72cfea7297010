/// Splitting as Python's `str` does it.
extension Text {
  /// At runs of white space, which begin and end nothing.
  func words(limit: Int = -1) -> [Text] {
    var result: [Text] = []
    var index = 0
    while true {
      while index < count, scalars[index].isPythonSpace { index += 1 }
      guard index < count else { return result }
      if limit >= 0, result.count >= limit {
        return result + [self[index..<count]]
      }
      let start = index
      while index < count, !scalars[index].isPythonSpace { index += 1 }
      result.append(self[start..<index])
    }
  }

  func wordsFromRight(limit: Int) -> [Text] {
    var result: [Text] = []
    var index = count
    while true {
      while index > 0, scalars[index - 1].isPythonSpace { index -= 1 }
      guard index > 0 else { return result.reversed() }
      if limit >= 0, result.count >= limit {
        return (result + [self[0..<index]]).reversed()
      }
      let end = index
      while index > 0, !scalars[index - 1].isPythonSpace { index -= 1 }
      result.append(self[index..<end])
    }
  }

  func split(at separator: Text, limit: Int = -1) -> [Text] {
    var result: [Text] = []
    var index = 0
    while limit < 0 || result.count < limit,
      let found = firstIndex(of: separator, from: index)
    {
      result.append(self[index..<found])
      index = found + separator.count
    }
    return result + [self[index..<count]]
  }

  func splitFromRight(at separator: Text, limit: Int) -> [Text] {
    var result: [Text] = []
    var end = count
    while limit < 0 || result.count < limit, let found = lastIndex(of: separator, to: end) {
      result.append(self[found + separator.count..<end])
      end = found
    }
    return (result + [self[0..<end]]).reversed()
  }

  func lines(keepingEnds: Bool = false) -> [Text] {
    var result: [Text] = []
    var start = 0
    var index = 0
    while index < count {
      guard scalars[index].isPythonLineEnd else {
        index += 1
        continue
      }
      let end = index
      index += scalars[index] == "\r" && index + 1 < count && scalars[index + 1] == "\n" ? 2 : 1
      result.append(self[start..<(keepingEnds ? index : end)])
      start = index
    }
    if start < count { result.append(self[start..<count]) }
    return result
  }

  func joining(_ parts: [Text]) -> Text {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(parts.reduce(0) { $0 + $1.count + count })
    for (index, part) in parts.enumerated() {
      if index > 0 { result += scalars }
      result += part.scalars
    }
    return Text(result)
  }
}
