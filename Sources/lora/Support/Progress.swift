/// How far a command is, on standard error: a bar that is redrawn on a terminal, otherwise a line
/// every few seconds.
struct Progress {
  private let clock = ContinuousClock()
  private var last: ContinuousClock.Instant?
  private var isDrawn = false

  /// Reports that `done` of `total` steps are made; `text` says how it goes.
  mutating func report(_ done: Int, of total: Int, _ text: String) {
    let now = clock.now
    let pause: Duration = StandardError.isTerminal ? .milliseconds(100) : .seconds(3)
    if let last, now - last < pause, done < total { return }
    last = now
    guard StandardError.isTerminal else { return StandardError.line("\(done)/\(total) \(text)") }
    let width = 24
    let filled = total > 0 ? min(width, width * done / total) : width
    let bar =
      String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
    StandardError.write("\r\u{1B}[K\(bar) \(done)/\(total) \(text)")
    isDrawn = true
  }

  /// Leaves the bar as it is and goes to the next line.
  mutating func finish() {
    if isDrawn { StandardError.write("\n") }
    isDrawn = false
  }
}
