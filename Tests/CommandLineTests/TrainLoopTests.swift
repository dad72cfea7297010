import Foundation
import LoRAJSON
import TestSupport
import Testing

/// The loop of `lora train`: optimizers, schedules, evaluation, early stopping, preferences, warnings.
@Suite(.serialized) struct TrainLoopTests {
  private static let model = Fixtures.model("llama-grouped")
  private static let adapter = "adapter_model.safetensors"

  private func train(_ arguments: [String], in folder: String, _ name: String) throws
    -> Command.Outcome
  {
    try Command.start(
      [
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--output",
        "\(folder)/\(name)", "--batch", "3", "--seed", "5",
      ] + arguments
    ).outcome()
  }

  private func lines(_ path: String) throws -> [JSONValue] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
      .map { try JSONValue(parsing: String($0)) }
  }

  /// Each learns, and its interrupted run ends with the bits of a whole one.
  @Test(arguments: ["adamw", "adamw-8bit", "lion", "adafactor", "sgd", "muon"])
  func everyOptimizerLearnsAndResumes(name: String) throws {
    let folder = try Command.temporaryFolder()
    let rate = ["lion": "1e-3", "sgd": "1"][name] ?? "1e-2"
    let flags =
      [
        "--optimizer", name, "--learning-rate", rate, "--steps", "30", "--rank", "16",
        "--weight-decay", "0.01", "--no-decay", "lora_A",
      ] + (name == "sgd" ? ["--momentum", "0.9"] : [])
    let log = folder + "/log.jsonl"
    let whole = try train(flags + ["--log", log], in: folder, "whole")
    #expect(whole.status == 0, "\(whole.errors)")
    let losses = try lines(log).compactMap { $0["loss"]?.doubleValue }
    #expect(losses.count == 30)
    let (first, last) = (losses.prefix(5).reduce(0, +), losses.suffix(5).reduce(0, +))
    #expect(last < first, "\(name): \(first) to \(last)")
    // Stopped by a signal as soon as it has saved a state.
    let running = try Command.start(
      [
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--output",
        folder + "/parts", "--batch", "3", "--seed", "5", "--checkpoint-every", "1", "--log",
        folder + "/parts.jsonl",
      ] + flags)
    while running.process.isRunning {
      if (try? lines(folder + "/parts.jsonl").count) ?? 0 >= 4 { break }
      usleep(1000)
    }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    let rest = try Command.start(["train", "--resume", folder + "/parts"]).outcome()
    #expect(rest.status == 0, "\(rest.errors)")
    #expect(
      FileManager.default.contentsEqual(
        atPath: "\(folder)/whole/\(Self.adapter)", andPath: "\(folder)/parts/\(Self.adapter)"))
  }

  @Test func layersAndEmbeddingsHaveTheirRates() throws {
    let folder = try Command.temporaryFolder()
    let flags = ["--steps", "2", "--learning-rate", "0.01"]
    let plain = try train(flags, in: folder, "plain")
    let decayed = try train(flags + ["--layer-decay", "0.5"], in: folder, "decayed")
    #expect(plain.status == 0 && decayed.status == 0, "\(decayed.errors)")
    #expect(
      !FileManager.default.contentsEqual(
        atPath: "\(folder)/plain/\(Self.adapter)", andPath: "\(folder)/decayed/\(Self.adapter)"))
  }

  @Test func fewExamplesAreGoneThroughFourTimes() throws {
    let folder = try Command.temporaryFolder()
    let usual = try train(["--json"], in: folder, "usual")
    let four = try train(["--json", "--epochs", "4"], in: folder, "four")
    #expect(usual.status == 0 && four.status == 0, "\(usual.errors)")
    #expect(try usual.json()["steps"] == four.json()["steps"])
    #expect(
      try Fixtures.haveSameTensors(
        "\(folder)/usual/\(Self.adapter)", "\(folder)/four/\(Self.adapter)"))
  }

  @Test func theStableScheduleDecaysAtTheEnd() throws {
    let folder = try Command.temporaryFolder()
    let log = folder + "/log.jsonl"
    let outcome = try train(
      [
        "--steps", "12", "--schedule", "wsd", "--warmup", "2", "--decay-steps", "4", "--decay-form",
        "linear", "--least-rate", "0.1", "--learning-rate", "1", "--optimizer", "sgd",
        "--neftune-alpha", "5", "--log", log,
      ], in: folder, "a")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let rates = try lines(log).compactMap { $0["learning_rate"]?.doubleValue }
    let expected = [0.1, 0.55, 1, 1, 1, 1, 1, 1, 1, 0.775, 0.55, 0.325]
    for (rate, wanted) in zip(rates, expected) { #expect(abs(rate - wanted) < 1e-9) }
    #expect(rates.count == 12)
  }

  /// The held-out data are other than what is learned, so that the loss rises soon; what is saved is the best.
  @Test func patienceEndsARunAndKeepsTheBest() throws {
    let folder = try Command.temporaryFolder()
    let held = folder + "/held.json"
    try Fixtures.write(
      "["
        + (0..<4).map { "[1, \(60 - $0), \(50 + $0), \(40 - $0), \(30 + $0), 2]" }
        .joined(separator: ",") + "]", to: held)
    let (log, flags) = (
      folder + "/log.jsonl",
      [
        "--eval-data", held, "--eval-every", "2", "--patience", "3", "--steps", "200",
        "--learning-rate", "0.02",
      ]
    )
    let outcome = try train(flags + ["--log", log, "--json"], in: folder, "a")
    #expect(outcome.status == 0, "\(outcome.errors)")
    let result = try outcome.json()
    let best = try #require(result["best_step"]?.intValue)
    let steps = try #require(result["steps"]?.intValue)
    #expect(outcome.errors.contains("learns its examples by heart"), "\(outcome.errors)")
    #expect(result["stopped_early"]?.boolValue == true && steps < 200 && steps - best == 6)
    let all = try lines(log)
    let evaluations = all.filter { $0["eval_nll"] != nil }
    #expect(evaluations.count == steps / 2 && all.count == steps + steps / 2)
    let lowest = try #require(evaluations.first { $0["step"]?.intValue == best })
    #expect(
      evaluations.allSatisfy {
        ($0["eval_nll"]?.doubleValue ?? 0) >= (lowest["eval_nll"]?.doubleValue ?? 9)
      })
    #expect(
      abs((result["eval_nll_after"]?.doubleValue ?? 0) - (lowest["eval_nll"]?.doubleValue ?? 9))
        < 1e-6, "what is saved is the best")
    // Trained to that step alone: the same adapter.
    let short = try train(
      ["--steps", "\(best)", "--learning-rate", "0.02"], in: folder, "short")
    #expect(short.status == 0)
    #expect(
      try Fixtures.haveSameTensors(
        "\(folder)/a/\(Self.adapter)", "\(folder)/short/\(Self.adapter)"))

    // Killed on the way, it ends the same: in its adapter and in its log.
    let (part, partLog) = (folder + "/parts", folder + "/parts.jsonl")
    let running = try Command.start(
      [
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--output", part,
        "--batch", "3", "--seed", "5", "--checkpoint-every", "3", "--log", partLog,
      ] + flags)
    while running.process.isRunning {
      if (try? lines(partLog).count) ?? 0 >= 6 { break }
      usleep(1000)
    }
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.outcome()
    let rest = try Command.start(["train", "--resume", part]).outcome()
    #expect(rest.status == 0, "\(rest.errors)")
    #expect(rest.output.contains("that of step \(best)") && rest.output.contains("ended early"))
    #expect(
      FileManager.default.contentsEqual(
        atPath: "\(folder)/a/\(Self.adapter)", andPath: "\(part)/\(Self.adapter)"))
    for key in ["step", "loss", "eval_nll"] {
      #expect(try lines(partLog).map { $0[key] } == all.map { $0[key] }, "\(key)")
    }
    #expect(
      try Command.succeed("train", "--resume", part, "--json").json()["finished"]?.boolValue
        == true)
  }

  /// An adapter of rank 2 that learns from one of rank 8 alone gives what that gives.
  @Test func anAdapterTeachesAnother() throws {
    let folder = try Command.temporaryFolder()
    let teacher = try train(
      ["--steps", "20", "--learning-rate", "0.02", "--rank", "8"], in: folder, "teacher")
    #expect(teacher.status == 0, "\(teacher.errors)")
    let path = folder + "/teacher"
    let learned = try train(
      [
        "--teacher", path, "--teacher-share", "1", "--steps", "40", "--learning-rate", "0.02",
        "--rank", "2", "--json", "--log", folder + "/log.jsonl", "--no-report",
      ], in: folder, "student")
    #expect(learned.status == 0, "\(learned.errors)")
    let losses = try lines(folder + "/log.jsonl").compactMap { $0["loss"]?.doubleValue }
    #expect(try #require(losses.last) < losses[0] / 5, "\(losses)")
    let card = try String(contentsOfFile: folder + "/student/README.md", encoding: .utf8)
    #expect(
      card.contains("| teacher | teacher |") && card.contains(#"| teacher\_share | 1 |"#), "\(card)"
    )
    // A new adapter is the base: as long as nothing else is learned, there is nothing to learn from it.
    let base = try train(
      ["--teacher", "base", "--teacher-share", "1", "--steps", "2", "--log", folder + "/b.jsonl"],
      in: folder, "base")
    #expect(base.status == 0, "\(base.errors)")
    #expect(try lines(folder + "/b.jsonl").allSatisfy { abs($0["loss"]?.doubleValue ?? 1) < 1e-4 })
    for (arguments, status, text) in [
      (["--teacher-share", "0.5"], 64, "without --teacher"),
      (["--teacher", "base", "--teacher-share", "2"], 64, "--teacher-share"),
      (["--teacher", "base", "--method", "full"], 64, "train an adapter"),
      (["--teacher", "base", "--method", "prompt-tuning"], 1, "virtual tokens"),
      (["--teacher", folder + "/nowhere"], 1, "nowhere"),
    ] {
      let outcome = try train(arguments, in: folder, "wrong")
      #expect(outcome.status == status && outcome.errors.contains(text), "\(outcome.errors)")
    }
  }

  @Test func preferencesAreLearned() throws {
    let folder = try Command.temporaryFolder()
    let model = try Fixtures.modelWithTokenizer()
    let (pairs, judged) = (folder + "/pairs.jsonl", folder + "/judged.jsonl")
    let questions = ["who", "what", "when", "where", "why", "how"]
    try Fixtures.write(
      questions.map { #"{"prompt":"\#($0)","chosen":" yes","rejected":" no"}"# + "\n" }.joined(),
      to: pairs)
    try Fixtures.write(
      questions.flatMap { question in
        [(" yes", true), (" no", false)].map {
          #"{"prompt":"\#(question)","completion":"\#($0.0)","label":\#($0.1)}"# + "\n"
        }
      }.joined(), to: judged)
    for (loss, data) in [("dpo", pairs), ("ipo", pairs), ("orpo", pairs), ("kto", judged)] {
      let result = try Command.succeed(
        "train", "--task", "preference", "--model", model, "--data", data, "--eval-data", data,
        "--preference-loss", loss, "--beta", "0.5", "--steps", "20", "--batch", "4", "--dropout",
        "0.1", "--learning-rate", "0.01", "--output", folder + "/" + loss, "--json"
      ).json()
      func value(_ key: String) throws -> Double { try #require(result[key]?.doubleValue) }
      #expect(try value("eval_loss_after") < value("eval_loss_before"), "\(loss)")
      #expect(try value("eval_margin_after") > value("eval_margin_before"), "\(loss)")
      #expect(try value("eval_accuracy_after") == 1, "\(loss)")
    }
    // Without a loss the data say which.
    _ = try Command.succeed(
      "train", "--task", "preference", "--model", model, "--data", judged, "--steps", "1",
      "--output", folder + "/default")
    // A model that trains itself has no reference but with orpo.
    let full = try Command.start([
      "train", "--task", "preference", "--model", model, "--data", pairs, "--method", "full",
      "--output", folder + "/full",
    ]).outcome()
    #expect(full.status == 1 && full.errors.contains("second one in memory"), "\(full.errors)")
    _ = try Command.succeed(
      "train", "--task", "preference", "--model", model, "--data", pairs, "--method", "full",
      "--preference-loss", "orpo", "--steps", "1", "--output", folder + "/full")
    for (data, loss, expected) in [
      (pairs, "kto", "dpo, ipo or orpo"), (judged, "dpo", "kto: there are single completions"),
    ] {
      let wrong = try Command.start([
        "train", "--task", "preference", "--model", model, "--data", data, "--preference-loss",
        loss, "--output", folder + "/wrong",
      ]).outcome()
      #expect(wrong.status == 1 && wrong.errors.contains(expected), "\(wrong.errors)")
    }
  }

  @Test func whatGoesWrongIsSaidWithAdvice() throws {
    let folder = try Command.temporaryFolder()
    let slow = try train(["--steps", "12", "--learning-rate", "1e-12"], in: folder, "slow")
    #expect(slow.status == 0 && slow.errors.contains("hardly moved in 10 steps"), "\(slow.errors)")
    #expect(slow.errors.contains("raise the learning rate"))
    let good = try train(["--steps", "12", "--learning-rate", "1e-3"], in: folder, "good")
    #expect(good.status == 0 && !good.errors.contains("warning"), "\(good.errors)")
  }

  @Test(
    arguments: [
      (
        ["--optimizer", "sgd", "--beta1", "0.5"], "--beta1 makes no sense with --optimizer sgd", 64
      ),
      (["--optimizer", "adamw", "--momentum", "0.5"], "--momentum makes no sense", 64),
      (["--beta2", "1"], "--beta2 is 1", 64), (["--epsilon", "0"], "--epsilon is 0", 64),
      (["--optimizer", "adam"], "adamw-8bit", 64),
      (["--no-decay", "vectors"], "--no-decay makes no sense without --weight-decay", 64),
      (["--weight-decay", "0.1", "--no-decay", "bias,"], "has an empty part", 64),
      (
        ["--weight-decay", "0.1", "--no-decay", "bias"], "no parameter that is trained is meant", 1
      ),
      (["--layer-decay", "0"], "--layer-decay is 0", 64),
      (["--decay-steps", "3"], "--decay-steps makes no sense without --schedule wsd", 64),
      (["--schedule", "wsd", "--least-rate", "2"], "--least-rate is 2", 64),
      (["--neftune-alpha", "-1"], "--neftune-alpha is -1", 64),
      (["--patience", "2"], "--patience makes no sense without --eval-every", 64),
      (["--eval-every", "0"], "--eval-every is 0", 64),
      (["--eval-every", "2"], "there is nothing to measure on", 1),
      (["--beta", "1"], "--beta makes no sense without --task preference", 64),
      (
        ["--task", "preference", "--preference-loss", "ipo", "--label-smoothing", "0.1"],
        "--label-smoothing makes no sense", 64
      ),
      (
        ["--task", "preference", "--preference-loss", "dpo", "--desirable-weight", "1"],
        "make no sense but with", 64
      ),
    ] as [([String], String, Int32)]) func wrongOptionsAreNamed(
      flags: [String], expected: String, status: Int32
    ) throws
  {
    let folder = try Command.temporaryFolder()
    let outcome = try train(flags + ["--steps", "1"], in: folder, "a")
    #expect(outcome.status == status && outcome.errors.contains(expected), "\(outcome.errors)")
    #expect(!FileManager.default.fileExists(atPath: folder + "/a"))
  }
}
