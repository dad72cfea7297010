import ArgumentParser
import Foundation
import Testing

@testable import lora

/// What people see: progress, help, what is wrong with arguments.
@Suite struct TerminalTests {
  // MARK: - Progress

  static let line = ProgressLine(
    done: 412, total: 850, parts: ["loss 0.0812", "2417 tokens/s", "gradient 0.312"], elapsed: 13,
    remaining: 3700)

  @Test func aLineForALog() {
    #expect(
      Self.line.text
        == "412/850, loss 0.0812, 2417 tokens/s, gradient 0.312, 0:13, 1:01:40 left")
    let last = ProgressLine(done: 9, total: 9, parts: [], elapsed: 61.6, remaining: 0)
    #expect(last.text == "9/9, 1:02")
  }

  @Test func aBarHasWhatFits() {
    func bar(_ columns: Int) -> String { Self.line.bar(columns: columns, hasBlocks: false) }
    let times = "0:13, 1:01:40 left"
    #expect(
      bar(120) == "###########............. 412/850, loss 0.0812, 2417 tokens/s, gradient 0.312, "
        + times)
    #expect(bar(80).hasSuffix("412/850, loss 0.0812, 2417 tokens/s, gradient 0.312, 1:01:40 left"))
    #expect(bar(60).hasSuffix(" 412/850, loss 0.0812, 2417 tokens/s, 1:01:40 left"))
    #expect(bar(40).hasSuffix(" 412/850, 1:01:40 left"))
    #expect(bar(20) == "#####...... 412/850")
    #expect(bar(10) == "412/850" && bar(5) == "48%" && bar(3) == "")
    #expect(Self.line.bar(columns: 20, hasBlocks: true) == "█████░░░░░░ 412/850")
  }

  /// Whatever the terminal and the numbers, a bar stays on its line.
  @Test(arguments: 1...140) func aBarStaysOnItsLine(columns: Int) {
    for (done, total) in [(0, 0), (0, 7), (7, 7), (9, 7), (123_456_789, 987_654_321)] {
      for remaining in [nil, 0, 59.6, 1e12, .infinity] as [Double?] {
        let line = ProgressLine(
          done: done, total: total, parts: Self.line.parts, elapsed: 1e7, remaining: remaining)
        #expect(line.bar(columns: columns, hasBlocks: true).count < columns)
      }
    }
  }

  /// A falling line of eight numbers, in eight heights of blocks or four of dots.
  @Test func aCurveOfAFewCharacters() {
    var curve = Sparkline()
    #expect(curve.text(columns: 8, marks: .blocks) == "")
    for number in stride(from: 8.0, to: 0, by: -1) { curve.add(number) }
    curve.add(.nan)
    #expect(curve.text(columns: 8, marks: .blocks) == "█▇▆▅▄▃▂▁")
    // Means of neighbours where there is less room.
    #expect(curve.text(columns: 4, marks: .blocks) == "█▆▃▁")
    #expect(curve.text(columns: 4, marks: .braille) == "\u{28FF}\u{28F6}\u{28E4}\u{28C0}")
    #expect(curve.text(columns: 0, marks: .blocks) == "")
    var flat = Sparkline()
    for _ in 0..<3 { flat.add(2) }
    #expect(flat.text(columns: 9, marks: .blocks) == "▁▁▁")
    // Any number of steps takes the same memory, and keeps its shape.
    var long = Sparkline()
    for step in 0..<100_000 { long.add(step < 50_000 ? 1 : 0) }
    #expect(long.values.count <= 128)
    #expect(long.text(columns: 2, marks: .blocks).first == "█")
    #expect(long.text(columns: 2, marks: .blocks).last ?? "█" < "▄")
  }

  @Test func aCurveStandsBesideTheBar() {
    var line = Self.line
    for number in stride(from: 20.0, to: 0, by: -1) { line.curve.add(number) }
    func bar(_ columns: Int) -> String {
      line.bar(columns: columns, hasBlocks: true, marks: .blocks)
    }
    #expect(bar(120).contains("█ █") || bar(120).contains("░ █"))
    #expect(bar(120).contains("▁ 412/850, loss 0.0812"))
    // What is said last makes room for it, but not the loss.
    #expect(bar(80).contains("▁ 412/850, loss 0.0812") && !bar(80).contains("gradient"))
    #expect(bar(40).contains(" 412/850, 1:01:40 left") && !bar(40).contains("▁"))
    for columns in 1...140 { #expect(bar(columns).count < max(columns, 1)) }
    // Without UTF-8 there is none.
    #expect(
      line.bar(columns: 120, hasBlocks: false) == Self.line.bar(columns: 120, hasBlocks: false))
  }

  @Test func theSmallerWidthCounts() {
    #expect(Terminal.columns(window: 120, variable: nil) == 120)
    #expect(Terminal.columns(window: 120, variable: "60") == 60)
    #expect(Terminal.columns(window: 40, variable: "200") == 40)
    #expect(Terminal.columns(window: 0, variable: "50") == 50)
    for nonsense in [nil, "", "wide", "-3", "0"] {
      #expect(Terminal.columns(window: 0, variable: nonsense) == 80)
    }
  }

  @Test func blocksWhereTheyAreNarrow() {
    for locale in ["en_US.UTF-8", "C.utf8", "de_DE.UTF-8@euro"] {
      #expect(Terminal.hasNarrowBlocks(locale: locale))
    }
    for locale in [nil, "C", "POSIX", "en_US.ISO-8859-1", "ja_JP.UTF-8", "zh_CN.utf8"] {
      #expect(!Terminal.hasNarrowBlocks(locale: locale))
    }
  }

  /// On a real terminal of 50 columns, with a warning or without.
  @Test(.enabled(if: script != nil, "the command 'script' makes the terminal, and is not there"))
  func aBarOnATerminal() throws {
    let output = try Command.temporaryFolder() + "/adapter"
    let model = Fixtures.model("llama-grouped")
    let ids = try Fixtures.sequences()
    let outcome = try Command.run(
      through: "unset COLUMNS; TERM=xterm script -qec \"stty cols 50; '$1' train --model "
        + "'\(model)' --data '\(ids)' --steps 40 --output '\(output)'\" /dev/null")
    #expect(outcome.status == 0, "\(outcome.output)")
    let bars = outcome.output.components(separatedBy: "\r").filter { $0.contains("\u{1B}[K") }
    #expect(!bars.isEmpty, "\(outcome.output)")
    for bar in bars { #expect(bar.prefix { $0 != "\u{1B}" }.count < 50, "\(bar)") }
    #expect(bars.last?.contains(" 40/40, loss ") == true)
  }

  private static let script = ["/usr/bin/script", "/bin/script"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  // MARK: - Help

  @Test(arguments: [20, 33, 40, 52, 60, 80, 100]) func helpFits(columns: Int) throws {
    for path in HelpExampleTests.commands {
      let help = LoRACommand.helpMessage(for: path[path.count - 1], columns: 10_000)
      let text = HelpText.wrapped(help, columns: columns)
      for line in text.split(separator: "\n") where !HelpText.isExample(line) {
        // A word that is longer than the line stays whole.
        let longest = line.split(separator: " ").map(\.count).max() ?? 0
        #expect(line.count <= max(columns, longest + HelpText.column), "\(line)")
        if columns >= 80 { #expect(line.count <= columns, "\(line)") }
      }
      func words(_ text: String) -> [Substring] { text.split { $0.isWhitespace } }
      #expect(words(text) == words(help))
    }
  }

  @Test func helpFollowsTheTerminal() throws {
    let narrow = try Command.run(through: "COLUMNS=50 \"$1\" score --help").output
    #expect(narrow.split(separator: "\n").allSatisfy { $0.count <= 50 || HelpText.isExample($0) })
    let wide = try Command.run(through: "COLUMNS=400 \"$1\" score --help").output
    #expect(wide.split(separator: "\n").allSatisfy { $0.count <= 100 })
    #expect(wide.contains("\n  lora score --model MODEL --text stories.txt --split"))
    let alone = try Command.run()
    #expect(alone.status == 0 && alone.output.contains("SUBCOMMANDS:"))
  }

  // MARK: - Version

  @Test func theVersionIsTheChangelogs() throws {
    #expect(try Command.succeed("--version").output == "lora \(Version.current)\n")
    let text = try String(
      contentsOf: Fixtures.root.appending(path: "CHANGELOG.md"), encoding: .utf8)
    let heading = try #require(text.split(separator: "\n").first { $0.hasPrefix("## [") })
    if heading == "## [Unreleased]" {
      let number = try #require(Version.current.wholeMatch(of: /(\d+\.\d+\.\d+)-dev/)).1
      #expect(text.contains("To become \(number)"))
    } else {
      #expect(heading.hasPrefix("## [\(Version.current)]"))
    }
  }

  // MARK: - Usage

  @Test(arguments: [
    ("tarin --model x", "'lora' has no command 'tarin'; did you mean 'train'? See 'lora --help'"),
    ("Train", "did you mean 'train'?"), ("generation", "did you mean 'generate'?"),
    ("frobnicate", "'lora' has no command 'frobnicate', only quickstart, plan, train, "),
    ("bench gem", "'lora bench' has no command 'gem'; did you mean 'gemm'?"),
    ("train --modle x", "'lora train' has no option '--modle'; did you mean '--model'?"),
    ("train --lr 1", "did you mean '--learning-rate'?"),
    ("train --batch-size=4", "'lora train' has no option '--batch-size'; did you mean '--batch'?"),
    ("train --learning_rate 1", "did you mean '--learning-rate'?"),
    ("train --lora-alpha 1", "did you mean '--alpha'?"),
    ("train --out x", "did you mean '--output'?"),
    ("score --json --foo", "'lora score' has no option '--foo'; see 'lora score --help'"),
    ("train", "Missing expected argument '--model <path>'; see 'lora train --help'"),
    ("train --rank eight", "The value 'eight' is invalid for '--rank <rank>'"),
    ("generate --model x --prompt", "Missing value for '--prompt <prompt>'"),
    ("generate --prompt --bogus", "Missing expected argument '--model <path>'"),
    ("train --method lorra", "'lorra'"), ("help tarin", "did you mean 'train'?"),
    ("help bench gem", "'lora bench' has no command 'gem'; did you mean 'gemm'?"),
    ("train -model x", "'lora train' has no option '-model'; did you mean '--model'?"),
    ("generate -m x --prompt y", "'lora generate' has no option '-m'; see"),
    ("version", "did you mean '--version'?"), ("train --alpha -x", "for '--alpha <alpha>'"),
  ])
  func oneLineSaysWhatIsWrong(arguments: String, message: String) throws {
    let outcome = try Command.start(arguments.split(separator: " ").map(String.init)).outcome()
    #expect(outcome.status == 64 && outcome.output.isEmpty)
    #expect(outcome.errors.hasPrefix("error: ") && outcome.errors.contains(message))
    #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
  }
}
