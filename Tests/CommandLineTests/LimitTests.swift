import Foundation
import LoRAJSON
import Testing

/// Small machines, broken streams and odd files: a message or a success, never a signal and never a
/// wait.
@Suite struct LimitTests {
  private static let model = Fixtures.model("llama-grouped")

  /// What a run must have been: a success, or status 1 with one error that begins as errors do.
  private func expectMessageOrSuccess(_ outcome: Command.Outcome, _ what: String) {
    if outcome.status == 0 { return }
    #expect(outcome.status == 1, "\(what): \(outcome.errors.prefix(400))")
    #expect(outcome.errors.contains("error: "), "\(what): \(outcome.errors.prefix(400))")
  }

  #if os(Linux)
    // Below some size not even the loader of programs gets along: then the shell says 127.
    @Test(arguments: [100, 200, 240, 300, 400, 800, 2000]) func littleAddressSpace(
      _ mebibytes: Int
    ) throws {
      let output = try Command.temporaryFolder() + "/a"
      let limit = "ulimit -v \(mebibytes * 1024); timeout 60 \"$@\""
      let train = try Command.run(
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "2",
        "--batch",
        "2", "--output", output, through: limit)
      if train.status == 127 { return }
      expectMessageOrSuccess(train, "train")
      #expect((train.status == 0) == !Fixtures.names(in: output).isEmpty)
      let score = try Command.run(
        "score", "--model", Self.model, "--ids", try Fixtures.sequences(), through: limit)
      expectMessageOrSuccess(score, "score")
      if mebibytes >= 400 { #expect(train.status == 0 && score.status == 0) }
    }

    @Test func aRunSeesItsLimitOfAddressSpace() throws {
      // 60 million numbers, four times over: more than what is left of 700 MiB.
      let outcome = try Command.run(
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "1",
        "--rank",
        "100000", "--output", try Command.temporaryFolder() + "/a",
        through: "ulimit -v 716800; timeout 60 \"$@\"")
      #expect(outcome.status == 1)
      #expect(outcome.errors.contains("MiB") && outcome.errors.contains("available"))
    }
  #endif

  @Test(arguments: [
    ["--rank", "9223372036854775807"], ["--rank", "100000000000"],
    ["--rank", "100000000", "--memory", "1GiB"], ["--sequence-length", "9223372036854775807"],
  ]) func numbersThatNoMachineHolds(_ flags: [String]) throws {
    let text = try Fixtures.file("text.txt", "abc abc abc")
    let outcome = try Command.start(
      [
        "train", "--model", try Fixtures.modelWithTokenizer(), "--data", text, "--steps", "1",
        "--output", try Command.temporaryFolder() + "/a",
      ] + flags
    ).outcome()
    #expect(outcome.status == 1)
    #expect(
      outcome.errors.contains("are available") || outcome.errors.contains("limit is"),
      "\(outcome.errors)")
  }

  @Test(arguments: [
    ["--batch", "9223372036854775807"], ["--accumulate", "9223372036854775807"],
    ["--warmup", "9223372036854775807"], ["--batch", "4611686018427387904"],
  ]) func largeNumbersThatMeanAll(_ flags: [String]) throws {
    let outcome = try Command.start(
      [
        "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "1",
        "--output",
        try Command.temporaryFolder() + "/a",
      ] + flags
    ).outcome()
    #expect(outcome.status == 0, "\(outcome.errors)")
  }

  @Test(arguments: [
    ["bench", "train", "--steps", "9223372036854775807"],
    ["bench", "train", "--batch", "9223372036854775807"],
    ["bench", "train", "--sequence-length", "9223372036854775807"],
    ["bench", "train", "--rank", "9223372036854775807", "--sequence-length", "8"],
    ["bench", "generate", "--max-tokens", "9223372036854775807"],
    ["bench", "generate", "--prompt-tokens", "9223372036854775807"],
    ["bench", "adapters", "--rows", "9223372036854775807", "--prompt-tokens", "4"],
    ["bench", "adapters", "--adapters", "9223372036854775807", "--prompt-tokens", "4"],
  ]) func benchmarksThatNoMachineHolds(_ arguments: [String]) throws {
    let outcome = try Command.start(arguments + ["--model", Self.model]).outcome()
    #expect(outcome.status == 1)
    #expect(outcome.errors.hasPrefix("error: "), "\(outcome.errors)")
  }

  @Test(arguments: ["9223372036854775807", "4611686018427387904", "2147483648000"])
  func productsThatNoMachineHolds(_ m: String) throws {
    let outcome = try Command.run("bench", "gemm", "--m", m)
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("the products of --m need"), "\(outcome.errors)")
  }

  @Test func theLargestNumbersOfGeneration() throws {
    let outcome = try Command.run(
      "generate", "--model", try Fixtures.modelWithTokenizer(), "--prompt", "abc", "--max-tokens",
      "9223372036854775807", "--top-k", "9223372036854775807", "--temperature", "1", "--json")
    #expect(outcome.status == 0, "\(outcome.errors)")
  }

  @Test(arguments: [
    (["--learning-rate", "0"], "learning rate"), (["--learning-rate", "nan"], "learning rate"),
    (["--learning-rate", "1e30"], "learning rate"), (["--alpha", "0"], "alpha"),
    (["--alpha", "nan"], "alpha"), (["--rank", "0"], "rank"), (["--dropout", "1"], "dropout"),
    (["--weight-decay", "inf"], "weight decay"), (["--clip-norm", "nan"], "clipping norm"),
    (["--batch", "0"], "batch"), (["--accumulate", "0"], "batches"), (["--steps", "0"], "steps"),
    (["--epochs", "0"], "epochs"), (["--loraplus-ratio", "0.5"], "LoRA+"),
  ]) func whatCannotTrainIsRefusedBeforeTheModelIsOpened(_ flags: [String], _ word: String) throws {
    let outcome = try Command.start(
      ["train", "--model", "/nowhere", "--data", "/nowhere", "--output", "/nowhere/a"] + flags
    ).outcome()
    #expect(outcome.status == 1 || outcome.status == 64)
    // By the option, or by what the library calls it.
    #expect(
      outcome.errors.contains(word) || outcome.errors.contains(flags[0]), "\(outcome.errors)")
    #expect(!outcome.errors.contains("/nowhere"))
  }

  @Test func unknownEnvironmentValuesAreReported() throws {
    let outcome = try Command.run(
      "inspect", Self.model,
      through: "LORA_THREADS=two LORA_KERNELS=mmx LORA_THREAD=1 \"$@\"")
    #expect(outcome.status == 0)
    #expect(outcome.errors.contains("warning: LORA_THREADS is 'two'; expected a number"))
    #expect(outcome.errors.contains("warning: LORA_KERNELS is 'mmx'; expected one of"))
    #expect(outcome.errors.contains("warning: LORA_THREAD is not followed; is LORA_THREADS meant?"))
    #expect(try Command.run("inspect", Self.model).errors.isEmpty)
  }

  @Test(arguments: [
    "inspect PIPE", "score --model MODEL --ids PIPE", "score --model MODEL --text PIPE",
    "train --model MODEL --data PIPE.json --output OUT",
    "train --model MODEL --data PIPE.jsonl --output OUT",
    "train --model MODEL --data PIPE.txt --output OUT",
    "train --model MODEL --data PIPE.safetensors --output OUT",
    "train --model MODEL --data ROWS --config PIPE --output OUT",
    "score --model MODEL --ids ROWS --adapter PIPE", "score --model PIPE.gguf --ids ROWS",
    "score --model MODEL --ids ROWS --adapter PIPE.safetensors", "inspect /dev/zero",
    "score --model MODEL --ids /dev/zero", "score --model MODEL --text /proc/self/status",
    "score --model MODEL --text /proc/self/mem", "inspect /dev/null",
  ]) func filesThatAreNotPlainAreRefused(_ line: String) throws {
    let folder = try Command.temporaryFolder()
    let pipe = folder + "/pipe"
    for ending in ["", ".json", ".jsonl", ".txt", ".safetensors", ".gguf"] {
      #expect(mkfifo(pipe + ending, 0o600) == 0)
    }
    let model = try Fixtures.modelWithTokenizer()
    let ids = try Fixtures.sequences()
    let arguments = line.split(separator: " ").map { word in
      String(word).replacing("PIPE", with: pipe).replacing("MODEL", with: model)
        .replacing("OUT", with: folder + "/out").replacing("ROWS", with: ids)
    }
    let outcome = try Command.start(arguments, through: "timeout 20 \"$@\"").outcome()
    #expect(outcome.status == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("error: "), "\(outcome.errors)")
  }

  @Test func aModelThatIsTruncatedWhileItTrains() throws {
    let model = try Fixtures.copy("llama-grouped")
    let running = try Command.start([
      "bench", "train", "--model", model, "--dtype", "auto", "--steps", "20000",
      "--sequence-length",
      "16", "--rank", "2",
    ])
    // Once the first steps are reported the weights are in use.
    for _ in 0..<300 where try String(contentsOfFile: running.errors, encoding: .utf8).isEmpty {
      usleep(20_000)
    }
    #expect(truncate(model + "/model.safetensors", 0) == 0)
    let outcome = try running.outcome()
    #expect(outcome.status == 1)
    #expect(running.process.terminationReason == .exit)
    #expect(outcome.errors.contains("model.safetensors"), "\(outcome.errors)")
    #expect(outcome.errors.contains("became shorter"), "\(outcome.errors)")
  }

  @Test func aTokenizerThatIsAPipeIsRefused() throws {
    let model = try Fixtures.modelWithTokenizer()
    try FileManager.default.removeItem(atPath: model + "/tokenizer.json")
    #expect(mkfifo(model + "/tokenizer.json", 0o600) == 0)
    let outcome = try Command.run(
      "generate", "--model", model, "--prompt", "abc", through: "timeout 20 \"$@\"")
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("not a plain file"), "\(outcome.errors)")
  }
}

/// Streams, folders and variables that are not as usual.
@Suite struct SurroundingsTests {
  private static let model = Fixtures.model("llama-grouped")

  @Test func aReaderThatLeavesEndsQuietly() throws {
    let outcome = try Command.run(
      "score", "--model", Self.model, "--ids", try Fixtures.sequences(), "--per-token",
      through: "{ \"$@\"; echo status $? >&2; } | true")
    #expect(!outcome.errors.contains("error:"))
    #expect(outcome.errors.contains("status "))
    // Not by a signal.
    #expect(!outcome.errors.contains("status 141"))
  }

  @Test func aTrainingOutlivesWhoReadsItsProgress() throws {
    let output = try Command.temporaryFolder() + "/a"
    _ = try Command.run(
      "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "20",
      "--output",
      output, through: "\"$@\" 2>&1 | true; sleep 0.1")
    // The shell does not wait for the first of a pipe in all shells.
    for _ in 0..<100 where !Fixtures.names(in: output).contains("adapter_config.json") {
      usleep(100_000)
    }
    #expect(Fixtures.names(in: output).contains("adapter_model.safetensors"))
  }

  @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]) func closedStreamsSpoilNoFile(
    _ closed: String
  ) throws {
    let output = try Command.temporaryFolder() + "/a"
    let log = output + "-log.jsonl"
    let outcome = try Command.run(
      "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "2", "--log",
      log,
      "--output", output, through: "\"$@\" \(closed)")
    #expect(outcome.status == (closed.contains(">&- ") || closed == ">&-" ? 1 : 0))
    #expect(Fixtures.names(in: output).contains("adapter_model.safetensors"))
    let lines = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2)
    for line in lines { #expect((try? JSONValue(parsing: String(line))) != nil) }
    let check = try Command.run(
      "score", "--model", Self.model, "--adapter", output, "--ids",
      try Fixtures.sequences())
    #expect(check.status == 0 || check.errors.contains("every contribution"))
  }

  @Test(arguments: [
    "unset HOME TMPDIR; \"$@\"", "TMPDIR=/nowhere HOME=/nowhere \"$@\"", "LC_ALL=C \"$@\"",
    "LC_ALL=ja_JP.eucJP LANG= \"$@\"", "env -i \"$@\"",
    "mkdir gone; cd gone; rmdir \"$PWD\"; \"$@\"",
  ]) func otherSurroundings(_ script: String) throws {
    let folder = try Command.temporaryFolder()
    let outcome = try Command.run(
      "train", "--model", Self.model, "--data", try Fixtures.sequences(), "--steps", "1",
      "--output",
      folder + "/a", through: "cd '\(folder)'; \(script)")
    #expect(outcome.status == 0, "\(outcome.errors)")
  }
}
