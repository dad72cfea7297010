import LoRAFiles

/// The rows of a terminal that show a text that is being typed, and where in them the cursor is.
struct LineView: Equatable {
  private(set) var rows: [String]
  private(set) var cursor: (row: Int, column: Int)

  static func == (a: LineView, b: LineView) -> Bool { a.rows == b.rows && a.cursor == b.cursor }

  /// Lays out `buffer` behind `prompt`, later lines behind `continuation`, in rows of fewer than `columns`:
  /// some terminals begin a new line behind the last one.
  init(_ buffer: LineBuffer, prompt: String, continuation: String, columns: Int) {
    let limit = max(4, columns - 1)
    (rows, cursor) = ([prompt], (0, 0))
    var used = Columns.width(of: prompt)
    func place() -> (Int, Int) { (rows.count - 1, used) }
    for (index, character) in buffer.characters.enumerated() {
      if index == buffer.cursor { cursor = place() }
      if character == "\n" {
        rows.append(continuation)
        used = Columns.width(of: continuation)
        continue
      }
      let shown = character == "\t" ? " " : TerminalText.generated(String(character))
      let width = Columns.width(of: shown)
      if used + width > limit, used > 0 {
        rows.append("")
        used = 0
        if index == buffer.cursor { cursor = place() }
      }
      rows[rows.count - 1] += shown
      used += width
    }
    if buffer.cursor == buffer.characters.count {
      if used >= limit {
        rows.append("")
        used = 0
      }
      cursor = place()
    }
  }

  /// The part of it that a window of `height` rows has room for, the cursor's row in it.
  func clipped(to height: Int) -> LineView {
    guard rows.count > max(1, height) else { return self }
    var view = self
    let first = min(max(0, cursor.row - height + 1), rows.count - height)
    view.rows = Array(rows[first..<first + height])
    view.cursor.row -= first
    return view
  }

  /// What draws it in the place of one whose cursor is in row `row` of it.
  func drawn(fromRow row: Int) -> String {
    var text = row > 0 ? "\r\u{1B}[\(row)A" : "\r"
    text += rows.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J\r"
    let up = rows.count - 1 - cursor.row
    if up > 0 { text += "\u{1B}[\(up)A" }
    if cursor.column > 0 { text += "\u{1B}[\(cursor.column)C" }
    return text
  }

  /// What moves from the cursor to the line behind the last row.
  var left: String {
    let down = rows.count - 1 - cursor.row
    return (down > 0 ? "\u{1B}[\(down)B" : "") + "\r\n"
  }
}
