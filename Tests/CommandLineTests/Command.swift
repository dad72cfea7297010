import Foundation
import LoRAFiles
import LoRAJSON
import LoRATensor
import TestSupport

/// The built command, run as a user runs it.
struct Command {
  /// What a run left.
  struct Outcome {
    let status: Int32
    let output: String
    let errors: String

    /// The one JSON object on standard output, which must be on one line.
    func json() throws -> JSONValue {
      let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.count == 2, lines[1].isEmpty else { throw Unexpected(text: output + errors) }
      return try JSONValue(parsing: String(lines[0]))
    }
  }

  /// What was not expected, for the test's report.
  struct Unexpected: Error, CustomStringConvertible {
    let text: String
    var description: String { text }
  }

  /// The binary, which is built beside the test bundle.
  static let binary: URL = {
    let executable = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    let folders = [executable, Bundle.main.bundleURL].map { $0.deletingLastPathComponent() }
    let candidates = folders.map { $0.appending(path: "lora") }
    return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
      ?? candidates[0]
  }()

  /// Starts the command and does not wait.
  static func start(_ arguments: [String], through shell: String? = nil) throws -> Running {
    let process = Process()
    if let shell {
      process.executableURL = URL(filePath: "/bin/sh")
      process.arguments = ["-c", shell, "sh", binary.path] + arguments
    } else {
      process.executableURL = binary
      process.arguments = arguments
    }
    let folder = try temporaryFolder()
    let output = folder + "/output"
    let errors = folder + "/errors"
    for path in [output, errors] { try Data().write(to: URL(filePath: path)) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    return Running(process: process, output: output, errors: errors)
  }

  /// A command in progress.
  struct Running {
    let process: Process
    let output: String
    let errors: String

    /// Waits for its end.
    func outcome() throws -> Outcome {
      process.waitUntilExit()
      return Outcome(
        status: process.terminationStatus,
        output: try String(contentsOfFile: output, encoding: .utf8),
        errors: try String(contentsOfFile: errors, encoding: .utf8))
    }
  }

  /// Runs the command to its end. `shell` is a script in which "$@" is the command.
  static func run(_ arguments: String..., through shell: String? = nil) throws -> Outcome {
    try start(arguments, through: shell).outcome()
  }

  /// Runs the command, which must succeed.
  static func succeed(_ arguments: String...) throws -> Outcome {
    let outcome = try start(arguments).outcome()
    guard outcome.status == 0 else { throw Unexpected(text: outcome.errors) }
    return outcome
  }

  /// A new empty folder.
  static func temporaryFolder() throws -> String { try ScratchFolder.make() }
}

/// The files that the tests read.
enum Fixtures {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  static func path(_ name: String) -> String { root.appending(path: "Tests/Fixtures/\(name)").path }

  static func model(_ name: String) -> String { path("models/\(name)") }

  /// The shared folder beside the checkout, or where `LORA_SHARED` says; nil if there is none.
  static let shared: String? = {
    let named = ProcessInfo.processInfo.environment["LORA_SHARED"]
    let path = named ?? root.deletingLastPathComponent().appending(path: "shared").path
    return FileManager.default.fileExists(atPath: path + "/README.md") ? path : nil
  }()

  /// Whether two safetensors files have the same tensors, to the last bit; what their metadata say of their
  /// making may differ.
  static func haveSameTensors(_ a: String, _ b: String) throws -> Bool {
    let files = try [a, b].map { try SafetensorsFile(path: $0) }
    guard files[0].names == files[1].names, !files[0].names.isEmpty else { return false }
    return try files[0].names.allSatisfy { name in
      let tensors = try files.map { try $0.tensor(named: name) }
      return tensors[0].shape == tensors[1].shape && tensors[0].scalars() == tensors[1].scalars()
    }
  }

  /// A copy of the model `name` that a test may spoil.
  static func copy(_ name: String) throws -> String {
    let target = try Command.temporaryFolder() + "/model"
    try FileManager.default.copyItem(atPath: model(name), toPath: target)
    return target
  }

  /// A copy of the tiny Llama with a tokenizer of single letters.
  static func modelWithTokenizer() throws -> String {
    let folder = try copy("llama-grouped")
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ.,!?".map(String.init) + ["Ġ", "Ċ"]
    let tokens = ["<pad>", "<s>", "</s>"] + letters
    let vocabulary = tokens.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
    let special = tokens.prefix(3).enumerated().map { id, token in
      """
      {"id":\(id),"content":"\(token)","single_word":false,"lstrip":false,"rstrip":false,\
      "normalized":false,"special":true}
      """
    }.joined(separator: ",")
    let tokenizer = """
      {"version":"1.0","truncation":null,"padding":null,"added_tokens":[\(special)],\
      "normalizer":null,\
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,\
      "use_regex":true},"post_processor":{"type":"TemplateProcessing",\
      "single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],\
      "pair":[{"Sequence":{"id":"A","type_id":0}},{"Sequence":{"id":"B","type_id":1}}],\
      "special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},\
      "decoder":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":true,"use_regex":true},\
      "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,\
      "end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,"ignore_merges":false,\
      "vocab":{\(vocabulary)},"merges":[]}}
      """
    try write(tokenizer, to: folder + "/tokenizer.json")
    try write(
      #"{"tokenizer_class":"PreTrainedTokenizerFast","bos_token":"<s>","eos_token":"</s>"}"#,
      to: folder + "/tokenizer_config.json")
    return folder
  }

  static func write(_ text: String, to path: String) throws {
    try Data(text.utf8).write(to: URL(filePath: path))
  }

  /// A new file of the given content; the end of its name says what it is.
  static func file(_ name: String, _ text: String) throws -> String {
    let path = try Command.temporaryFolder() + "/" + name
    try write(text, to: path)
    return path
  }

  /// Token sequences for the tiny models, 8 of 12 ids.
  static func sequences() throws -> String {
    let sequences = (0..<8).map { index in (0..<12).map { 3 + (index * 7 + $0 * $0) % 40 } }
    return try file("sequences.json", "\(sequences)")
  }

  static func isPlainFile(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// The names in a folder; none if it does not exist.
  static func names(in folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
  }
}
