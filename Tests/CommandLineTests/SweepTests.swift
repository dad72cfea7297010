import Foundation
import LoRAFormats
import LoRAJSON
import Testing

/// `lora sweep`.
@Suite struct SweepTests {
  static let model = Fixtures.model("llama-grouped")
  static let rows = model + "/expected.safetensors#ids"

  @Test func theTableIsWhatScoreSays() throws {
    let adapter = Self.model + "/adapter"
    let plot = try Command.temporaryFolder() + "/plot.svg"
    let json = try Command.succeed(
      "sweep", "--model", Self.model, "--adapter", adapter, "--data", Self.rows, "--from", "-1",
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

  @Test func twoAdaptersMakeATable() throws {
    let other = Fixtures.path("peft/regex")
    let outcome = try Command.succeed(
      "sweep", "--model", Self.model, "--adapter", Self.model + "/adapter", "--adapter", other,
      "--data", Self.rows, "--to", "1", "--steps", "2")
    let lines = outcome.output.split(separator: "\n")
    #expect(lines[0] == "NLL; down: adapter, across: regex" && lines.count == 5)
    let sum = try CombineTests.nll(Self.model, Self.model + "/adapter", other)
    #expect(lines[3].hasPrefix("1.0") && lines[3].contains(String(format: "%.5f", sum).dropLast()))
    #expect(lines[4].hasPrefix("best: adapter:"))
  }

  @Test func wrongUsage() throws {
    let adapter = Self.model + "/adapter"
    for (arguments, text) in [
      ([], "one or two --adapter"),
      (["--adapter", adapter + ":0.5"], "takes no scale"),
      (["--adapter", adapter, "--from", "2"], "--from must be below --to"),
      (["--adapter", adapter, "--steps", "1"], "--steps must be"),
    ] {
      let outcome = try Command.start(
        ["sweep", "--model", Self.model, "--data", Self.rows] + arguments
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
