import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Reads messages from a terminal that a person types on: with cursor keys, earlier messages, several
/// lines, and whole pastes. The terminal is as it was whenever no message is being typed.
struct LineEditor {
  /// Ctrl-C: what was typed is not wanted.
  struct Discarded: Error {}

  private var editing = LineEditing()
  private var decoder = KeyDecoder()
  /// What was read and not used yet: keys behind Enter.
  private var waiting: ArraySlice<UInt8> = []

  /// Adds what was said to the earlier messages.
  mutating func remember(_ text: String) { editing.remember(text) }

  /// The next text; nil at the end of the input.
  mutating func next(prompt: String, continuation: String) throws(Discarded) -> String? {
    guard lora_terminal_begin(STDIN_FILENO, STDERR_FILENO) else { return readLine() }
    defer { lora_terminal_end() }
    editing.begin()
    var row = 0
    func view() -> LineView {
      LineView(
        editing.buffer, prompt: prompt, continuation: continuation,
        columns: Terminal.columns(of: STDERR_FILENO)
      ).clipped(to: Terminal.rows(of: STDERR_FILENO))
    }
    func draw() {
      let view = view()
      StandardError.draw(view.drawn(fromRow: row))
      row = view.cursor.row
    }
    while true {
      if waiting.isEmpty {
        draw()
        guard let bytes = read() else {
          StandardError.draw(view().left)
          return nil
        }
        waiting = bytes[...]
      }
      guard let byte = waiting.popFirst(), let key = decoder.key(byte) else { continue }
      switch editing.take(key) {
      case .nothing: break
      case .finish:
        draw()
        StandardError.draw(view().left)
        return editing.buffer.text
      case .discard:
        _ = editing.take(.end)
        draw()
        StandardError.draw("^C" + view().left)
        throw Discarded()
      case .end:
        StandardError.draw(view().left)
        return nil
      case .suspend:
        draw()
        StandardError.draw(view().left)
        lora_terminal_suspend()
        row = 0
      case .clearScreen:
        StandardError.draw("\u{1B}[H\u{1B}[2J")
        row = 0
      }
    }
  }

  /// What the terminal sends next, nothing where it has changed; nil at the end.
  private func read() -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = bytes.withUnsafeMutableBytes { buffer in
        #if canImport(Glibc)
          Glibc.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        #elseif canImport(Musl)
          Musl.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        #else
          Darwin.read(STDIN_FILENO, buffer.baseAddress, buffer.count)
        #endif
      }
      if count > 0 { return Array(bytes.prefix(count)) }
      guard count < 0, errno == EINTR else { return nil }
      if lora_terminal_take_change() { return [] }
    }
  }
}
