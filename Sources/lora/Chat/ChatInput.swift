import LoRAFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a person types: lines, of which a backslash at the end or three quotes join several. On a terminal
/// they are edited; from anywhere else they are read as they are.
struct ChatInput {
  private static let isTerminal = isatty(STDIN_FILENO) == 1
  private static let quotes = "\"\"\""
  private static let continuation = "\u{2026} "
  private var editor = isTerminal && Terminal.isLive ? LineEditor() : nil

  /// The next message; nil at the end of the input.
  mutating func next(prompt: String) -> String? {
    while true {
      do {
        guard let text = try message(prompt) else { return nil }
        editor?.remember(text)
        return text
      } catch {
        // All lines of a discarded message are.
      }
    }
  }

  private mutating func message(_ prompt: String) throws(LineEditor.Discarded) -> String? {
    guard var text = try line(prompt) else { return nil }
    if text.hasPrefix(Self.quotes) {
      var lines: [String] = []
      var rest: Substring? = text.dropFirst(Self.quotes.count)
      while let part = rest {
        if part.hasSuffix(Self.quotes) {
          lines.append(String(part.dropLast(Self.quotes.count)))
          break
        }
        lines.append(String(part))
        rest = try line(Self.continuation).map { Substring($0) }
      }
      return String(lines.joined(separator: "\n").drop { $0 == "\n" })
    }
    while text.hasSuffix("\\") {
      text.removeLast()
      guard let more = try line(Self.continuation) else { break }
      text += "\n" + more
    }
    return text
  }

  private mutating func line(_ prompt: String) throws(LineEditor.Discarded) -> String? {
    if editor != nil { return try editor?.next(prompt: prompt, continuation: Self.continuation) }
    if Self.isTerminal { StandardError.prompt(prompt) }
    return readLine()
  }
}
