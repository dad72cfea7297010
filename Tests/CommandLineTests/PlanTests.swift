import Foundation
import LoRAJSON
import Testing

/// `lora plan`.
@Suite struct PlanTests {
  private static func questions() throws -> String {
    let lines = (0..<30).map { number in
      let answer = String(repeating: "yes ", count: number % 5 + 1)
      return #"{"question":"is it \#(number)?","answer":"\#(answer)","id":\#(number)}"#
    }
    return try Fixtures.file("it's.jsonl", lines.joined(separator: "\n"))
  }

  private func plan(
    _ model: String, _ data: String, _ flags: String...
  ) throws -> Command.Outcome {
    try Command.start(
      [
        "plan", "--model", model, "--data", data, "--map", "prompt=question,completion=answer",
      ] + flags
    ).outcome()
  }

  /// What it recommends is a command that runs, and trains what was said.
  @Test func recommendsACommandThatRuns() throws {
    let (model, data) = (try Fixtures.modelWithTokenizer(), try Self.questions())
    let before = Fixtures.names(in: model)
    let outcome = try plan(model, data, "--json")
    let object = try outcome.json()
    #expect(Fixtures.names(in: model) == before)
    #expect(object["examples"]?.intValue == 30)
    let settings = try #require(object["recommended"])
    let rank = try #require(settings["rank"]?.intValue)
    let row = object["adapters"]?.arrayValue?.first {
      $0["rank"]?.intValue == rank && $0["targets"] == settings["targets"]
    }
    let trained = try #require(row?["trainable_parameters"]?.intValue)
    var words = (settings["command"]?.arrayValue ?? []).compactMap(\.stringValue)
    #expect(words.prefix(2) == ["lora", "train"] && words.suffix(2) == ["--output", "adapter"])
    let folder = try Command.temporaryFolder()
    words[words.count - 1] = folder + "/adapter"
    let run = try Command.start(Array(words.dropFirst()) + ["--json"]).outcome()
    #expect(run.status == 0, "\(run.errors)")
    let result = try run.json()
    #expect(result["trainable_parameters"]?.intValue == trained)
    #expect(result["steps"]?.intValue == settings["steps"]?.intValue)
    #expect(result["predicted_peak_bytes"] == settings["memory_bytes"])
    // The same line, again.
    let text = try plan(model, data)
    #expect(text.status == 0, "\(text.errors)")
    let line = try #require(text.output.split(separator: "\n").last)
    #expect(line.hasPrefix("lora train --model ") && line.contains(#"it'\''s.jsonl' --map "#))
    let place = try Command.temporaryFolder()
    let again = try Command.start(
      [],
      through: "lora() { \"$binary\" \"$@\"; }; binary=$1; cd '\(place)' && \(line)"
    ).outcome()
    #expect(again.status == 0, "\(again.errors)")
  }

  @Test func keepsToLimitsOrSaysThatNothingDoes() throws {
    let (model, data) = (try Fixtures.modelWithTokenizer(), try Self.questions())
    let free = try #require(plan(model, data, "--json").json()["recommended"])
    let seconds = try #require(free["seconds"]?.doubleValue)
    let short = try plan(
      model, data, "--epochs", "1000", "--time", "\(max(0.5, seconds / 4))s", "--json"
    ).json()["recommended"]
    let steps = try #require(short?["steps"]?.intValue)
    #expect(steps < 8000 && !(short?["given_up"]?.arrayValue ?? []).isEmpty)
    let refused = try plan(model, data, "--memory", "1MiB")
    #expect(refused.status == 1)
    #expect(refused.errors.contains("nothing fits: ") && refused.output.contains("too much memory"))
  }

  @Test func plansClassifiers() throws {
    let texts = Fixtures.path("sentences/mean-normalized/texts.jsonl")
    let object = try Command.succeed(
      "plan", "--task", "classification", "--model", Fixtures.path("sentences/mean-normalized"),
      "--data", texts, "--epochs", "2", "--json"
    ).json()
    let settings = try #require(object["recommended"])
    #expect(settings["rank"]?.intValue == 8 && settings["epochs"]?.intValue == 2)
    #expect(settings["command"]?.arrayValue?.contains("classification") == true)
    #expect((settings["seconds"]?.doubleValue ?? 0) > 0)
  }

  @Test(arguments: [
    (["--task", "preference"], "the reference's part"),
    (["--time", "soon"], "as 90s, 30m or 1.5h"), (["--time", "0"], "as 90s, 30m or 1.5h"),
    (["--rank", "0"], "1 or more"), (["--memory", "-1"], "8GiB"),
  ])
  func refusesWhatItCannotPlan(flags: [String], reason: String) throws {
    let outcome = try Command.start(
      ["plan", "--model", "m", "--data", "d.jsonl"] + flags
    ).outcome()
    #expect(outcome.status == 64 && outcome.errors.contains(reason), "\(outcome.errors)")
  }
}
