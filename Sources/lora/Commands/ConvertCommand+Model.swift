import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

extension ConvertCommand {
  /// Writes a model's folder as a GGUF file.
  func convertModel() throws {
    guard to == .gguf else {
      throw ContradictionError(
        description:
          "'\(input)' is a model, which is converted --to gguf only; for an adapter give its "
          + "folder or file")
    }
    guard base == nil, alpha == nil else {
      throw ContradictionError(
        description: "--base and --alpha are for adapters, and '\(input)' is a model")
    }
    var destinations = Destinations(reading: [input], force: replacement.force)
    try destinations.check(output, .modelFile)
    try destinations.confirm()
    let pretrained = try PretrainedModel(path: input, textOnly: parts.textOnly)
    let warnings = try replacement.writing {
      try FileSystem.withFolder(of: output) {
        try pretrained.saveGGUF(to: output, type: dtype.type)
      }
    }
    let type = dtype.type ?? pretrained.storedType
    let parameters = pretrained.model.parameterCount
    if format.isJSON {
      try StandardOutput.json([
        "input": .string(input), "from": "model", "output": .string(output), "to": "gguf",
        "parameters": JSONValue(parameters), "dtype": .string(type.rawValue),
        "warnings": JSONValue(warnings),
      ])
    } else {
      try StandardOutput.line("\(output): \(grouped(parameters)) parameters in \(type.rawValue)")
    }
    StandardError.warnings(warnings)
  }
}
