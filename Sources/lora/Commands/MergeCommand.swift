import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora merge`: a model with adapters in its weights.
struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Write a model with adapters merged into its weights.",
    discussion: """
      The result is a Hugging Face directory in the base's stored type, with the base's tokenizer; \
      it needs no adapter any more. Each sum is rounded once.

        lora merge --model MODEL --adapter support --adapter polite:0.4 --output m
      """)

  @Option(help: ArgumentHelp("The model's Hugging Face directory.", valueName: "dir"))
  var model: String
  @OptionGroup var adapters: AdapterOptions
  @Option(help: ArgumentHelp("The folder to write.", valueName: "dir"))
  var output: String
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if adapters.adapters.isEmpty { throw ValidationError("give at least one --adapter") }
  }

  func run() throws {
    let pretrained = try PretrainedModel(path: model)
    let selection = try adapters.attach(to: pretrained.model, from: model)
    let files = try pretrained.directory?.companionFiles() ?? []
    let folder = try OutputFolder(output)
    let type = pretrained.storedType
    do {
      try folder.check(isNot: model)
      try pretrained.model.mergeAdapters(selection)
      try pretrained.model.save(to: output, type: type, otherFiles: files)
    } catch {
      folder.discard()
      throw error
    }
    let parameters = pretrained.model.parameterCount
    guard format.isJSON else {
      return try StandardOutput.line(
        "\(output): \(grouped(parameters)) parameters in \(type), "
          + "\(counted(adapters.adapters.count, "adapter")) merged")
    }
    try StandardOutput.json([
      "output": .string(output), "parameters": JSONValue(parameters),
      "dtype": .string(type.rawValue), "adapters": JSONValue(adapters.adapters.count),
    ])
  }
}
