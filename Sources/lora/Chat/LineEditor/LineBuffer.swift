/// A text that is being typed, and the place in it where the next character goes. It moves by whole
/// characters, as a person sees them: a letter and its accents are one.
struct LineBuffer: Equatable {
  private(set) var characters: [Character]
  /// How many characters are before the place.
  private(set) var cursor: Int
  /// What was deleted last as words or lines.
  private var deleted = ""

  init(_ text: String = "") {
    characters = Array(text)
    cursor = characters.count
  }

  var text: String { String(characters) }
  var isEmpty: Bool { characters.isEmpty }

  /// Replaces the text by another, with the place at its end.
  mutating func replace(by text: String) {
    characters = Array(text)
    cursor = characters.count
  }

  /// Inserts a text, which may join the character before it, as an accent does, or the one behind it.
  mutating func insert(_ text: String) {
    // Behind the next character nothing changes, whatever is inserted here.
    let first = max(0, cursor - 1)
    let before = String(characters[first..<cursor]) + text
    let end = min(characters.count, cursor + 1)
    let joined = Array(before + String(characters[cursor..<end]))
    characters.replaceSubrange(first..<end, with: joined)
    var bytes = 0
    cursor = first
    for character in joined where bytes < before.utf8.count {
      bytes += character.utf8.count
      cursor += 1
    }
  }

  // MARK: Moving

  mutating func move(by count: Int) { cursor = min(max(0, cursor + count), characters.count) }
  mutating func move(to place: Int) { cursor = min(max(0, place), characters.count) }

  /// The beginning and the end of the line of the place.
  var line: Range<Int> {
    let start = characters[..<cursor].lastIndex(of: "\n").map { $0 + 1 } ?? 0
    return start..<(characters[cursor...].firstIndex(of: "\n") ?? characters.count)
  }

  /// The beginning of the word before the place, and the end of the one behind it.
  var wordStart: Int {
    let end = characters[..<cursor].lastIndex(where: Self.isWord) ?? 0
    return characters[..<end].lastIndex { !Self.isWord($0) }.map { $0 + 1 } ?? 0
  }
  var wordEnd: Int {
    let start = characters[cursor...].firstIndex(where: Self.isWord) ?? characters.count
    return characters[start...].firstIndex { !Self.isWord($0) } ?? characters.count
  }

  private static func isWord(_ character: Character) -> Bool {
    character.isLetter || character.isNumber || character == "_"
  }

  /// Moves to the line above or below, to the same column or the line's end; false if there is none.
  mutating func moveLine(up: Bool) -> Bool {
    let line = line
    let column = Columns.width(of: String(characters[line.lowerBound..<cursor]))
    if up {
      guard line.lowerBound > 0 else { return false }
      cursor = line.lowerBound - 1
    } else {
      guard line.upperBound < characters.count else { return false }
      cursor = line.upperBound + 1
    }
    let target = self.line
    cursor = target.lowerBound
    var width = 0
    while cursor < target.upperBound {
      width += Columns.width(of: characters[cursor])
      if width > column { break }
      cursor += 1
    }
    return true
  }

  // MARK: Deleting

  mutating func deleteLeft() {
    if cursor > 0 { remove(cursor - 1..<cursor) }
  }

  mutating func deleteRight() {
    if cursor < characters.count { remove(cursor..<cursor + 1) }
  }

  /// Deletes what can be put back.
  mutating func cut(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    deleted = String(characters[range])
    remove(range)
  }

  mutating func putBack() { insert(deleted) }

  private mutating func remove(_ range: Range<Int>) {
    let rest = String(characters[range.upperBound...])
    cursor = range.lowerBound
    characters.removeSubrange(cursor...)
    // What follows may join what is before now.
    let place = cursor
    insert(rest)
    cursor = min(place, characters.count)
  }
}
