/// The filter `wordwrap`, as Python's `textwrap` breaks lines.
extension Interpreter {
  func wrapping(_ value: Value, _ arguments: CallArguments) throws(Failure) -> Text {
    let given = try arguments.bound(
      to: ["width", "break_long_words", "wrapstring", "break_on_hyphens"], of: "wordwrap")
    let width = try given[0].map { (value) throws(Failure) in try integer(value, "wordwrap") } ?? 79
    let text = try text(value, "wordwrap")
    guard width > 0 || text.isEmpty else { throw .value("\"wordwrap\" needs a width above 0") }
    try charge(copies: text.count)
    let separator =
      try given.given(2).map { (value) throws(Failure) in
        try self.text(value, "wordwrap")
      } ?? "\n"
    let wrap = WordWrap(
      width: width, breaksWords: given[1]?.isTrue ?? true, breaksHyphens: given[3]?.isTrue ?? true)
    let lines = text.lines().map { separator.joining(wrap.lines(of: $0)) }
    return separator.joining(lines)
  }
}

private struct WordWrap {
  let width: Int
  let breaksWords: Bool
  let breaksHyphens: Bool

  /// ASCII's white space, which is all that `textwrap` knows.
  private func isSpace(_ scalar: Unicode.Scalar) -> Bool {
    (0x09...0x0D).contains(scalar.value) || scalar == " "
  }

  /// Words and the spaces between them; words end after hyphens between letters.
  private func chunks(_ text: Text) -> [Text] {
    var result: [Text] = []
    var index = 0
    while index < text.count {
      let start = index
      if isSpace(text.scalars[index]) {
        while index < text.count, isSpace(text.scalars[index]) { index += 1 }
        result.append(text[start..<index])
        continue
      }
      while index < text.count, !isSpace(text.scalars[index]) { index += 1 }
      result += breaksHyphens ? hyphenated(text[start..<index]) : [text[start..<index]]
    }
    return result
  }

  private func hyphenated(_ word: Text) -> [Text] {
    var result: [Text] = []
    var start = 0
    let scalars = word.scalars
    func isLetter(_ index: Int) -> Bool {
      scalars.indices.contains(index) && scalars[index].isPythonWord
        && !scalars[index].isPythonDecimal
    }
    var index = 0
    while index < scalars.count {
      defer { index += 1 }
      guard scalars[index] == "-" else { continue }
      if index + 1 < scalars.count, scalars[index + 1] == "-" {
        // A dash of two hyphens and more is a piece of its own.
        var end = index
        while end < scalars.count, scalars[end] == "-" { end += 1 }
        if index > start, end < scalars.count, scalars[end].isPythonWord,
          scalars[index - 1].isPythonWord || "!\"'&.,?".unicodeScalars.contains(scalars[index - 1])
        {
          result.append(word[start..<index])
          result.append(word[index..<end])
          start = end
        }
        index = end - 1
        continue
      }
      if isLetter(index - 1),
        isLetter(index - 2) || (index >= 2 && scalars[index - 2] == "-" && isLetter(index - 3)),
        isLetter(index + 1),
        isLetter(index + 2) || (index + 2 < scalars.count && scalars[index + 2] == "-")
      {
        result.append(word[start...index])
        start = index + 1
      }
    }
    if start < scalars.count { result.append(word[start..<scalars.count]) }
    return result
  }

  func lines(of text: Text) -> [Text] {
    var chunks = Array(chunks(text).reversed())
    var result: [Text] = []
    while !chunks.isEmpty {
      var line: [Text] = []
      var count = 0
      if let last = chunks.last, !result.isEmpty, last.scalars.allSatisfy(\.isPythonSpace) {
        chunks.removeLast()
      }
      while let next = chunks.last, count + next.count <= width {
        line.append(next)
        count += next.count
        chunks.removeLast()
      }
      if let next = chunks.last, next.count > width {
        breakLong(next, &chunks, &line, count)
        count = line.reduce(0) { $0 + $1.count }
      }
      if let last = line.last, last.scalars.allSatisfy(\.isPythonSpace) { line.removeLast() }
      if !line.isEmpty { result.append(Text().joining(line)) }
    }
    return result
  }

  private func breakLong(
    _ word: Text, _ chunks: inout [Text], _ line: inout [Text], _ count: Int
  ) {
    let space = width < 1 ? 1 : width - count
    if breaksWords {
      var end = space
      if breaksHyphens, word.count > space {
        let hyphen = word.lastIndex(of: "-", to: max(0, min(space, word.count)))
        if let hyphen, hyphen > 0, word.scalars[..<hyphen].contains(where: { $0 != "-" }) {
          end = hyphen + 1
        }
      }
      line.append(word.prefix(end))
      chunks[chunks.count - 1] = word[end..<word.count]
    } else if line.isEmpty {
      line.append(word)
      chunks.removeLast()
    }
  }
}

extension Text {
  fileprivate subscript(range: ClosedRange<Int>) -> Text { Text(scalars[range]) }
}
