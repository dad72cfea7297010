import Foundation
import LoRAJSON
import Testing

@testable import lora

#if os(Linux)
  #if canImport(Glibc)
    import Glibc
  #else
    import Musl
  #endif

  /// Conversations on a terminal: keys are pressed once the prompt is there, and the terminal is as it was
  /// behind every end.
  @Suite(.timeLimit(.minutes(2))) struct ChatTerminalTests {
    /// A terminal with `lora chat` on it.
    private final class Typist {
      let master: Int32
      let slave: Int32
      let process = Process()
      private(set) var shown = ""
      private let before: termios

      init(_ arguments: [String]) throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        // TIOCSPTLCK and TIOCGPTN, which the overlay of the C library leaves out, as it does grantpt.
        var (lock, number): (Int32, UInt32) = (0, 0)
        try #require(
          master >= 0 && ioctl(master, 0x4004_5431, &lock) == 0
            && ioctl(master, 0x8004_5430, &number) == 0)
        slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
        try #require(slave >= 0)
        var size = winsize(ws_row: 24, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(slave, UInt(TIOCSWINSZ), &size)
        var settings = termios()
        tcgetattr(slave, &settings)
        before = settings
        process.executableURL = Command.binary
        process.arguments = ["chat", "--max-tokens", "3"] + arguments
        var environment = ProcessInfo.processInfo.environment
        environment["TERM"] = "xterm"
        environment["COLUMNS"] = nil
        process.environment = environment
        let file = FileHandle(fileDescriptor: slave)
        process.standardInput = file
        process.standardOutput = file
        process.standardError = file
        try process.run()
      }

      deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
        close(master)
        close(slave)
      }

      /// Whether the terminal is what it was before.
      var isGivenBack: Bool {
        var now = termios()
        tcgetattr(slave, &now)
        return now.c_lflag == before.c_lflag && now.c_iflag == before.c_iflag
      }

      /// Waits for `text` behind all that was waited for before.
      func wait(for text: String) throws {
        var seen = Substring(shown)
        shown = ""
        var bytes: [UInt8] = []
        while !seen.contains(text) {
          var poll = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
          let isReady = Foundation.poll(&poll, 1, 60_000) == 1
          var buffer = [UInt8](repeating: 0, count: 4096)
          let count = isReady ? read(master, &buffer, buffer.count) : 0
          guard count > 0 else { throw Command.Unexpected(text: "no '\(text)' in \(seen)") }
          bytes += buffer.prefix(count)
          // A character may come in two pieces.
          if let more = String(validating: bytes, as: UTF8.self) {
            seen += more
            bytes = []
          }
        }
        if let range = seen.range(of: text) { shown = String(seen[range.upperBound...]) }
      }

      func press(_ keys: String) {
        var bytes = Array(keys.utf8)[...]
        while !bytes.isEmpty {
          let count = bytes.withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
          guard count > 0 else { return }
          bytes = bytes.dropFirst(count)
        }
      }

      func end() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
      }
    }

    private func model() throws -> String {
      let folder = try Fixtures.modelWithTokenizer()
      try "{% for m in messages %}{{ m.content }}!{% endfor %}".write(
        toFile: folder + "/chat_template.jinja", atomically: true, encoding: .utf8)
      return folder
    }

    @Test func messagesAreEdited() throws {
      let saved = try Command.temporaryFolder() + "/saved.json"
      let typist = try Typist(["--model", try model()])
      try typist.wait(for: "\u{1B}[?2004h")
      try typist.wait(for: "> ")
      #expect(!typist.isGivenBack)
      for (keys, turn) in [
        // Cursor keys, words, wide characters and an accent.
        ("ello\u{1B}[HH\u{1B}[F 日本語\u{1B}[D\u{7F} e\u{301}x\u{7F}\r", 1),
        // A paste is one message, and Enter in it says nothing.
        ("\u{1B}[200~one\r\ntwo\u{1B}[201~\r", 2),
        // The message before the last, changed; and what Ctrl-C discards.
        ("junk\u{3}", 2), ("\u{1B}[A\u{1B}[A\u{1B}[A\u{1B}[F!\r", 3), ("a\u{1B}\rb\r", 4),
      ] {
        typist.press(keys)
        // The prompt of the next message: the last thing that is drawn.
        try typist.wait(for: turn == 2 && keys.hasPrefix("junk") ? "^C" : "\u{1B}[?2004l")
        try typist.wait(for: "\u{1B}[?2004h")
      }
      typist.press("/save \(saved)\r")
      try typist.wait(for: "8 messages")
      try typist.wait(for: "\u{1B}[?2004h")
      typist.press("\u{4}")
      #expect(typist.end() == 0)
      #expect(typist.isGivenBack)
      let messages = try #require(
        try JSONValue(parsing: String(contentsOfFile: saved, encoding: .utf8)).arrayValue)
      #expect(
        messages.filter { $0["role"]?.stringValue == "user" }.map { $0["content"]?.stringValue }
          == ["Hello 日 e\u{301}語", "one\ntwo", "Hello 日 e\u{301}語!", "a\nb"])
    }

    @Test(arguments: [SIGTERM, SIGHUP]) func theTerminalIsGivenBack(signal: Int32) throws {
      let typist = try Typist(["--model", try model()])
      try typist.wait(for: "> ")
      typist.press("half a mess")
      try typist.wait(for: "mess")
      #expect(!typist.isGivenBack)
      kill(typist.process.processIdentifier, signal)
      #expect(typist.end() == signal && typist.process.terminationReason == .uncaughtSignal)
      #expect(typist.isGivenBack)
      try typist.wait(for: "\u{1B}[?2004l")
    }
  }
#endif
