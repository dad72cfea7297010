import ArgumentParser
import Foundation
import LoRAJSON
import TestSupport
import Testing

@testable import lora

/// `lora tune`, and the command that it prints.
@Suite(.serialized) struct TuneTests {
  private static let model = Fixtures.model("llama-grouped")

  private func tune(
    _ folder: String, _ arguments: [String] = [], time: String = "3s"
  ) throws -> Command.Outcome {
    let data = try Fixtures.sequences()
    return try Command.start(
      [
        "tune", "--model", Self.model, "--data", data, "--eval-data", data, "--time", time,
        "--output", folder,
      ] + arguments
    ).outcome()
  }

  @Test func itTrainsAndSaysHowToDoItAgain() throws {
    let folder = try Command.temporaryFolder()
    let outcome = try tune(folder + "/found", ["--json", "--seed", "4"])
    #expect(outcome.status == 0, "\(outcome.errors)")
    let report = try outcome.json()
    let best = try #require(report["best"]?.doubleValue)
    let base = try #require(report["base"]?.doubleValue)
    #expect(best < base, "the loss is to become low")
    #expect(report["metric"]?.stringValue == "NLL")
    #expect(report["seconds"]?.doubleValue.map { $0 < 4 } == true)
    #expect(report["trials"]?.arrayValue?.isEmpty == false)
    // The same adapter, to the last bit.
    let command = try #require(report["command"]?.stringValue)
    let words = HelpExampleTests.words(of: command).dropFirst()
    let again = try Command.start(Array(words) + ["--output", folder + "/again"]).outcome()
    #expect(again.status == 0, "\(command): \(again.errors)")
    #expect(
      try Fixtures.haveSameTensors(
        folder + "/found/adapter_model.safetensors", folder + "/again/adapter_model.safetensors"),
      "\(command)")
    // What it is, and what was tried.
    for name in ["README.md", "lora-tune.html", "lora-tune.json", "adapter_config.json"] {
      #expect(FileManager.default.fileExists(atPath: "\(folder)/found/\(name)"), "\(name)")
    }
    // A finished search has nothing to go on with, and is not silently replaced.
    let resumed = try tune(folder + "/found", ["--resume", "--seed", "4"])
    #expect(resumed.status == 0 && resumed.output.contains("the search is finished"))
    let replaced = try tune(folder + "/found")
    #expect(replaced.status == 1 && replaced.errors.contains("--force"))
  }

  /// Killed while it searches; the record and the states lead on.
  @Test func aKilledSearchGoesOn() throws {
    let folder = try Command.temporaryFolder() + "/found"
    let data = try Fixtures.sequences()
    let running = try Command.start([
      "tune", "--model", Self.model, "--data", data, "--eval-data", data, "--time", "20s",
      "--output", folder,
    ])
    let record = folder + "/lora-tune.json"
    func trials() -> Int {
      let bytes = (try? Data(contentsOf: URL(filePath: record))).map { [UInt8]($0) } ?? []
      return (try? JSONValue(parsing: bytes))?["trials"]?.arrayValue?.count ?? 0
    }
    while running.process.isRunning, trials() < 3 { usleep(2000) }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    let refused = try tune(folder)
    #expect(refused.status == 1 && refused.errors.contains("--resume"), "\(refused.errors)")
    let resumed = try tune(folder, ["--resume", "--json"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try #require(resumed.json()["trials"]?.arrayValue).count >= 3)
    #expect(FileManager.default.fileExists(atPath: folder + "/adapter_model.safetensors"))
  }

  @Test func whatSpoilsATrainingIsLeftOut() throws {
    let folder = try Command.temporaryFolder()
    let data = folder + "/data.jsonl"
    let letters = Array("abcdefghijklmnopqrst").map(String.init)
    var lines = (0..<40).map { number in
      let (a, b) = (letters[number / 2], letters[(number * 7 + 3) % 20])
      return
        #"{"prompt":"what is \#(a)\#(b)\#(a)?","completion":"it is \#(b)\#(b)\#(a) and \#(a)."}"#
    }
    lines.append(#"{"prompt":"what is that?","completion":""}"#)
    lines.append(lines[3])
    try (lines.joined(separator: "\n") + "\n").write(
      toFile: data, atomically: true, encoding: .utf8)
    let outcome = try Command.start([
      "tune", "--model", Fixtures.modelWithTokenizer(), "--data", data, "--validation", "20%",
      "--time", "1s", "--output", folder + "/found", "--json",
    ]).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
    let command = try outcome.json()["command"]?.stringValue ?? ""
    #expect(command.contains("--data \(folder)/found/lora-tune-data.jsonl"))
    let kept = try String(contentsOfFile: folder + "/found/lora-tune-data.jsonl", encoding: .utf8)
    #expect(kept.split(separator: "\n").count < 42 && !kept.contains(#""completion":"""#))
  }

  @Test func wrongUsage() throws {
    for (arguments, text) in [
      (["--time", "0s"], "90s, 30m or 1.5h"), (["--time", "ten"], "90s, 30m or 1.5h"),
      (["--resume", "--force"], "give one of them"),
      (["--task", "classification", "--metric", "f1"], "is for --task text"),
    ] {
      let outcome = try Command.start(
        ["tune", "--model", "m", "--data", "d", "--output", "o"]
          + (arguments.contains("--time") ? [] : ["--time", "1m"]) + arguments
      ).outcome()
      #expect(outcome.status == 64 && outcome.errors.contains(text), "\(outcome.errors)")
    }
    for (arguments, text) in [
      (["--validation", "5"], "give a share"),
      (["--validation", "5%", "--eval-data", "e"], "not both"),
    ] {
      let outcome = try Command.start(
        ["tune", "--model", "m", "--data", "d", "--output", "o", "--time", "1m"] + arguments
      ).outcome()
      #expect(outcome.status == 64 && outcome.errors.contains(text), "\(outcome.errors)")
    }
  }

  /// Nothing is left of a search that could not begin.
  @Test func whatCantBeReadLeavesNothing() throws {
    let folder = try Command.temporaryFolder()
    for (model, data) in [("nowhere", try Fixtures.sequences()), (Self.model, folder + "/missing")]
    {
      let outcome = try Command.start([
        "tune", "--model", model, "--data", data, "--time", "1m", "--output", folder + "/x",
      ]).outcome()
      #expect(outcome.status == 1 && outcome.errors.contains("error: "), "\(outcome.errors)")
      #expect(!FileManager.default.fileExists(atPath: folder + "/x"))
    }
  }

  @Test func times() throws {
    #expect(try TimeLimit(option: "90s").seconds == 90)
    #expect(try TimeLimit(option: "30M").seconds == 1800)
    #expect(try TimeLimit(option: "1.5h").seconds == 5400)
    for wrong in ["-1s", "ten", ""] {
      #expect(throws: ValidationError.self) { try TimeLimit(option: wrong) }
    }
  }
}
