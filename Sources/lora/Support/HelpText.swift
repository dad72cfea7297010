/// Help for the width of a terminal.
///
/// Examples keep their lines, so that a pasted one is whole: a terminal that is too narrow breaks
/// them for the eye only.
enum HelpText {
  /// Where ArgumentParser begins what it says about an option or a command.
  static let column = 26

  /// The columns that help is written for, where the terminal has `columns`: lines of more than 100
  /// are hard to read.
  static func columns(_ columns: Int) -> Int { min(max(columns, 20), 100) }

  /// `help`, of lines as long as they like, with lines of at most `columns` as far as words allow.
  static func wrapped(_ help: String, columns: Int) -> String {
    help.split(separator: "\n", omittingEmptySubsequences: false)
      .map { wrapped(line: String($0), columns: columns) }.joined(separator: "\n")
  }

  /// Whether the line is a command to paste.
  static func isExample(_ line: some StringProtocol) -> Bool { line.hasPrefix("  lora ") }

  /// What stands in the first column of a line about an option or a command, and the rest.
  static func split(_ line: String) -> (label: String, text: String)? {
    guard line.hasPrefix("  "), line.count > 2 else { return nil }
    guard line.count > column else { return (line, "") }
    let place = line.index(line.startIndex, offsetBy: column)
    guard line[line.index(before: place)] == " ", line[place] != " " else { return (line, "") }
    return (String(line[..<place]), String(line[place...]))
  }

  private static func wrapped(line: String, columns: Int) -> String {
    guard line.count > columns, !isExample(line) else { return line }
    if line.hasPrefix("USAGE: ") { return broken(words(ofUsage: line), columns - 2, indent: 2) }
    let indent = line.prefix { $0 == " " }.count
    // A column of descriptions needs room beside it.
    let isNarrow = columns < 2 * column
    guard indent < 3, let (label, text) = split(line), !text.isEmpty else {
      let text = line.drop { $0 == " " }.split(separator: " ").map(String.init)
      let depth = isNarrow ? min(indent, 4) : indent
      return String(repeating: " ", count: depth) + broken(text, columns - depth, indent: depth)
    }
    let words = text.split(separator: " ").map(String.init)
    if isNarrow {
      let name = label.drop { $0 == " " }.split(separator: " ").joined(separator: " ")
      return "  \(name)\n    " + broken(words, columns - 4, indent: 4)
    }
    return label + broken(words, columns - column, indent: column)
  }

  /// The words in lines of `columns`, the lines after the first with spaces before them.
  private static func broken(_ words: [String], _ columns: Int, indent: Int) -> String {
    var lines: [String] = []
    for word in words {
      if let last = lines.last, last.count + 1 + word.count <= columns {
        lines[lines.count - 1] = last + " " + word
      } else {
        lines.append(word)
      }
    }
    return lines.joined(separator: "\n" + String(repeating: " ", count: indent))
  }

  /// The parts of a usage line that belong together: an option and its value.
  private static func words(ofUsage line: String) -> [String] {
    var words: [String] = []
    var isOpen = false
    for word in line.split(separator: " ") {
      if isOpen || word.hasPrefix("<"), let last = words.popLast() {
        words.append(last + " " + word)
      } else {
        words.append(String(word))
      }
      if word.hasPrefix("[") { isOpen = true }
      if word.hasSuffix("]") { isOpen = false }
    }
    return words
  }
}
