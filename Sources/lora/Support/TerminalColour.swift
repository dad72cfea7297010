import Foundation

/// What tells one line of a terminal from another, where there is a terminal that shows colours.
enum TerminalColour: Int {
  case bold = 1
  case faint = 2
  case green = 32
  case cyan = 36

  /// Whether colours are wanted: by a terminal, and unless the variable NO_COLOR says otherwise
  /// (https://no-color.org).
  static let isOn =
    StandardOutput.isTerminal && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    && (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty

  /// `text`, which has no control characters, in this colour.
  func applied(to text: String) -> String {
    Self.isOn ? "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" : text
  }
}
