/// What a key of a terminal asks for.
enum Key: Equatable {
  /// A character, or what joins the one before.
  case text(String)
  /// What was pasted, with its lines.
  case paste(String)
  case enter, newLine
  case left, right, wordLeft, wordRight
  /// The beginning and the end of the line, and of all lines.
  case lineStart, lineEnd, start, end
  case up, down
  /// The message said before, and the one after it.
  case earlier, later
  case deleteLeft, deleteRight, deleteWordLeft, deleteWordRight, deleteToLineStart, deleteToLineEnd
  /// Puts back what was deleted as words or lines.
  case putBack
  case interrupt, endOfInput, suspend, clearScreen
}
