/// A Modelfile: what `ollama create` makes a model of, here a base with an adapter.
///
/// ```swift
/// var file = OllamaModelfile(from: "llama3.2")
/// file.adapter = "./support.gguf"
/// file.parameters = [("temperature", "0.2"), ("stop", "<|eot_id|>")]
/// try file.write(to: "Modelfile")          // then: ollama create support -f Modelfile
/// ```
///
/// The text is such that Ollama's parser gives every value back as it is. What it cannot hold is
/// refused: three quotation marks in a row, and characters that the parser drops.
///
/// Source: Ollama, `parser/parser.go`.
package struct OllamaModelfile: Sendable {
  /// The base: a model's name, or the path of a GGUF file or a model directory.
  package var from: String
  /// The adapter: the path of a GGUF file or of a folder with a PEFT adapter, absolute or relative
  /// to the Modelfile.
  package var adapter: String?
  /// The prompt's template in Ollama's (Go's) language, which is not Jinja; nil: the base's. Make
  /// sure that it lays conversations out as in training.
  package var template: String?
  /// The system message that conversations begin with; nil: none.
  package var system: String?
  /// Settings of generation, as in ("temperature", "0.2"); names may repeat, as "stop" does.
  package var parameters: [(name: String, value: String)]

  /// Creates a Modelfile.
  package init(
    from: String, adapter: String? = nil, template: String? = nil, system: String? = nil,
    parameters: [(name: String, value: String)] = []
  ) {
    self.from = from
    self.adapter = adapter
    self.template = template
    self.system = system
    self.parameters = parameters
  }

  /// The file's usual name.
  package static let fileName = "Modelfile"

  /// The file's text. Throws ``FormatError`` (`invalidValue`) if a value cannot be written, naming
  /// its instruction; `file` is for errors.
  package func text(file: String = fileName) throws(FormatError) -> String {
    guard !from.isEmpty else {
      throw FormatError(.invalidValue, file: file, subject: "FROM", problem: "it is empty")
    }
    var lines = ["FROM \(try Self.quoted(from, "FROM", file))"]
    if let adapter { lines.append("ADAPTER \(try Self.quoted(adapter, "ADAPTER", file))") }
    if let template { lines.append("TEMPLATE \(try Self.quoted(template, "TEMPLATE", file))") }
    if let system { lines.append("SYSTEM \(try Self.quoted(system, "SYSTEM", file))") }
    for (name, value) in parameters {
      let subject = "PARAMETER \(name)"
      let isName =
        !name.isEmpty
        && name.utf8.allSatisfy { byte in
          byte == UInt8(ascii: "_") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
      guard isName else {
        throw FormatError(
          .invalidValue, file: file, subject: subject,
          problem: "a parameter's name has letters, digits and underscores")
      }
      lines.append("\(subject) \(try Self.quoted(value, subject, file))")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Writes the file to `path`, atomically. Throws ``FormatError`` if a value cannot be written,
  /// `FileError` if writing fails.
  package func write(to path: String) throws {
    try AtomicFile.writeAll([try part(path: path)])
  }

  /// The file as one of several that are written together with `AtomicFile/writeAll(_:)`.
  package func part(path: String) throws(FormatError) -> AtomicFile.Part {
    AtomicFile.Part(path, Array(try text(file: path).utf8))
  }

  /// The Modelfile that names the adapter in the GGUF file at `path` and lies beside it: its path,
  /// and itself with the adapter named. Write it together with the adapter:
  ///
  /// ```swift
  /// let (adapter, _) = try GGUFAdapterFile.part(description, base: base, path: path)
  /// let (place, modelfile) = OllamaModelfile(from: "llama3.2").beside(adapter: path)
  /// try AtomicFile.writeAll([adapter, try modelfile.part(path: place)])
  /// ```
  package func beside(adapter path: String) -> (path: String, modelfile: OllamaModelfile) {
    var copy = self
    copy.adapter = "./" + FileSystem.name(of: path)
    return (FileSystem.join(FileSystem.folder(of: path), Self.fileName), copy)
  }

  /// `value` so that Ollama's parser reads it back.
  private static func quoted(
    _ value: String, _ subject: String, _ file: String
  ) throws(FormatError) -> String {
    if let dropped = value.unicodeScalars.first(where: isDropped) {
      throw FormatError(
        .invalidValue, file: file, subject: subject,
        problem: "Ollama drops the character U+\(hexadecimal(dropped.value)) in it",
        remedy: "write the text without it")
    }
    let isPlain =
      !value.isEmpty
      && value.unicodeScalars.allSatisfy { scalar in
        scalar != "\"" && scalar != "#" && !scalar.properties.isWhitespace
      }
    if isPlain { return value }
    guard !value.contains("\"\"\"") else {
      throw FormatError(
        .invalidValue, file: file, subject: subject,
        problem: "a value cannot hold three quotation marks in a row",
        remedy: "write the text without them")
    }
    let isOneLine = value.unicodeScalars.allSatisfy { $0 != "\n" && $0 != "\r" }
    // One quotation mark would join others at either end.
    if isOneLine, !value.hasPrefix("\""), !value.hasSuffix("\"") { return "\"\(value)\"" }
    return "\"\"\"\(value)\"\"\""
  }

  /// Whether Ollama's parser leaves a character out: what Go does not call printable, but for line
  /// breaks, spaces and tabs.
  private static func isDropped(_ scalar: Unicode.Scalar) -> Bool {
    if [" ", "\t", "\n", "\r"].contains(scalar) { return false }
    return switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .spaceSeparator,
      .lineSeparator, .paragraphSeparator:
      true
    default: false
    }
  }

  private static func hexadecimal(_ value: UInt32) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }
}
