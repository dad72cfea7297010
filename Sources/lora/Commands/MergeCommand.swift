import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// `lora merge`: a model with adapters in its weights.
struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Write a model with adapters merged into its weights.",
    usage: """
      lora merge --model <path> --adapter <adapter[:scale]> ... --output <path> \
      [--text-only] [--allow-no-effect] [--allow-other-base] \
      [--requantize] [--dtype <dtype>] [--force] [--json]
      """,
    discussion: """
      Writes a Hugging Face directory with the base's tokenizer, which needs no adapter any more. Every \
      tensor keeps its type; those that no adapter changes keep their bits. Each sum is rounded once, \
      and a number that its type cannot hold is an error. --dtype stores all tensors in one type \
      instead. A classifier's head that an adapter brings goes into the model, with its labels.

      With an --output ending in .gguf the result is a GGUF file with the tokenizer and the chat template, \
      for llama.cpp, Ollama and LM Studio. --dtype f32, f16, bf16 or q8_0 is what its matrices are then.

      In the GGUF file of a GGUF model everything else stays as it was. Merged weights that were \
      quantized become float32; with --requantize they are quantized again, and what that loses is \
      reported.

        lora merge --model MODEL --adapter support --adapter polite:0.4 --output m
        lora merge --model MODEL --adapter support --dtype f16 --output m.gguf
        lora merge --model base.gguf --adapter tone --requantize --output m.gguf
      """)

  @Option(
    help: ArgumentHelp("The model's Hugging Face directory, or its GGUF file.", valueName: "path"))
  var model: String
  @OptionGroup var parts: PartOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(
    help: ArgumentHelp(
      "The folder to write, or a file that ends in .gguf.", valueName: "path"))
  var output: String
  @Flag(help: "Quantize again the merged weights that were quantized in the base.")
  var requantize = false
  @Option(help: "The type to store the weights in; auto: as in the base.")
  var dtype: StoredWeightType = .auto
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    if dtype.type == .q8_0, !output.hasSuffix(".gguf") {
      throw ValidationError(
        "--dtype q8_0 needs an --output ending in .gguf: folders hold no blocks")
    }
    if adapters.adapters.isEmpty { throw ValidationError("give at least one --adapter") }
    if requantize, !output.hasSuffix(".gguf") {
      throw ValidationError(
        "--requantize needs an --output ending in .gguf: folders hold no blocks")
    }
  }

  func run() throws {
    var destinations = Destinations(
      reading: [model] + adapters.adapters.map(\.path), force: replacement.force)
    try destinations.check(output, output.hasSuffix(".gguf") ? .modelFile : .model)
    try destinations.confirm()
    let isFile = output.hasSuffix(".gguf")
    if isFile, !FileSystem.isFolder(model), dtype != .auto {
      throw ContradictionError(
        description: "--dtype with a GGUF --model and a GGUF --output, which keeps the base's types"
      )
    }
    if isFile, FileSystem.isFolder(model), requantize {
      throw ContradictionError(
        description: "--requantize with a folder as --model, which has no quantized weights")
    }
    let type = isFile ? nil : dtype.type
    let pretrained =
      parts.textOnly
      ? try PretrainedModel(path: model, type: type, textOnly: true)
      : try adapters.openModel(model, type: type)
    let selection = try adapters.attach(to: pretrained.model, from: model)
    if isFile {
      let loss = try pretrained.model.mergeAdapters(
        selection, quantized: requantize ? .requantized : .float32)
      let warnings = try replacement.writing {
        try FileSystem.withFolder(of: output) {
          try pretrained.saveGGUF(to: output, type: dtype.type)
        }
      }
      let stored = FileSystem.isFolder(model) ? dtype.type ?? pretrained.storedType : nil
      try report(pretrained, stored?.rawValue ?? "GGUF", stored == nil ? loss : nil)
      return StandardError.warnings(warnings)
    }
    let (files, warnings) = try pretrained.companionFiles(for: output)
    let stored = dtype.type ?? pretrained.storedType
    try pretrained.model.mergeAdapters(selection)
    try replacement.writing {
      try pretrained.save(to: output, type: dtype.type, otherFiles: files)
    }
    try report(pretrained, stored.rawValue, nil)
    StandardError.warnings(warnings)
  }

  private func report(
    _ pretrained: PretrainedModel, _ type: String, _ loss: RequantizationReport?
  ) throws {
    let parameters = pretrained.model.parameterCount
    guard format.isJSON else {
      try StandardOutput.line(
        "\(output): \(grouped(parameters)) parameters in \(type), "
          + "\(counted(adapters.adapters.count, "adapter")) merged")
      return try Self.lines(loss).forEach { try StandardOutput.line($0) }
    }
    var object: JSONObject = [
      "output": .string(output), "parameters": JSONValue(parameters),
      "dtype": .string(type), "adapters": JSONValue(adapters.adapters.count),
    ]
    if let loss, let worst = loss.worst {
      object["largest_relative_error"] = .number(worst.relativeError)
      object["requantized"] = .array(
        loss.layers.map { layer in
          [
            "layer": .string(layer.path), "from": .string(layer.original.rawValue),
            "to": .string(layer.stored.rawValue), "relative_error": .number(layer.relativeError),
            "largest_error": .number(layer.largestError),
          ]
        })
    }
    try StandardOutput.json(object)
  }

  /// What quantizing again lost, layer by layer and at most.
  private static func lines(_ loss: RequantizationReport?) -> [String] {
    guard let loss, let worst = loss.worst else { return [] }
    let rows = loss.layers.map { layer in
      [
        layer.path, layer.original.rawValue, layer.stored.rawValue,
        decimal(layer.relativeError, 6), decimal(layer.largestError, 6),
      ]
    }
    return InspectCommand.Report.table(
      rows, header: ["requantized", "from", "to", "relative error", "largest error"])
      + ["largest relative error: \(decimal(worst.relativeError, 6)), \(worst.path)"]
  }
}
