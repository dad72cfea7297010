import Foundation
import LoRAJSON
import Testing

@testable import lora

/// The page that `lora train` ends with.
@Suite(.serialized) struct TrainReportTests {
  private func arguments(_ output: String, _ flags: [String]) throws -> [String] {
    let model = try Fixtures.modelWithTokenizer()
    let data = try Fixtures.file(
      "a.jsonl",
      (0..<12).map { "{\"prompt\":\"Abc <b>\($0)</b>\",\"completion\":\" def <i>\($0)</i>\"}\n" }
        .joined())
    return [
      "train", "--model", model, "--data", data, "--output", output, "--batch", "3", "--seed", "5",
      "--learning-rate", "0.01",
    ] + flags
  }

  private func read(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test func aTrainingEndsWithAReport() throws {
    let folder = try Command.temporaryFolder()
    let evaluation = try Fixtures.file("e.jsonl", "{\"prompt\":\"Abc\",\"completion\":\" def\"}\n")
    let flags = ["--steps", "8", "--eval-data", evaluation, "--eval-every", "4", "--json"]
    let outcome = try Command.start(try arguments(folder + "/a", flags)).outcome()
    let page = try outcome.json()["report"]?.stringValue
    #expect(page == folder + "/a/report.html", "\(outcome.errors)")
    let html = try read(page ?? "")
    for part in [
      "Training: a", "Learning rate", "Gradient norm", "NLL, held-out data", "all 12 examples",
      "line 3", "&lt;s&gt;Abc", "<mark> def", "lora train --model", "--steps 8",
      "kernels",
      "memory that was predicted", "targets",
    ] { #expect(html.contains(part), "\(part)") }
    #expect(html.contains(#"a.jsonl</p>"#) && !html.contains("WeightedFile"))
    #expect(!html.contains("<b>2") && !html.contains("<script"))
    // Beside an adapter like any other, which --force replaces with its report.
    #expect(try Command.run("inspect", folder + "/a").status == 0)
    let again = try Command.start(
      try arguments(folder + "/a", ["--steps", "2", "--force"])
    ).outcome()
    #expect(again.status == 0 && again.errors.contains("report: \(folder)/a/report.html"))
    #expect(try read(folder + "/a/report.html").contains("--steps 2"))
  }

  @Test func noReportIsWrittenOverSomethingElse() throws {
    let folder = try Command.temporaryFolder()
    #expect(
      try Command.start(try arguments(folder + "/a", ["--steps", "2", "--no-report"])).outcome()
        .status == 0)
    #expect(!Fixtures.names(in: folder + "/a").contains("report.html"))
    try Fixtures.write("<p>mine</p>", to: folder + "/a/report.html")
    let outcome = try Command.start(
      try arguments(folder + "/a", ["--steps", "2", "--force"])
    ).outcome()
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("the report is not written"))
    #expect(try read(folder + "/a/report.html") == "<p>mine</p>")
  }

  /// Killed and resumed, the report has the curves of the whole run.
  @Test func aResumedRunReportsAllOfIt() throws {
    let folder = try Command.temporaryFolder()
    let (output, log) = (folder + "/a", folder + "/log.jsonl")
    let running = try Command.start(
      try arguments(output, ["--steps", "400", "--checkpoint-every", "2", "--log", log]))
    while running.process.isRunning {
      let lines = (try? read(log))?.split(separator: "\n").count ?? 0
      if lines >= 20 { break }
      usleep(2000)
    }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    #expect(Fixtures.names(in: output).contains("lora-run-history.jsonl"))
    let rest = try Command.start(["train", "--resume", output]).outcome()
    #expect(rest.status == 0, "\(rest.errors)")
    let html = try read(output + "/report.html")
    #expect(html.contains("<span class=\"x first\" style=\"left:0%\">1</span>"))
    #expect(html.contains("left:100%\">400</span>"))
    #expect(!html.contains("nothing is known of"))
    // The command that began it, which is also the one that repeats it.
    #expect(html.contains("--steps 400") && !html.contains("--resume"))
    #expect(!Fixtures.names(in: output).contains("lora-run-history.jsonl"))
  }

  /// Stopped by a signal, what was learned has its report, which says so.
  @Test func anInterruptedRunIsReported() throws {
    let folder = try Command.temporaryFolder()
    let (output, log) = (folder + "/a", folder + "/log.jsonl")
    let running = try Command.start(
      try arguments(output, ["--steps", "100000", "--log", log]))
    while running.process.isRunning {
      if ((try? read(log))?.split(separator: "\n").count ?? 0) >= 3 { break }
      usleep(2000)
    }
    kill(running.process.processIdentifier, SIGINT)
    #expect(try running.outcome().status == 1)
    let html = try read(output + "/report.html")
    #expect(html.contains("The training was interrupted after"))
    #expect(html.contains(" of 100,000"))
  }

  @Test func wordsAreQuotedForAShell() {
    #expect(TrainCommand.quoted("a/b-c_1.jsonl#x") == "'a/b-c_1.jsonl#x'")
    #expect(TrainCommand.quoted("a,b=c:d@e+1%") == "a,b=c:d@e+1%")
    #expect(TrainCommand.quoted("it's") == #"'it'\''s'"#)
    #expect(TrainCommand.quoted("") == "''" && TrainCommand.quoted("é") == "'é'")
  }
}
