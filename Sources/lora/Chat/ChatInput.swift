import LoRAFiles

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// What a person types: lines, of which a backslash at the end or three quotes join several.
struct ChatInput {
  private static let isTerminal = isatty(STDIN_FILENO) == 1
  private static let quotes = "\"\"\""

  /// The next message; nil at the end of the input.
  func next(prompt: String) -> String? {
    guard var text = line(prompt) else { return nil }
    if text.hasPrefix(Self.quotes) {
      var lines: [String] = []
      var rest: Substring? = text.dropFirst(Self.quotes.count)
      while let part = rest {
        if part.hasSuffix(Self.quotes) {
          lines.append(String(part.dropLast(Self.quotes.count)))
          break
        }
        lines.append(String(part))
        rest = line("\u{2026} ").map { Substring($0) }
      }
      return lines.joined(separator: "\n").trimmingPrefix { $0 == "\n" }.description
    }
    while text.hasSuffix("\\") {
      text.removeLast()
      guard let more = line("\u{2026} ") else { break }
      text += "\n" + more
    }
    return text
  }

  private func line(_ prompt: String) -> String? {
    if Self.isTerminal { StandardError.prompt(prompt) }
    return readLine()
  }
}
