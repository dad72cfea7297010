import Foundation
import LoRAJSON
import Testing

/// `lora sweep`.
@Suite struct SweepTests {
  static let model = Fixtures.model("llama-grouped")
  static let ids = model + "/expected.safetensors#ids"

  @Test func theTableIsWhatScoreSays() throws {
    let adapter = Self.model + "/adapter"
    let plot = try Command.temporaryFolder() + "/plot.svg"
    let json = try Command.succeed(
      "sweep", "--model", Self.model, "--adapter", adapter, "--data", Self.ids, "--from", "-1",
      "--to", "1", "--steps", "3", "--plot", plot, "--json"
    ).json()
    let settings = try #require(json["settings"]?.arrayValue)
    #expect(settings.map { $0["strengths"]?[0]?.doubleValue } == [-1, 0, 1])
    for setting in settings {
      let strength = try #require(setting["strengths"]?[0]?.doubleValue)
      let expected = try CombineTests.nll(Self.model, adapter + ":\(strength)")
      #expect(abs(try #require(setting["nll"]?.doubleValue) - expected) < 1e-6)
    }
    let lowest = settings.compactMap { $0["nll"]?.doubleValue }.min()
    #expect(json["best"]?["nll"]?.doubleValue == lowest)
    let svg = try String(contentsOfFile: plot, encoding: .utf8)
    #expect(svg.hasPrefix("<svg ") && svg.contains("strength of adapter</text>"))
  }

  /// The table lies as the plot does: the first adapter to the right, the second upwards.
  @Test func twoAdaptersMakeATable() throws {
    let other = Fixtures.path("peft/regex")
    let first = Self.model + "/adapter"
    let plot = try Command.temporaryFolder() + "/plot.svg"
    let arguments = [
      "sweep", "--model", Self.model, "--adapter", first, "--adapter", other, "--data", Self.ids,
      "--from", "-1", "--to", "2", "--steps", "3", "--plot", plot,
    ]
    let lines = try Command.start(arguments).outcome().output.split(separator: "\n")
    #expect(
      lines[0] == "NLL by strength: of adapter to the right, of regex upwards; * the best")
    let cells = lines[1...].map { $0.split(separator: " ").map(String.init) }
    #expect(cells.prefix(3).map(\.first) == ["2", "0.5", "-1"] && cells[3] == ["-1", "0.5", "2"])
    let svg = try String(contentsOfFile: plot, encoding: .utf8)
    let json = try Command.start(arguments + ["--json", "--force"]).outcome().json()
    for (column, x) in [-1, 0.5, 2].enumerated() {
      for (row, y) in [2, 0.5, -1].enumerated() {
        let text = cells[row][column + 1]
        let expected = try CombineTests.nll(Self.model, first + ":\(x)", other + ":\(y)")
        #expect(abs(try #require(Double(text.filter { $0 != "*" })) - expected) < 1e-3)
        #expect(svg.contains(">\(text.filter { $0 != "*" })</text>"))
        let isBest =
          json["best"]?["strengths"]?.arrayValue?.compactMap(\.doubleValue) == [x, y]
        #expect(text.hasSuffix("*") == isBest, "\(text)")
      }
    }
    #expect(lines[5].hasPrefix("best: adapter:") && lines.count == 6)
  }

  /// Strengths of any size stand on both axes as a number that --adapter takes.
  @Test(arguments: [("1e20", ["1e20", "5e19", "0"]), ("1e-20", ["1e-20", "5e-21", "0"])])
  func strengthsOfAnySize(to: String, axis: [String]) throws {
    let lines = try Command.succeed(
      "sweep", "--model", Self.model, "--adapter", Self.model + "/adapter", "--adapter",
      Fixtures.path("peft/regex"), "--data", Self.ids, "--to", to, "--steps", "3"
    ).output.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
    #expect(lines[1...3].map { $0[0] } == axis && lines[4] == axis.reversed())
  }

  /// What the plot and the table show of the same sweep is the same text.
  @Test func oneAdaptersTableIsItsPlot() throws {
    let plot = try Command.temporaryFolder() + "/plot.svg"
    let lines = try Command.succeed(
      "sweep", "--model", Self.model, "--adapter", Self.model + "/adapter", "--data", Self.ids,
      "--from", "0", "--to", "1", "--steps", "7", "--plot", plot
    ).output.split(separator: "\n")
    let svg = try String(contentsOfFile: plot, encoding: .utf8)
    let strengths = lines[1...7].compactMap { $0.split(separator: " ").first }
    #expect(strengths == ["0", "0.167", "0.333", "0.5", "0.667", "0.833", "1"])
    for strength in strengths { #expect(svg.contains(">\(strength)</text>")) }
    let best = try #require(lines.first { $0.hasSuffix("best") }?.split(separator: " "))
    #expect(svg.contains(">best \(best[0]): \(best[1])</text>"))
    #expect(lines[8].hasPrefix("best: adapter:") && lines[8].contains("NLL \(best[1]) over"))
  }

  /// An adapter that was never trained is swept only if that is asked for.
  @Test func anAdapterWithoutEffect() throws {
    let fresh = try Command.temporaryFolder() + "/fresh"
    _ = try Command.succeed(
      "combine", "--adapter", Self.model + "/adapter:0", "--type", "cat", "--output", fresh)
    let arguments = [
      "sweep", "--model", Self.model, "--data", Self.ids, "--adapter", fresh, "--steps", "2",
    ]
    let refused = try Command.start(arguments).outcome()
    #expect(refused.status == 1 && refused.errors.contains("--allow-no-effect"))
    #expect(try Command.start(arguments + ["--allow-no-effect"]).outcome().status == 0)
    let score = ["score", "--model", Self.model, "--ids", Self.ids, "--adapter", fresh]
    #expect(try Command.start(score).outcome().errors.contains("--allow-no-effect"))
    #expect(try Command.start(score + ["--allow-no-effect"]).outcome().status == 0)
  }

  @Test func wrongUsage() throws {
    let adapter = Self.model + "/adapter"
    for (arguments, text) in [
      ([], "one or two --adapter"),
      (["--adapter", adapter + ":0.5"], "takes no scale"),
      (["--adapter", adapter, "--from", "2"], "--from must be below --to"),
      (["--adapter", adapter, "--steps", "1"], "--steps is 1; it must be 2 to 1000"),
      (
        ["--adapter", adapter, "--plot", "x.png"],
        "--plot is 'x.png'; it writes SVG: give a file ending in .svg"
      ),
    ] {
      let outcome = try Command.start(
        ["sweep", "--model", Self.model, "--data", Self.ids] + arguments
      ).outcome()
      #expect(outcome.status == 64 && outcome.errors.contains(text), "\(outcome.errors)")
    }
  }

  /// A real model with the adapter that PEFT trained for it: its own losses at 0 and 1.
  @Test(.enabled(if: Fixtures.shared != nil, "the shared folder is not there"))
  func trainedAdapterIsBestAtItsOwnStrength() throws {
    let shared = try #require(Fixtures.shared)
    let json = try Command.succeed(
      "sweep", "--model", shared + "/models/stories260k", "--adapter",
      shared + "/reference/stories260k-lora/final", "--data",
      shared + "/reference/stories260k-lora/inputs.safetensors", "--to", "1.5", "--steps", "4",
      "--json"
    ).json()
    let losses = json["settings"]?.arrayValue?.compactMap { $0["nll"]?.doubleValue } ?? []
    #expect(losses.count == 4)
    #expect(abs(losses[0] - 4.715130) < 1e-5 && abs(losses[2] - 2.874872) < 1e-5)
    #expect(json["best"]?["strengths"]?[0]?.doubleValue == 1)
  }
}
