/// A message that is being typed, and the ones that were said before: what keys do to them.
struct LineEditing {
  /// What a key asks of the terminal, beside showing the text.
  enum Request: Equatable {
    case nothing
    /// The text is complete.
    case finish
    case discard
    case end
    case suspend
    case clearScreen
  }

  private(set) var buffer = LineBuffer()
  /// What was said, the oldest first.
  private var said: [String] = []
  /// Which of them is shown; their count for the text that is new.
  private var shown = 0
  /// The new text, while an earlier one is shown.
  private var new = ""

  /// Begins a new text.
  mutating func begin() {
    buffer = LineBuffer()
    shown = said.count
    new = ""
  }

  /// Adds what was said, unless it is what was said last.
  mutating func remember(_ text: String) {
    if !text.allSatisfy(\.isWhitespace), said.last != text { said.append(text) }
  }

  /// Does what a key asks for.
  mutating func take(_ key: Key) -> Request {
    switch key {
    case .text(let text), .paste(let text): buffer.insert(text)
    case .newLine: buffer.insert("\n")
    case .enter: return .finish
    case .left: buffer.move(by: -1)
    case .right: buffer.move(by: 1)
    case .wordLeft: buffer.move(to: buffer.wordStart)
    case .wordRight: buffer.move(to: buffer.wordEnd)
    case .lineStart: buffer.move(to: buffer.line.lowerBound)
    case .lineEnd: buffer.move(to: buffer.line.upperBound)
    case .start: buffer.move(to: 0)
    case .end: buffer.move(to: .max)
    case .up: if !buffer.moveLine(up: true) { show(shown - 1) }
    case .down: if !buffer.moveLine(up: false) { show(shown + 1) }
    case .earlier: show(shown - 1)
    case .later: show(shown + 1)
    case .deleteLeft: buffer.deleteLeft()
    case .deleteRight: buffer.deleteRight()
    case .deleteWordLeft: buffer.cut(buffer.wordStart..<buffer.cursor)
    case .deleteWordRight: buffer.cut(buffer.cursor..<buffer.wordEnd)
    case .deleteToLineStart: buffer.cut(buffer.line.lowerBound..<buffer.cursor)
    case .deleteToLineEnd: buffer.cut(buffer.cursor..<buffer.line.upperBound)
    case .putBack: buffer.putBack()
    case .interrupt: return .discard
    case .endOfInput:
      // Behind a text that was begun it deletes, as in shells.
      if buffer.isEmpty { return .end }
      buffer.deleteRight()
    case .suspend: return .suspend
    case .clearScreen: return .clearScreen
    }
    return .nothing
  }

  /// Shows one of the texts that were said, or the new one behind them.
  private mutating func show(_ index: Int) {
    guard (0...said.count).contains(index), index != shown else { return }
    if shown == said.count { new = buffer.text }
    shown = index
    buffer.replace(by: index == said.count ? new : said[index])
  }
}
