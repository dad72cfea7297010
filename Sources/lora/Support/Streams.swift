import LoRAFiles
import LoRAJSON
import LoRATensor
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Writes all of `text` to an open file; the error number if that fails, otherwise nil.
private func write(_ text: String, to descriptor: Int32) -> Int32? {
  let bytes = Array(text.utf8)
  var done = 0
  while done < bytes.count {
    let count = bytes[done...].withUnsafeBytes { buffer in
      #if canImport(Glibc)
        Glibc.write(descriptor, buffer.baseAddress, buffer.count)
      #elseif canImport(Musl)
        Musl.write(descriptor, buffer.baseAddress, buffer.count)
      #else
        Darwin.write(descriptor, buffer.baseAddress, buffer.count)
      #endif
    }
    if count < 0, errno == EINTR { continue }
    guard count > 0 else { return errno }
    done += count
  }
  return nil
}

/// Nobody reads standard output any more, as in `lora score ... | head -1`: a quiet end.
struct ReaderLeftError: Error {}

/// Where results go. Whatever comes from files is escaped here, so that no command can forget to.
enum StandardOutput {
  /// Whether somebody watches: a terminal, which obeys control characters.
  static let isTerminal = isatty(STDOUT_FILENO) == 1

  private static func write(_ text: String) throws {
    if let code = lora.write(text, to: STDOUT_FILENO) {
      if code == EPIPE { throw ReaderLeftError() }
      throw FileError(
        path: "standard output", operation: "write", reason: String(cString: strerror(code)))
    }
  }

  /// Writes `text` as one line: control characters are escaped, line breaks in it too.
  static func line(_ text: String = "") throws {
    try write(TerminalText.line(text) + "\n")
  }

  /// Writes lines, each as ``line(_:)`` does, at once.
  static func lines(_ lines: [String]) throws {
    try write(lines.map { TerminalText.line($0) + "\n" }.joined())
  }

  /// Writes a text of this program's own lines, each as ``line(_:)`` does.
  static func text(_ text: String) throws {
    try lines(text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init))
  }

  /// Writes this program's own text, as help, which has lines.
  static func help(_ text: String) throws { try write(TerminalText.lines(text)) }

  /// Writes a piece of what a model says at once, as it comes: to a pipe or a file as it is, to a
  /// terminal without control characters.
  static func generated(_ text: String) throws {
    try write(isTerminal ? TerminalText.generated(text) : text)
  }

  /// Writes such a piece in another colour where somebody watches, each line of its own: pagers forget
  /// colours at line ends. Elsewhere it stands in `brackets`.
  static func generated(
    _ text: String, in colour: TerminalColour, brackets: (String, String)
  ) throws {
    guard TerminalColour.isOn else { return try generated(brackets.0 + text + brackets.1) }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    try write(
      lines.map { $0.isEmpty ? "" : colour.applied(to: TerminalText.generated(String($0))) }
        .joined(separator: "\n"))
  }

  /// Writes a line of this program's own, as ``line(_:)`` does, in another colour where somebody watches.
  static func line(_ text: String, in colour: TerminalColour) throws {
    try write(colour.applied(to: TerminalText.line(text)) + "\n")
  }

  /// Writes one JSON object on a line.
  static func json(_ object: JSONObject) throws {
    try write(TerminalText.json(object.encoded()) + "\n")
  }
}

/// Where progress, warnings and failures go, escaped as on standard output. A failure to write there
/// is nobody's business.
enum StandardError {
  /// Whether the last line is a bar that the next one takes the place of.
  private static let hasBar = Atomic<Bool>(false)

  /// The most characters of a message: what is quoted in one may be as long as a file.
  private static let longest = 4000

  private static func write(_ text: String) { _ = lora.write(text, to: STDERR_FILENO) }

  private static let said = Locked<[String]>([])

  /// The warnings and notes of this process, for reports: lines that begin with `warning: ` or `note: `, at
  /// most 200.
  static var notices: [String] { said.withLock { $0 } }

  /// Writes `text` as one line, over a bar if there is one.
  static func line(_ text: String) {
    if text.hasPrefix("warning: ") || text.hasPrefix("note: ") {
      said.withLock { if $0.count < 200 { $0.append(text) } }
    }
    let isOverBar = hasBar.exchange(false, ordering: .relaxed)
    write((isOverBar ? "\r\u{1B}[K" : "") + shown(text) + "\n")
  }

  /// Asks for input on the line that it begins.
  static func prompt(_ text: String) { write(TerminalText.line(text)) }

  /// Writes what moves and draws on a terminal; texts in it were escaped where it was made.
  static func draw(_ text: String) { write(text) }

  /// `text` as it is written: one line, in which nothing is obeyed by a terminal.
  static func shown(_ text: String) -> String { TerminalText.line(text, limit: longest) }

  /// Draws `bar` in the place of the one before.
  static func redraw(_ bar: String) {
    hasBar.store(true, ordering: .relaxed)
    write("\r\(TerminalText.line(bar))\u{1B}[K")
  }

  /// Leaves a bar that is there, and begins a new line.
  static func endBar() {
    if hasBar.exchange(false, ordering: .relaxed) { write("\n") }
  }

  /// The first few of `texts`, and how many more there are: a model has many layers.
  static func warnings(_ texts: [String]) {
    for text in texts.prefix(3) { line("warning: \(text)") }
    if texts.count > 3 { line("warning: the same of \(texts.count - 3) more") }
  }
}

/// A file that lines are appended to as they come, as a training's log.
struct LineFile {
  private let writer: FileWriter

  /// Creates the file, and the folder that holds it, with `lines` in it; what was in it goes.
  init(path: String, beginningWith lines: [UInt8] = []) throws(FileError) {
    writer = try FileWriter(appendingTo: path, beginningWith: lines)
  }

  func append(_ object: JSONObject) throws(FileError) {
    try writer.write(object.encoded() + "\n")
  }
}
