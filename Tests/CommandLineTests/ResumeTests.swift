import Foundation
import LoRAFormats
import LoRAJSON
import Testing

/// `lora train --checkpoint-every` and `--resume`.
@Suite(.serialized) struct ResumeTests {
  private static let files = ["adapter_config.json", "adapter_model.safetensors"]

  private func arguments(_ output: String, _ flags: [String], ids: String) -> [String] {
    [
      "train", "--model", Fixtures.model("llama-grouped"), "--data", ids, "--output", output,
      "--dropout", "0.2", "--batch", "2", "--accumulate", "2", "--schedule", "cosine", "--warmup",
      "3", "--seed", "5", "--learning-rate", "0.01",
    ] + flags
  }

  private func expectSameFiles(_ a: String, _ b: String, _ files: [String] = files) {
    for file in files {
      #expect(
        FileManager.default.contentsEqual(atPath: "\(a)/\(file)", andPath: "\(b)/\(file)"),
        "\(file)")
    }
  }

  /// Waits until the file at `path` has `count` lines.
  private func wait(for running: Command.Running, _ path: String, lines count: Int) {
    while running.process.isRunning {
      let data = (try? Data(contentsOf: URL(filePath: path))) ?? Data()
      if data.count(where: { $0 == UInt8(ascii: "\n") }) >= count { return }
      usleep(2000)
    }
  }

  private func lines(_ path: String) throws -> [JSONValue] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      .map { try JSONValue(parsing: String($0)) }
  }

  /// Killed at any moment, several times: the adapter, and the log but for its times, are those of a
  /// run that was not.
  @Test(arguments: [SIGKILL, SIGINT]) func aStoppedRunGoesOn(signal: Int32) throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    let steps = ["--steps", "600"]
    _ = try Command.start(
      arguments(folder + "/whole", steps + ["--log", folder + "/whole.jsonl"], ids: ids)
    ).outcome()
    let (output, log) = (folder + "/parts", folder + "/parts.jsonl")
    var running = try Command.start(
      arguments(
        output, steps + ["--log", log, "--checkpoint-every", "7", "--keep", "1"], ids: ids))
    for count in [1, 60, 150] {
      wait(for: running, log, lines: count)
      kill(running.process.processIdentifier, signal)
      _ = try running.outcome()
      running = try Command.start(["train", "--resume", output])
    }
    let last = try running.outcome()
    #expect(last.status == 0, "\(last.errors)")
    expectSameFiles(folder + "/whole", output)
    #expect(
      Fixtures.names(in: output)
        == ["README.md"] + Self.files + ["lora-run.json", "report.html"])
    let (whole, parts) = (try lines(folder + "/whole.jsonl"), try lines(log))
    #expect(parts.count == 600 && parts.map { $0["step"] } == whole.map { $0["step"] })
    for key in ["loss", "gradient_norm", "learning_rate"] {
      #expect(parts.map { $0[key] } == whole.map { $0[key] }, "\(key)")
    }
    // It is over.
    let again = try Command.succeed("train", "--resume", output)
    #expect(again.output.contains("finished"))
    #expect(
      try Command.succeed("train", "--resume", output, "--json").json()["finished"]?.boolValue
        == true)
    expectSameFiles(folder + "/whole", output)
  }

  @Test func aWholeModelGoesOnToo() throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    func arguments(_ output: String, _ flags: [String]) -> [String] {
      [
        "train", "--model", Fixtures.model("qwen2-tied-v4-bfloat16"), "--data", ids, "--output",
        output, "--method", "full", "--steps", "300", "--batch", "3",
      ] + flags
    }
    _ = try Command.start(arguments(folder + "/whole", [])).outcome()
    let (output, log) = (folder + "/parts", folder + "/log.jsonl")
    let running = try Command.start(
      arguments(output, ["--checkpoint-every", "3", "--log", log]))
    wait(for: running, log, lines: 20)
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    #expect(Fixtures.names(in: output).count { $0.hasSuffix(".safetensors") } <= 3)
    let resumed = try Command.start(["train", "--resume", output, "--json"]).outcome()
    #expect(try resumed.json()["steps"]?.intValue == 300)
    let files = Fixtures.names(in: folder + "/whole")
    #expect(Fixtures.names(in: output) == (files + ["lora-run.json"]).sorted())
    // A report has times, which no run has again.
    expectSameFiles(folder + "/whole", output, files.filter { $0 != "report.html" })
  }

  /// The paths of a run are read where it was begun, wherever it is resumed.
  @Test func itIsResumedFromAnywhere() throws {
    let folder = try Command.temporaryFolder()
    try FileManager.default.copyItem(atPath: Fixtures.sequences(), toPath: folder + "/rows.json")
    try FileManager.default.copyItem(
      atPath: Fixtures.model("llama-grouped"), toPath: folder + "/model")
    let begun = try Command.start(
      [
        "train", "--model", "model", "--data", "rows.json", "--output", "out", "--steps",
        "100000000", "--checkpoint-every", "1000000", "--log", "log.jsonl",
      ], through: "cd '\(folder)'; exec \"$@\"")
    wait(for: begun, folder + "/log.jsonl", lines: 3)
    kill(begun.process.processIdentifier, SIGINT)
    let outcome = try begun.outcome()
    #expect(outcome.status == 1 && outcome.errors.contains("interrupted"))
    // It is saved where it was stopped, too.
    #expect(Fixtures.names(in: folder + "/out").contains { $0.hasPrefix("lora-run-0") })
    #expect(try !PEFTAdapterFile(path: folder + "/out").description.hasNoEffect)
    let count = try lines(folder + "/log.jsonl").count
    let resumed = try Command.start(["train", "--resume", folder + "/out"])
    wait(for: resumed, folder + "/log.jsonl", lines: count + 3)
    kill(resumed.process.processIdentifier, SIGINT)
    #expect(try resumed.outcome().errors.contains("resumed after step \(count)"))
    let steps = try lines(folder + "/log.jsonl").compactMap { $0["step"]?.intValue }
    #expect(steps == Array(1...steps.count))
  }

  @Test func whatCannotBeResumed() throws {
    let folder = try Command.temporaryFolder()
    let ids = try Fixtures.sequences()
    func status(_ arguments: [String], _ text: String) throws -> Int32 {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.errors.contains(text), "\(outcome.errors)")
      return outcome.status
    }
    #expect(try status(["train", "--resume", folder], "no training to resume") == 1)
    #expect(try status(["train", "--resume", folder, "--steps", "3"], "no other option") == 64)
    #expect(
      try status(arguments(folder + "/a", ["--keep", "3"], ids: ids), "--checkpoint-every")
        == 64)
    #expect(
      try status(
        arguments(folder + "/a", ["--checkpoint-every", "0"], ids: ids), "--checkpoint-every")
        == 64)
    // A run that was stopped is not begun again by mistake; other data are not gone on with.
    let running = try Command.start(
      arguments(
        folder + "/a",
        ["--steps", "100000000", "--checkpoint-every", "2", "--log", folder + "/log"], ids: ids))
    wait(for: running, folder + "/log", lines: 5)
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    let again = arguments(folder + "/a", ["--steps", "2"], ids: ids)
    #expect(try status(again, "a training that was stopped lies there") == 1)
    let text = try String(contentsOfFile: ids, encoding: .utf8)
    try Fixtures.write(text.replacing("[[3", with: "[[4"), to: ids)
    #expect(try status(["train", "--resume", folder + "/a"], "of other data") == 1)
    #expect(try Command.start(again + ["--force"]).outcome().status == 0)
    #expect(Fixtures.names(in: folder + "/a") == ["README.md"] + Self.files + ["report.html"])
  }
}
