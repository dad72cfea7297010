import Foundation
import LoRAFiles
import LoRAFormats
import LoRATensor
import Testing

/// Bad input gives one clear line, status 1, and nothing on standard output.
@Suite struct FailureTests {
  /// Runs a command that must fail; the one line that it says why with.
  func failure(_ arguments: [String], through shell: String? = nil) throws -> String {
    let outcome = try Command.start(arguments, through: shell).outcome()
    #expect(outcome.status == 1, "\(outcome.errors)")
    #expect(outcome.output.isEmpty)
    let lines = outcome.errors.split(separator: "\n").filter { $0.hasPrefix("error: ") }
    #expect(lines.count == 1, "\(outcome.errors)")
    return lines.first.map(String.init) ?? ""
  }

  func score(_ model: String, ids: String = "[[3,4,5]]", _ more: String...) throws -> String {
    let file = try Fixtures.file("ids.json", ids)
    return try failure(["score", "--model", model, "--ids", file, "--json"] + more)
  }

  // MARK: - Models

  @Test func missingAndTruncatedShards() throws {
    let missing = try Fixtures.copy("llama-linear-sharded")
    let shard = "/model-00002-of-00003.safetensors"
    try FileManager.default.removeItem(atPath: missing + shard)
    #expect(try score(missing).contains("model-00002-of-00003.safetensors: the shard does not"))

    let truncated = try Fixtures.copy("llama-linear-sharded")
    let bytes = try Data(contentsOf: URL(filePath: truncated + shard))
    try bytes.prefix(bytes.count / 2).write(to: URL(filePath: truncated + shard))
    #expect(try score(truncated).contains("model-00002-of-00003.safetensors: tensor '"))
  }

  @Test func indexThatNamesAnAbsentFile() throws {
    let model = try Fixtures.copy("llama-linear-sharded")
    let path = model + "/model.safetensors.index.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let name = "model-00001-of-00003.safetensors"
    let range = try #require(text.range(of: name))
    try Fixtures.write(
      text.replacingCharacters(in: range, with: "model-00009-of-00003.safetensors"), to: path)
    #expect(try score(model).contains("model-00009-of-00003.safetensors: the shard does not exist"))
  }

  @Test func hostileHeaders() throws {
    let model = try Fixtures.copy("llama-grouped")
    let url = URL(filePath: model + "/model.safetensors")
    var bytes = try Data(contentsOf: url)
    bytes.replaceSubrange(0..<8, with: [0, 0, 0, 0, 0, 0, 0, 0x80])
    try bytes.write(to: url)
    #expect(try score(model).contains("9223372036854775808 bytes"))

    let header =
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
      + #""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
    try (length + Data(header.utf8) + Data(count: 12)).write(to: url)
    #expect(try score(model).contains("tensor 'b'"))
  }

  @Test func notANumberInAWeight() throws {
    let model = try Fixtures.copy("llama-grouped")
    let directory = try ModelDirectory(path: model, access: .copied)
    var tensors: [(name: String, tensor: Tensor)] = []
    for name in directory.tensorNames {
      var values = try directory.tensor(named: name).scalars(as: Float.self)
      if name == "model.layers.1.mlp.up_proj.weight" { values[7] = .nan }
      let shape = try #require(directory.entry(named: name)?.shape)
      tensors.append((name, Tensor(values, shape: shape)))
    }
    try SafetensorsWriter.write(
      tensors, copies: Set(directory.tensorNames), to: model + "/model.safetensors")
    let message = try score(model)
    #expect(message.contains("'model.layers.1.mlp.up_proj.weight': element 7"))
  }

  @Test func unknownArchitecture() throws {
    let model = try Fixtures.copy("llama-grouped")
    let path = model + "/config.json"
    let text = try String(contentsOfFile: path, encoding: .utf8)
    try Fixtures.write(text.replacing("\"llama\"", with: "\"mamba2\""), to: path)
    #expect(try score(model).contains("the architecture 'mamba2' is not supported"))
    #expect(try score("/nowhere").contains("/nowhere: the folder does not exist"))
  }

  // MARK: - Adapters

  @Test func adaptersThatDoNotFit() throws {
    let model = Fixtures.model("llama-grouped")
    let other = Fixtures.model("mistral-v4") + "/adapter"
    #expect(try score(model, "--adapter", other).contains(other))
    let missing = try score(model, "--adapter", "/nowhere:0.5")
    #expect(missing.contains("/nowhere: the file does not exist"))

    let spoilt = try Command.temporaryFolder() + "/adapter"
    let path = spoilt + "/adapter_model.safetensors"
    try FileManager.default.copyItem(atPath: model + "/adapter", toPath: spoilt)
    let file = try SafetensorsFile(path: path, access: .copied)
    let all = try file.names.map { (name: $0, tensor: try file.tensor(named: $0)) }
    try SafetensorsWriter.write(Array(all.dropFirst()), to: path)
    #expect(try score(model, "--adapter", spoilt).contains("it is missing"))
    let extra = (name: all[0].name.replacing("layers.0", with: "layers.7"), tensor: all[0].tensor)
    try SafetensorsWriter.write(all + [extra], to: path)
    #expect(try score(model, "--adapter", spoilt).contains("layers.7"))
    try SafetensorsWriter.write(
      all.map { ($0.name, .zeros($0.tensor.shape)) }, to: path)
    #expect(try score(model, "--adapter", spoilt).contains("every contribution"))
  }

  @Test func recipesThatMakeNoSense() throws {
    let output = try Command.temporaryFolder() + "/adapter"
    let train = [
      "train", "--model", Fixtures.model("llama-grouped"), "--data", try Fixtures.sequences(),
      "--output", output, "--steps", "1", "--json",
    ]
    #expect(try failure(train + ["--targets", "zz_proj"]).contains("matches no linear layer"))
    for (option, value) in [
      ("--rank", "0"), ("--dropout", "1"), ("--learning-rate", "nan"), ("--batch", "0"),
    ] {
      let outcome = try Command.start(train + [option, value]).outcome()
      #expect(outcome.status == 64 && outcome.errors.hasPrefix("error: \(option) is \(value)"))
    }
    #expect(Fixtures.names(in: output).isEmpty)
    #expect(!FileManager.default.fileExists(atPath: output))
    // PEFT writes such adapters.
    let large = try Command.start(train + ["--rank", "33", "--targets", "q_proj"]).outcome()
    #expect(large.status == 0)
    #expect(large.errors.contains("warning: layer model.layers.0.self_attn.q_proj: rank 33"))
    #expect(try Command.start(train + ["--method", "boft"]).outcome().status == 64)
    #expect(try Command.start(train + ["--targets", "regex:("]).outcome().status == 64)
    #expect(try Command.start(train + ["--epochs", "2"]).outcome().status == 64)
  }

  // MARK: - Data

  @Test func sequencesThatTheModelCannotRead() throws {
    let model = Fixtures.model("llama-grouped")
    let long = "[\(Array(repeating: 5, count: 70))]"
    #expect(try score(model, ids: long).contains("69 positions, more than the limit of 64"))
    #expect(try score(model, ids: "[[1,2,64]]").contains("token id 64"))
    #expect(try score(model, ids: "[[1,99,3]]").contains("token id 99"))
    #expect(try score(model, ids: "[[1,-1]]").contains("-1"))
    #expect(try score(model, ids: "[[1]]").contains("no token to predict"))
    #expect(try score(model, ids: "[]").contains("no sequences"))
    #expect(try score(model, ids: "").contains("not JSON"))
  }

  @Test(arguments: [
    "a.txt", "a.jsonl", "a.json", "a.safetensors",
  ])
  func emptyData(name: String) throws {
    let model = try Fixtures.modelWithTokenizer()
    let output = try Command.temporaryFolder() + "/adapter"
    let data = try Fixtures.file(name, "")
    let message = try failure(["train", "--model", model, "--data", data, "--output", output])
    #expect(message.contains(data))
    #expect(!FileManager.default.fileExists(atPath: output))
  }

  @Test func linesOfAnotherForm() throws {
    let model = try Fixtures.modelWithTokenizer()
    let folder = try Command.temporaryFolder()
    for (line, wanted) in [
      ("{\"question\":\"a\"}", "line 2: expected"), ("{", "line 2: it is not JSON"),
      ("{\"prompt\":\"a\",\"completion\":\"b\"}", "line 2: expected"),
    ] {
      let data = try Fixtures.file("a.jsonl", "{\"text\":\"abc\"}\n\(line)\n")
      let message = try failure([
        "train", "--model", model, "--data", data, "--output", folder + "/out",
      ])
      #expect(message.contains(wanted), "\(message)")
    }
  }

  // MARK: - Places to write

  @Test func outputThatCannotBeWritten() throws {
    let file = try Fixtures.file("file", "content")
    let ids = try Fixtures.sequences()
    let model = Fixtures.model("llama-grouped")
    // Below /proc and below a file not even the superuser can make a folder.
    for output in ["/proc/lora-test", file, file + "/below"] {
      let message = try failure([
        "train", "--model", model, "--data", ids, "--output", output, "--steps", "1000000",
      ])
      let wanted = output == file ? "it is a file" : "cannot"
      #expect(message.contains(wanted), "\(message)")
      // The tour says so at once, not after its first training.
      #expect(try failure(["quickstart", "--output", output]).contains(wanted))
    }
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "content")
  }

  @Test(.enabled(if: getuid() != 0, "root may write everywhere")) func readOnlyFolder() throws {
    let folder = try Command.temporaryFolder()
    try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: folder)
    for output in [folder, folder + "/below"] {
      let message = try failure([
        "train", "--model", Fixtures.model("llama-grouped"), "--data", try Fixtures.sequences(),
        "--output", output, "--steps", "1000000",
      ])
      #expect(message.contains("Permission denied"))
    }
  }

  /// Files cannot grow beyond a block or two: what a full disk does to whoever writes, without one.
  @Test func diskThatIsFull() throws {
    let folder = try Command.temporaryFolder()
    let model = Fixtures.model("llama-grouped")
    let shell = "trap '' XFSZ; ulimit -f 8; exec \"$@\""
    let arguments = [
      ["merge", "--model", model, "--adapter", model + "/adapter", "--output", folder + "/a"],
      [
        "train", "--model", model, "--data", try Fixtures.sequences(), "--steps", "1", "--rank",
        "8",
        "--output", folder + "/b",
      ],
    ]
    for command in arguments {
      let message = try failure(command, through: shell)
      #expect(message.contains("File too large"), "\(message)")
    }
    #expect(Fixtures.names(in: folder).isEmpty)
  }

  /// A log that cannot be written loses nothing of what was learned. Files cannot grow beyond some
  /// blocks, which the log of many steps reaches and the adapter does not.
  @Test func logThatIsFull() throws {
    let output = try Command.temporaryFolder() + "/adapter"
    let message = try failure(
      [
        "train", "--model", Fixtures.model("llama-grouped"), "--data", try Fixtures.sequences(),
        "--steps", "100000", "--output", output, "--rank", "1", "--targets", "q_proj", "--log",
        output + ".jsonl",
      ], through: "trap '' XFSZ; ulimit -f 16; exec \"$@\"")
    #expect(message.contains("File too large"), "\(message)")
    #expect(message.contains("steps is saved in \(output)"))
    #expect(try !PEFTAdapterFile(path: output).description.layers.isEmpty)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func interrupt(number: Int32) throws {
    let folder = try Command.temporaryFolder()
    let log = folder + "/log.jsonl"
    let running = try Command.start([
      "train", "--model", Fixtures.model("llama-grouped"), "--data", try Fixtures.sequences(),
      "--steps", "100000000", "--output", folder + "/adapter", "--log", log,
    ])
    // The first line is written when the first step is made.
    while running.process.isRunning, ((try? Data(contentsOf: URL(filePath: log))) ?? Data()).isEmpty
    {
      usleep(10_000)
    }
    kill(running.process.processIdentifier, number)
    let outcome = try running.outcome()
    #expect(outcome.status == 1)
    #expect(outcome.errors.contains("error: interrupted; what was learned in "))
    #expect(outcome.output.isEmpty)
    let adapter = try PEFTAdapterFile(path: folder + "/adapter")
    #expect(!adapter.description.hasNoEffect)
  }

  // MARK: - Usage

  @Test func usage() throws {
    for arguments in [
      ["bogus"], ["train"], ["score", "--model", "m"], ["bench", "bogus"],
      ["score", "--model", "m", "--text", "a", "--ids", "b"],
      ["score", "--model", "m", "--ids", "a", "--split", "x"],
      ["generate", "--model", "m", "--prompt", "a", "--adapter", "x:nan"],
    ] {
      let outcome = try Command.start(arguments).outcome()
      #expect(outcome.status == 64, "\(arguments)")
      #expect(outcome.errors.hasPrefix("error: "), "\(outcome.errors)")
      #expect(outcome.output.isEmpty)
    }
  }

  @Test(arguments: [
    "", "train", "score", "generate", "merge", "inspect", "bench", "bench train", "bench generate",
    "quickstart",
  ])
  func helpHasAnExample(command: String) throws {
    let words = command.split(separator: " ").map(String.init)
    let outcome = try Command.start(words + ["--help"]).outcome()
    #expect(outcome.status == 0)
    #expect(outcome.output.contains(command.isEmpty ? "  lora train --" : "  lora \(command) "))
    #expect(outcome.errors.isEmpty)
  }
}
