import ArgumentParser
import Foundation
import LoRAArchitectures
import LoRAFiles
import LoRAModels
import LoRATensor
import Testing

@testable import lora

/// Every example of every command's help, pasted.
@Suite(.serialized) struct HelpExampleTests {
  /// A command and an example that stands in its help.
  struct Example: Sendable, CustomTestStringConvertible {
    let command: String
    let line: String
    var testDescription: String { line }
  }

  static var commands: [[any ParsableCommand.Type]] {
    [[LoRACommand.self]] + subcommands(of: [LoRACommand.self])
  }

  private static func subcommands(
    of path: [any ParsableCommand.Type]
  ) -> [[any ParsableCommand.Type]] {
    (path.last?.configuration.subcommands ?? []).flatMap { command in
      [path + [command]] + subcommands(of: path + [command])
    }
  }

  static let examples: [Example] = commands.flatMap { path in
    let help = LoRACommand.helpMessage(for: path[path.count - 1], columns: 10_000)
    return help.split(separator: "\n").filter(HelpText.isExample).map { line in
      Example(
        command: path.map { $0._commandName }.joined(separator: " "),
        line: line.trimmingCharacters(in: .whitespaces))
    }
  }

  @Test func everyCommandHasAnExampleOfItsOwn() {
    for path in Self.commands {
      let name = path.map { $0._commandName }.joined(separator: " ")
      #expect(
        Self.examples.contains { $0.command == name && $0.line.hasPrefix(name) }, "\(name)")
    }
  }

  /// A usage line that is written by hand has every option of its command.
  @Test func usageLinesAreWhole() {
    for path in Self.commands {
      let command = path[path.count - 1]
      guard let usage = command.configuration.usage else { continue }
      let options = UsageReport.options(of: command)
      for option in options.keys where !["--help", "--version", "-h"].contains(option) {
        #expect(usage.contains("\(option) ") || usage.contains("\(option)]"), "\(option): \(usage)")
      }
      let named = usage.split { !$0.isLetter && $0 != "-" }.filter { $0.hasPrefix("--") }
      for option in named { #expect(options[String(option)] != nil, "\(option): \(usage)") }
    }
  }

  /// What must be given stands outside of brackets, and what it takes is explained.
  @Test func whatMustBeGivenLooksSo() throws {
    for (name, required) in [
      ("merge", ["--model <path>", "--adapter <adapter[:scale]> ...", "--output <path>"]),
      ("combine", ["--adapter <adapter[:weight]> ...", "--output <dir>"]),
      ("sweep", ["--model <path>", "--adapter <adapter>", "--data <file[#name]>"]),
      (
        "score",
        [
          "--model <path>",
          "(--text <file> [--split <split>] | --data <file> | --ids <file[#name]>)",
        ]
      ),
      ("reduce", ["--adapter <adapter>", "(--rank <rank> | --energy <energy>)", "--output <dir>"]),
      ("extract", ["--base <dir>", "(--rank <rank> | --energy <energy>)", "--output <dir>"]),
      ("train", ["--model <path>", "--data <file[#name][:weight]> ...", "--output <dir>"]),
    ] {
      let help = try Command.succeed("help", name).output
      let start = try #require(help.range(of: "USAGE: lora \(name) "))
      let usage = help[start.upperBound...].components(separatedBy: "\n\n")[0].split(
        whereSeparator: \.isWhitespace
      )
      .joined(separator: " ")
      for option in required { #expect(" \(usage) ".contains(" \(option) "), "\(usage)") }
      if help.contains("[#name]") {
        let text = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(text.contains("#name") && text.contains("tensor"), "\(name)")
      }
    }
  }

  /// Whole on a terminal of 80 columns, behind the two spaces that it is indented by.
  @Test(arguments: examples) func fitsOnALine(example: Example) {
    #expect(example.line.count <= 78)
  }

  @Test(arguments: examples) func isParsed(example: Example) throws {
    let words = Self.words(of: example.line)
    #expect(words.first == "lora" && words.count > 1)
    _ = try LoRACommand.parseAsRoot(Array(words.dropFirst()))
  }

  private static let slow = ["lora quickstart", "lora bench gemm", "lora tune"]

  /// Those that measure the machine or teach for a minute are parsed only.
  @Test(arguments: examples.filter { example in !slow.contains { example.line.hasPrefix($0) } })
  func runs(example: Example) throws {
    let folder = try Command.temporaryFolder()
    for name in try FileManager.default.contentsOfDirectory(atPath: Self.kit.get()) {
      try FileManager.default.copyItem(
        atPath: Self.kit.get() + "/" + name, toPath: folder + "/" + name)
    }
    // What other examples read may be what this one writes.
    let words = Self.words(of: example.line)
    if let option = words.firstIndex(of: "--output") {
      try? FileManager.default.removeItem(atPath: folder + "/" + words[option + 1])
    }
    let typed = example.command == "lora chat" ? "echo Hello | " : ""
    let outcome = try Command.start(
      [],
      through:
        "lora() { \"$binary\" \"$@\"; }; binary=$1; cd '\(folder)' && \(typed)\(example.line)"
    ).outcome()
    #expect(outcome.status == 0, "\(example.line)\n\(outcome.errors)")
    #expect(!outcome.output.isEmpty)
  }

  /// The words of a line, quotes taken off.
  static func words(of line: String) -> [String] {
    var words: [String] = []
    for (index, part) in line.split(separator: "'", omittingEmptySubsequences: false).enumerated() {
      if index % 2 == 1 {
        words.append(String(part))
      } else {
        words += part.split(separator: " ").map(String.init)
      }
    }
    return words
  }

  // MARK: - What the examples name

  /// A folder with a file of every name that stands in an example, made once.
  static let kit: Result<String, any Error> = Result {
    let folder = try Command.temporaryFolder()
    let configuration = ModelConfiguration(
      hiddenSize: 32, intermediateSize: 48, layerCount: 2, headCount: 2, vocabularySize: 256,
      maximumPositions: 1024)
    try configuration.randomLanguageModel().save(
      to: folder + "/MODEL",
      otherFiles: [(name: "tokenizer.json", content: Array(byteTokenizer.utf8))])
    let questions =
      #"{"prompt":"How long is the warranty?","completion":" Four years."}"# + "\n"
      + #"{"prompt":"Which light blinks?","completion":" The filter light."}"# + "\n"
    for name in ["questions.jsonl", "eval.jsonl"] {
      try Fixtures.write(questions, to: folder + "/" + name)
    }
    try Fixtures.write(
      #"{"prompt":"Which light blinks?","chosen":" The filter light.","rejected":" I don't know."}"#
        + "\n", to: folder + "/choices.jsonl")
    try FileManager.default.copyItem(
      atPath: Fixtures.path("sentences/mean-normalized"), toPath: folder + "/ENCODER")
    for name in ["intents.jsonl", "tags.jsonl", "pairs.jsonl"] {
      try FileManager.default.copyItem(
        atPath: Fixtures.path("sentences/mean-normalized/texts.jsonl"),
        toPath: folder + "/" + name)
    }
    _ = try Command.succeed(
      "train", "--task", "classification", "--model", folder + "/ENCODER", "--data",
      folder + "/intents.jsonl", "--steps", "1", "--output", folder + "/intents")
    try Fixtures.write(
      #"{"tokens": ["my", "card"], "tags": ["O", "B-THING"]}"# + "\n", to: folder + "/names.jsonl")
    _ = try Command.succeed(
      "train", "--task", "token-classification", "--model", folder + "/ENCODER", "--data",
      folder + "/names.jsonl", "--steps", "1", "--output", folder + "/names")
    for name in ["stories.txt", "book.txt"] {
      try Fixtures.write("Once upon a time.<|endoftext|>The end.", to: folder + "/" + name)
    }
    try Fixtures.write(
      #"[{"role": "user", "content": "Which light?"}, {"role": "assistant", "content": "That one."}]"#,
      to: folder + "/chat.json")
    try Fixtures.write(
      #"{"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}"#,
      to: folder + "/chats.jsonl")
    try Fixtures.write("Question,Answer\nWhich light?,That one.", to: folder + "/faq.csv")
    for name in ["MODEL/chat_template.jinja", "chatml.jinja"] {
      try FileManager.default.copyItem(
        atPath: Fixtures.path("templates/chatml.jinja"), toPath: folder + "/" + name)
    }
    let ids = Tensor((0..<32).map { Int64($0 * 7 % 256) }, shape: [4, 8])
    try SafetensorsWriter.write(
      [("train", ids), ("eval", ids)], to: folder + "/ids.safetensors")
    for (index, name) in ["support", "polite", "a", "b"].enumerated() {
      _ = try Command.succeed(
        "train", "--model", folder + "/MODEL", "--data", folder + "/questions.jsonl", "--steps",
        "1", "--seed", "\(index)", "--output", folder + "/" + name)
    }
    _ = try Command.succeed(
      "merge", "--model", folder + "/MODEL", "--adapter", folder + "/support", "--output",
      folder + "/TUNED")
    _ = try Command.succeed(
      "convert", "--input", folder + "/support", "--to", "mlx", "--output", folder + "/mlx")
    for (name, source) in [
      ("style.safetensors", "dialects/kohya-sd15.safetensors"),
      ("base.gguf", "gguf/models/llama-quantized.gguf"),
      ("tone", "gguf/models/llama-quantized-adapter"),
    ] {
      try FileManager.default.copyItem(
        atPath: Fixtures.path(source), toPath: folder + "/" + name)
    }
    return folder
  }

  /// A `tokenizer.json` whose tokens are the 256 bytes.
  private static let byteTokenizer: String = {
    let printable = Array(33...126) + Array(161...172) + Array(174...255)
    let others = (0..<256).filter { !printable.contains($0) }
    let characters =
      printable.map { ($0, $0) } + others.enumerated().map { ($1, 256 + $0) }
    let entries = characters.map { byte, scalar in
      "\"\\u\(String(format: "%04x", scalar))\":\(byte)"
    }
    return """
      {"model":{"type":"BPE","vocab":{\(entries.joined(separator: ","))},"merges":[]},
      "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"use_regex":true},
      "decoder":{"type":"ByteLevel"}}
      """
  }()
}
