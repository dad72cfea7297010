#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How far a command is, on standard error: a bar that is redrawn on a terminal, otherwise a line
/// every few seconds, and rarer ones as a run gets long.
struct Progress {
  private let clock = ContinuousClock()
  private let start = ContinuousClock().now
  private var last: ContinuousClock.Instant?
  private var first: (done: Int, time: ContinuousClock.Instant)?

  /// Reports that `done` of `total` steps are made; `parts` say how it goes, the most important
  /// first, and are asked for where a line is written; a terminal shows `curve` too.
  mutating func report(
    _ done: Int, of total: Int, _ parts: @autoclosure () -> [String], curve: Sparkline = Sparkline()
  ) {
    let now = clock.now
    // The first step is slower than others, so that the speed is taken from its end.
    let first = first ?? (done, now)
    self.first = first
    let elapsed = (now - start).seconds
    let pause = Terminal.isLive ? 0.1 : min(max(3, elapsed / 20), 60)
    if let last, (now - last).seconds < pause, done < total { return }
    last = now
    let steps = done - first.done
    let line = ProgressLine(
      done: done, total: total, parts: parts(), elapsed: elapsed,
      remaining: steps > 0
        ? (now - first.time).seconds / Double(steps) * Double(total - done) : nil, curve: curve)
    if Terminal.isLive {
      StandardError.redraw(
        line.bar(
          columns: Terminal.columns(of: STDERR_FILENO), hasBlocks: Terminal.hasNarrowBlocks,
          marks: Terminal.curveMarks))
    } else {
      StandardError.line(line.text)
    }
  }

  /// Leaves the bar as it is and goes to the next line.
  func finish() { StandardError.endBar() }
}
