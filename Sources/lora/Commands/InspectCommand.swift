import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora inspect`: what is in a model, an adapter or a file of tensors.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a model, an adapter, a file of tensors or a file of data holds.",
    discussion: """
      Of a model: its architecture, shapes, types and tokenizer, what is not supported and why, and what \
      training it would cost. Of an adapter of any format: what made \
      it, which layers have no effect, and for each layer the shape, method, rank, scale and the \
      Frobenius norm of its change (norm), with --base also that norm divided by the norm of the base's \
      weight (relative). Of a file of tensors: their names, types and shapes. Of data, read as lora train \
      reads it: how many examples there are, and how long they are.

        lora inspect support --base MODEL
        lora inspect style.safetensors --json
      """)

  @Argument(
    help: """
      A model's or an adapter's directory; a .safetensors or .gguf file; or data (.jsonl, .json, .csv, \
      .txt).
      """)
  var path: String
  @Option(help: ArgumentHelp("The model that the adapter belongs to.", valueName: "model"))
  var base: String?
  @Option(
    parsing: .unconditional,
    help: "The alpha of a loralib adapter or of an MLX .npz file, which do not hold it.")
  var alpha: Double?
  @OptionGroup var output: OutputOptions

  func validate() throws { try AdapterArgument.demandNoScale(path, "PATH") }

  func run() throws {
    let report = try inspect()
    if output.isJSON { return try StandardOutput.json(report.object) }
    try StandardOutput.lines(report.lines)
  }

  /// The same facts for programs and for people.
  struct Report {
    var object: JSONObject
    var lines: [String]
  }

  private func inspect() throws -> Report {
    let content = try PathContent(path)
    if content == .modelFolder {
      try refuseBase()
      return try Report(try ModelDirectory(path: path))
    }
    if content == .gguf {
      let file = try GGUFFile(path: path)
      if file["general.type"]?.stringValue != "adapter" {
        try refuseBase()
        return try Report(file)
      }
    }
    if content == .json || content == .text {
      try refuseBase()
      return try Report(dataFile: path)
    }
    do throws(FormatError) {
      _ = try AdapterFormat(detecting: path)
    } catch {
      // A file of tensors that are no adapter's, or that lacks its configuration.
      guard content == .safetensors, error.kind == .unexpectedTensor || error.kind == .missingFile
      else {
        throw error
      }
      try refuseBase()
      return try Self.inspect(file: path)
    }
    let adapter = try AdapterFile.opened(path, base: base, alpha: alpha)
    return try Report(
      adapter, base: try base.map { path throws(FormatError) in try AdapterBase(path: path) })
  }

  private func refuseBase() throws {
    if base != nil || alpha != nil {
      throw CommandError("\(path): it is no adapter: --base and --alpha are for adapters")
    }
  }

  private static func inspect(file path: String) throws -> Report {
    let file = try SafetensorsFile(path: path)
    var object: JSONObject = ["kind": "safetensors", "path": .string(path)]
    object["tensors"] = .array(
      file.entries.map { entry in
        [
          "name": .string(entry.name), "dtype": .string(entry.typeName),
          "shape": JSONValue(entry.shape), "bytes": JSONValue(entry.byteRange.count),
        ]
      })
    object["elements"] = JSONValue(file.entries.reduce(0) { $0 + $1.shape.elementCount })
    object["metadata"] = Report.json(file.metadata)
    var lines = Report.metadataLines(file.metadata)
    lines += Report.table(
      file.entries.map { [$0.name, $0.typeName, "\($0.shape)"] },
      header: ["tensor", "type", "shape"])
    return Report(object: object, lines: lines)
  }
}

extension InspectCommand.Report {
  /// The most characters of a cell of a table.
  private static let greatestCell = 200
  /// The most characters of a value of metadata: some hold whole training logs.
  private static let greatestValue = 1000

  /// A table with two spaces between columns. Each cell is a part of one line, whatever it holds.
  static func table(_ rows: [[String]], header: [String]) -> [String] {
    let all = ([header] + rows).map { row in
      row.map { cell in
        let text = TerminalText.line(cell, limit: greatestCell)
        return (text: text, width: text.unicodeScalars.count)
      }
    }
    let widths = header.indices.map { column in all.reduce(0) { max($0, $1[column].width) } }
    return all.map { row in
      let used = row.lastIndex { $0.width > 0 }.map { $0 + 1 } ?? 0
      var line = ""
      for (column, cell) in row.prefix(used).enumerated() {
        line += cell.text
        if column + 1 < used {
          line += String(repeating: " ", count: widths[column] - cell.width + 2)
        }
      }
      return line
    }
  }

  static func json(_ metadata: [String: String]) -> JSONValue {
    .object(JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
  }

  static func metadataLines(_ metadata: [String: String]) -> [String] {
    metadata.sorted { $0.key < $1.key }.map { key, value in
      "metadata \(TerminalText.shortened(key, limit: greatestCell)): "
        + TerminalText.shortened(value, limit: greatestValue)
    }
  }
}
