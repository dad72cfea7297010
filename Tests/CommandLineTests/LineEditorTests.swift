import Testing

@testable import lora

/// What keys mean, what they do to a text, and how it is shown.
@Suite struct LineEditorTests {
  private func keys(_ bytes: [UInt8]) -> [Key] {
    var decoder = KeyDecoder()
    return bytes.compactMap { decoder.key($0) }
  }

  private func keys(_ text: String) -> [Key] { keys(Array(text.utf8)) }

  // MARK: Keys

  @Test func keysOfTerminals() {
    let sent: [(String, [Key])] = [
      ("aé日😀", [.text("a"), .text("é"), .text("日"), .text("😀")]),
      ("\r\n\u{7F}\u{8}\t", [.enter, .enter, .deleteLeft, .deleteLeft, .text("\t")]),
      ("\u{1B}[A\u{1B}OA\u{1B}[B\u{1B}[C\u{1B}[D", [.up, .up, .down, .right, .left]),
      ("\u{1B}[H\u{1B}[1~\u{1B}[7~\u{1B}OH\u{1}", Array(repeating: .lineStart, count: 5)),
      ("\u{1B}[F\u{1B}[4~\u{1B}[8~\u{1B}OF\u{5}", Array(repeating: .lineEnd, count: 5)),
      ("\u{1B}[1;5C\u{1B}[1;3C\u{1B}f", Array(repeating: .wordRight, count: 3)),
      ("\u{1B}[1;5D\u{1B}[1;3D\u{1B}b", Array(repeating: .wordLeft, count: 3)),
      (
        "\u{1B}[1;2C\u{1B}[3~\u{1B}[3;5~\u{1B}d",
        [.right, .deleteRight, .deleteWordRight, .deleteWordRight]
      ),
      (
        "\u{17}\u{1B}\u{7F}\u{15}\u{B}\u{19}",
        [.deleteWordLeft, .deleteWordLeft, .deleteToLineStart, .deleteToLineEnd, .putBack]
      ),
      ("\u{1B}\r\u{1B}[13;2u\u{1B}[27;2;13~", [.newLine, .newLine, .newLine]),
      ("\u{1B}\u{1B}[C", [.right]),
      (
        "\u{3}\u{4}\u{1A}\u{C}\u{10}\u{E}",
        [.interrupt, .endOfInput, .suspend, .clearScreen, .earlier, .later]
      ),
      // What is not known is not typed: function keys, reports, what is far too long.
      ("\u{1B}[[Ax\u{1B}[15~y\u{1B}OPz\u{1B}[?62;c", [.text("x"), .text("y"), .text("z")]),
      ("\u{1B}[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1Ax", [.up, .text("x")]),
    ]
    for (text, expected) in sent { #expect(keys(text) == expected, "\(text.debugDescription)") }
  }

  @Test func bytesThatAreNoText() {
    #expect(keys([0xFF, 0x61]) == [.text("\u{FFFD}"), .text("a")])
    #expect(keys([0xE6, 0x97, 0x61]) == [.text("a")])
    #expect(keys([0xE6, 0x97, 0xC3, 0xA9]) == [.text("\u{FFFD}"), .text("é")])
    // A surrogate.
    #expect(keys([0xED, 0xA0, 0x80]).count == 1)
  }

  @Test func aPasteIsWhole() {
    #expect(
      keys("\u{1B}[200~one\r\ntwo\rthree\n\tx\u{1B}[A\u{3}\u{1B}[201~y")
        == [.paste("one\ntwo\nthree\n\tx[A"), .text("y")])
    #expect(keys("\u{1B}[200~日本\u{1B}[201~") == [.paste("日本")])
    #expect(keys("\u{1B}[200~\u{1B}[201~") == [.paste("")])
  }

  /// Whatever comes, nothing traps, and a text stays one that can be shown.
  @Test func anyBytes() {
    var numbers = SystemRandomNumberGenerator()
    let parts = [
      "\u{1B}[", "\u{1B}", "1;5", "~", "A", "D", "\u{301}", "日", "e", "\n", "👨‍👩‍👧", "🇯🇵", "\u{7F}",
    ]
    for _ in 0..<300 {
      var (decoder, editing) = (KeyDecoder(), LineEditing())
      editing.remember("before")
      for _ in 0..<40 {
        let bytes =
          Bool.random(using: &numbers)
          ? Array((parts.randomElement(using: &numbers) ?? "").utf8)
          : [UInt8.random(in: 0...255, using: &numbers)]
        for byte in bytes {
          guard let key = decoder.key(byte) else { continue }
          _ = editing.take(key)
          let buffer = editing.buffer
          #expect((0...buffer.characters.count).contains(buffer.cursor))
          #expect(Array(buffer.text) == buffer.characters)
        }
      }
      for columns in [1, 7, 80] {
        let view = LineView(editing.buffer, prompt: "> ", continuation: "… ", columns: columns)
        #expect(view.rows.indices.contains(view.cursor.row))
      }
    }
  }

  // MARK: Texts

  private func editing(_ keys: [Key], behind said: [String] = []) -> LineEditing {
    var editing = LineEditing()
    for text in said { editing.remember(text) }
    editing.begin()
    for key in keys { _ = editing.take(key) }
    return editing
  }

  private func typed(_ text: String) -> [Key] { text.map { .text(String($0)) } }

  @Test func editsALine() {
    func text(_ keys: [Key]) -> String { editing(keys).buffer.text }
    #expect(text(typed("helo") + [.left, .text("l")]) == "hello")
    #expect(text(typed("one two") + [.deleteWordLeft, .text("x")]) == "one x")
    #expect(text(typed("one two, ") + [.wordLeft, .deleteWordLeft, .end, .putBack]) == "two, one ")
    #expect(text(typed("one two") + [.start, .deleteWordRight, .deleteRight]) == "two")
    #expect(
      text(typed("one two") + [.wordLeft, .deleteToLineStart, .lineEnd, .putBack]) == "twoone ")
    #expect(text(typed("one two") + [.lineStart, .wordRight, .deleteToLineEnd]) == "one")
    #expect(
      text([.deleteLeft, .deleteRight, .left, .right, .putBack, .wordLeft, .wordRight]) == "")
    #expect(text(typed("ab") + [.left, .endOfInput]) == "a")
  }

  @Test func charactersAreWhole() {
    // An accent joins its letter, and goes with it.
    let accent = editing(typed("e") + [.text("\u{301}"), .text("x"), .left])
    #expect(accent.buffer.characters == ["e\u{301}", "x"] && accent.buffer.cursor == 1)
    var buffer = accent.buffer
    buffer.deleteLeft()
    #expect(buffer.text == "x" && buffer.cursor == 0)
    #expect(editing(typed("日本語") + [.left, .deleteLeft]).buffer.text == "日語")
    // A family typed piece by piece is one character.
    let family = editing([
      .text("👨"), .text("\u{200D}"), .text("👩"), .text("a"), .left, .deleteLeft,
    ])
    #expect(family.buffer.text == "a")
    // A letter before an accent that stood alone.
    #expect(editing([.text("\u{301}"), .left, .text("e")]).buffer.characters == ["e\u{301}"])
  }

  @Test func linesOfOneText() {
    let keys = typed("日本") + [.newLine] + typed("abcdef") + [.newLine] + typed("xyz")
    let up = editing(keys + [.up, .up, .text("!")])
    #expect(up.buffer.text == "日!本\nabcdef\nxyz")
    #expect(editing(keys + [.up, .down, .text("!")]).buffer.text == "日本\nabcdef\nxyz!")
    #expect(editing(keys + [.up, .lineStart, .deleteToLineEnd]).buffer.text == "日本\n\nxyz")
    #expect(editing(keys + [.start, .lineEnd, .deleteRight]).buffer.text == "日本abcdef\nxyz")
    #expect(editing([.paste("a\nb"), .text("c")]).buffer.text == "a\nbc")
  }

  @Test func earlierMessages() {
    let said = ["one", "two\nlines", "two\nlines", " "]
    func text(_ keys: [Key]) -> String { editing(keys, behind: said).buffer.text }
    #expect(text([.up]) == "two\nlines" && text([.earlier, .earlier]) == "one")
    #expect(text([.up, .up, .up]) == "one" && text([.up, .up, .up, .up]) == "one")
    // What was begun is there again.
    #expect(text(typed("new") + [.earlier, .earlier, .later, .later, .later]) == "new")
    // An earlier one may be changed and stays as it was said.
    #expect(text([.earlier, .text("!")]) == "two\nlines!")
    #expect(text([.earlier, .text("!"), .later, .earlier]) == "two\nlines")
    var last = self.editing([.interrupt], behind: said)
    #expect(last.take(.endOfInput) == .end && last.take(.enter) == .finish)
    #expect(last.take(.text("x")) == .nothing && last.take(.endOfInput) == .nothing)
    #expect(last.take(.interrupt) == .discard)
  }

  // MARK: What is shown

  private func view(_ text: String, _ cursor: Int, columns: Int) -> LineView {
    var buffer = LineBuffer(text)
    buffer.move(to: cursor)
    return LineView(buffer, prompt: "> ", continuation: "… ", columns: columns)
  }

  @Test func rowsOfATerminal() {
    let plain = view("hello", 2, columns: 80)
    #expect(plain.rows == ["> hello"] && plain.cursor == (0, 4))
    let wrapped = view("abcdefgh", 8, columns: 7)
    #expect(wrapped.rows == ["> abcd", "efgh"] && wrapped.cursor == (1, 4))
    #expect(view("abcdefgh", 4, columns: 7).cursor == (1, 0))
    // The cursor needs a place behind a full row.
    #expect(view("abcd", 4, columns: 7).rows == ["> abcd", ""])
    let wide = view("日本語", 2, columns: 8)
    #expect(wide.rows == ["> 日本", "語"] && wide.cursor == (1, 0))
    #expect(view("日本語", 1, columns: 8).cursor == (0, 4))
    let lines = view("ab\ne\u{301}\t\u{1}", 5, columns: 20)
    #expect(lines.rows == ["> ab", "… e\u{301} \\u{1}"] && lines.cursor == (1, 4))
  }

  @Test func widthsOfCharacters() {
    let widths: [(Character, Int)] = [
      ("a", 1), ("é", 1), ("e\u{301}", 1), ("日", 2), ("ｱ", 1), ("Ａ", 2), ("한", 2), ("😀", 2),
      ("👨‍👩‍👧", 2),
      ("🇯🇵", 2), ("\u{301}", 0), ("\u{200B}", 0), ("…", 1), ("⌚", 2), ("が", 2), ("か\u{3099}", 2),
    ]
    for (character, width) in widths {
      #expect(Columns.width(of: character) == width, "\(character)")
    }
  }

  @Test func longTextsShowTheCursor() {
    let view = view((0..<30).map(String.init).joined(separator: "\n"), 0, columns: 80)
    #expect(
      view.rows.count == 30 && view.clipped(to: 5).rows == ["> 0", "… 1", "… 2", "… 3", "… 4"])
    let end = self.view((0..<30).map(String.init).joined(separator: "\n"), .max, columns: 80)
      .clipped(to: 4)
    #expect(end.rows == ["… 26", "… 27", "… 28", "… 29"] && end.cursor == (3, 4))
    #expect(view.clipped(to: 30) == view)
    #expect(
      self.view("ab\nc", 1, columns: 80).drawn(fromRow: 1)
        == "\r\u{1B}[1A> ab\u{1B}[K\r\n… c\u{1B}[K\u{1B}[J\r\u{1B}[1A\u{1B}[3C")
  }
}
