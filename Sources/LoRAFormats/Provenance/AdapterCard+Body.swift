// What people read of a card, in Markdown.

extension AdapterCard {
  var summary: String {
    let base = record.base.name.map { "**\(Self.escaped($0))**" } ?? "its base model"
    let making =
      switch record.making {
      case .training: "trained" + (record.task.map { " (task: \(Self.escaped($0)))" } ?? "")
      case .combination: "combined of other adapters"
      case .extraction: "taken from a fine-tuned model"
      case .reduction: "made of another by lowering its rank"
      }
    var lines = [
      "An adapter for \(base) with \(parameterCount) parameters, \(making) with "
        + "\(Self.escaped(record.software))."
    ]
    if let license = record.base.license {
      lines.append("Licence of the base: \(Self.escaped(license)).")
    }
    if let fingerprint = record.base.fingerprint {
      lines.append(
        "Fingerprint of the base: `\(fingerprint.digest)` (\(fingerprint.type)). The adapter is meant for "
          + "this base alone; lora refuses it on others.")
    }
    return lines.joined(separator: "\n")
  }

  /// How it is used: BASE is what the reader has.
  var use: String {
    let folder = Self.isShellWord(name) ? name : "ADAPTER"
    var parts = ["## Use", "With lora, where BASE is the base model's folder or its GGUF file:"]
    let run =
      switch record.task {
      case "classification", "token-classification": "classify"
      case "embedding": "embed"
      default: "generate"
      }
    let option = run == "generate" ? "--prompt" : "--text"
    parts.append(
      Self.code("sh", ["lora \(run) --model BASE --adapter \(folder) \(option) \"...\""]))
    let isPlainText = record.task == nil || ["text", "preference"].contains(record.task)
    if isPlainText {
      parts.append("With PEFT, in Python:")
      parts.append(
        Self.code(
          "python",
          [
            "from peft import PeftModel", "from transformers import AutoModelForCausalLM", "",
            "model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(\"BASE\"), \"\(folder)\")",
          ]))
      parts.append("With llama.cpp, if the adapter is plain LoRA:")
      parts.append(
        Self.code(
          "sh",
          [
            "lora convert --input \(folder) --to gguf --base BASE --output adapter.gguf",
            "llama-cli -m BASE.gguf --lora adapter.gguf -p \"...\"",
          ]))
    }
    return parts.joined(separator: "\n\n")
  }

  var dataRows: [[String]] {
    record.allData.map { file in
      [
        file.use, file.name, file.examples.map { "\($0)" } ?? "", file.license ?? "not stated",
        file.sha256 ?? "",
      ]
    }
  }

  var parentRows: [[String]] {
    record.parents.map { parent in
      [
        parent.name, parent.weight.map { Self.text(.number($0)) } ?? "", parent.sha256 ?? "",
      ]
    }
  }

  static func rows(_ entries: [AdapterRecord.Entry]) -> [[String]] {
    entries.map { [$0.name, text($0.value)] }
  }

  private static func text(_ value: AdapterRecord.Entry.Value) -> String {
    switch value {
    case .number(let number): Int64(exactly: number).map { "\($0)" } ?? "\(number)"
    case .text(let text): text
    case .flag(let flag): flag ? "yes" : "no"
    }
  }

  /// A section with a table; nothing if it has no rows.
  func table(_ title: String, _ header: [String], _ rows: [[String]]) -> String {
    guard !rows.isEmpty else { return "" }
    let lines = [header, header.map { _ in "---" }] + rows.map { $0.map(Self.escaped) }
    return "## \(title)\n\n"
      + lines.map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
  }

  private static func code(_ language: String, _ lines: [String]) -> String {
    "```\(language)\n" + lines.joined(separator: "\n") + "\n```"
  }

  /// Text from files, which may be anything, as text of one line of a table.
  static func escaped(_ text: String) -> String {
    text.unicodeScalars.map { scalar in
      switch scalar {
      case "\\", "|", "*", "_", "`", "[", "]", "#": "\\\(scalar)"
      case "<": "&lt;"
      case "&": "&amp;"
      case _ where scalar.properties.generalCategory == .control: " "
      default: "\(scalar)"
      }
    }.joined()
  }

  /// Whether a name needs no quotes in a shell, nor in Python's strings.
  private static func isShellWord(_ text: String) -> Bool {
    !text.isEmpty && !text.hasPrefix("-")
      && text.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "-_.".utf8.contains(byte)
        }
      }
  }
}
