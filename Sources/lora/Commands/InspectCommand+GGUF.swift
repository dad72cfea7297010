import LoRAArchitectures
import LoRAFiles
import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What a model's GGUF file says about itself and holds.
  init(_ file: GGUFFile) throws(FormatError) {
    let architecture = file["general.architecture"]?.stringValue
    let kind = "GGUF model"
    let elements = file.entries.reduce(0) { $0 + $1.shape.elementCount }
    let bytes = file.entries.reduce(0) { $0 + $1.byteRange.count }
    object = [
      "kind": .string(kind), "path": .string(file.path), "version": JSONValue(file.version),
      "architecture": architecture.map { .string($0) } ?? .null,
    ]
    object["key_values"] = .object(
      JSONObject(file.keyValues.map { ($0.key, Self.json($0.value)) }))
    object["tensors"] = .array(
      file.entries.map { entry in
        [
          "name": .string(entry.name), "type": .string(entry.type.name),
          "shape": JSONValue(entry.shape), "bytes": JSONValue(entry.byteRange.count),
        ]
      })
    object["elements"] = JSONValue(elements)
    object["bytes"] = JSONValue(bytes)
    lines = [
      "\(kind), version \(file.version), \(architecture ?? "no architecture"): "
        + "\(counted(file.entries.count, "tensor")), \(grouped(elements)) elements, "
        + "\(grouped(bytes)) bytes"
    ]
    do throws(FormatError) {
      addTraining(of: try ModelConfiguration(file), weightBytes: bytes)
    } catch {
      guard error.kind == .unsupported else { throw error }
      object["unsupported"] = .string(error.description)
      lines.append("not supported: \(error)")
    }
    lines += file.keyValues.map { "\($0.key): \(Self.text($0.value))" }
    lines += Self.table(
      file.entries.map { [$0.name, $0.type.name, "\($0.shape)"] },
      header: ["tensor", "type", "shape"])
  }

  /// The most values of an array that are shown.
  private static let shown = 8

  /// The value, of long arrays their number.
  private static func json(_ value: GGUFValue) -> JSONValue {
    if let array = value.arrayValue {
      guard array.count <= shown else { return ["count": JSONValue(array.count)] }
      if let strings = value.strings { return .array(strings.map { .string($0) }) }
      if let ints = array.ints { return .array(ints.map { JSONValue($0) }) }
      if let doubles = array.doubles { return .array(doubles.map { .number($0) }) }
      return ["count": JSONValue(array.count)]
    }
    if let text = value.stringValue { return .string(text) }
    if let number = value.intValue { return JSONValue(number) }
    if let number = value.doubleValue { return .number(number) }
    if let isTrue = value.boolValue { return .bool(isTrue) }
    return .null
  }

  private static func text(_ value: GGUFValue) -> String {
    if let array = value.arrayValue, array.count > shown { return "[\(array.count) values]" }
    if let text = value.stringValue {
      // A chat template is a page long.
      let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
      return line.count > 80 ? line.prefix(77) + "..." : line
    }
    return json(value).encoded()
  }
}
