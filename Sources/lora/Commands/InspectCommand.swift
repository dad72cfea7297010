import ArgumentParser
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora inspect`: what is in a model, an adapter or a file of tensors.
struct InspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect",
    abstract: "Show what a model, an adapter or a safetensors file holds.",
    discussion: """
      A model: architecture, shapes, types, tokenizer. An adapter: per layer the shape, rank, scale \
      and the Frobenius norm of scale·B·A, and which layers have no effect. A file: its tensors.

        lora inspect support-adapter
        lora inspect MODEL --json
      """)

  @Argument(help: "A model's or adapter's directory, or a .safetensors file.")
  var path: String
  @OptionGroup var output: OutputOptions

  func run() throws {
    let report = try Self.inspect(path)
    if output.isJSON { return try StandardOutput.json(report.object) }
    for line in report.lines { try StandardOutput.line(line) }
  }

  /// The same facts for programs and for people.
  struct Report {
    var object: JSONObject
    var lines: [String]
  }

  private static func inspect(_ path: String) throws -> Report {
    guard FileSystem.isFolder(path) else { return try inspect(file: path) }
    if FileSystem.exists(FileSystem.join(path, "adapter_config.json")) {
      return Report(try PEFTAdapterFile(path: path), path: path)
    }
    if FileSystem.exists(FileSystem.join(path, "config.json")) {
      return try Report(try ModelDirectory(path: path))
    }
    throw FormatError(
      .missingFile, file: path, problem: "it holds neither config.json nor adapter_config.json",
      remedy: "give the folder of a model or of a PEFT adapter, or a .safetensors file")
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
  /// A table with two spaces between columns.
  static func table(_ rows: [[String]], header: [String]) -> [String] {
    let all = [header] + rows
    let widths = header.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
    return all.map { row in
      let cells = zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "  ")
      return String(cells.reversed().drop { $0 == " " }.reversed())
    }
  }

  static func json(_ metadata: [String: String]) -> JSONValue {
    .object(JSONObject(metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
  }

  static func metadataLines(_ metadata: [String: String]) -> [String] {
    metadata.sorted { $0.key < $1.key }.map { "metadata \($0.key): \($0.value)" }
  }
}
