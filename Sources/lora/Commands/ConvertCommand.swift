import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora convert`: an adapter in another format, or a model as a GGUF file.
struct ConvertCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract: "Write an adapter in another format, or a model as a GGUF file.",
    discussion: """
      The input's format is recognized by its content. Factors keep their bits. What a format has no \
      place for is folded into a factor, which is rounded once and reported, or is refused with the name \
      of the layer. The result is read back and compared before it is put in its place.

      A model's Hugging Face directory becomes a GGUF file with its tokenizer and chat template, which \
      llama.cpp, Ollama and LM Studio open; --dtype is what its matrices are then.

        lora convert --input mlx --to peft --output peft-adapter
        lora convert --input style.safetensors --to diffusers --output d.safetensors
        lora convert --input support --to gguf --base MODEL --output support.gguf
        lora convert --input MODEL --to gguf --dtype q8_0 --output model.gguf
      """)

  @Option(
    help: ArgumentHelp(
      "The adapter, a folder or a file; or a model's directory.", valueName: "path"))
  var input: String
  @Option(
    help: ArgumentHelp(
      "The format to write: "
        + AdapterFormat.allCases.map(\.rawValue).joined(separator: ", ") + ".",
      valueName: "format"),
    transform: { text in
      guard let format = AdapterFormat(rawValue: text) else {
        let known = AdapterFormat.allCases.map(\.rawValue).joined(separator: ", ")
        throw ValidationError("'\(text)' is no format; known are \(known)")
      }
      return format
    })
  var to: AdapterFormat
  @Option(
    help: ArgumentHelp(
      "The folder (peft, mlx) or the file (all others) to write.", valueName: "path"))
  var output: String
  @Option(
    help: ArgumentHelp(
      "The base model. GGUF adapters need it; others are checked against it.",
      valueName: "model"))
  var base: String?
  @Option(
    parsing: .unconditional,
    help: "The alpha of a loralib adapter or of an MLX .npz file, which do not hold it.")
  var alpha: Double?
  @Flag(
    name: .customLong("ollama-modelfile"),
    help: "Also write a file 'Modelfile' for Ollama beside the GGUF adapter; goes with --base.")
  var writesModelfile = false
  @Option(help: "The type of a model's matrices in a GGUF file; auto: as they are stored.")
  var dtype: StoredWeightType = .auto
  @OptionGroup var parts: PartOptions
  @OptionGroup var replacement: ReplacementOptions
  @OptionGroup var format: OutputOptions

  func validate() throws {
    try AdapterArgument.demandNoScale(input, "--input")
    if writesModelfile, to != .gguf || base == nil {
      throw ValidationError("--ollama-modelfile goes with --to gguf and --base")
    }
    if let alpha, !alpha.isFinite { throw ValidationError("--alpha must be a number") }
  }

  func run() throws {
    if try PathContent(input) == .modelFolder { return try convertModel() }
    guard dtype == .auto, !parts.textOnly else {
      throw ContradictionError(
        description:
          "--dtype and --text-only are for models, and '\(input)' is not a model's folder")
    }
    let options = AdapterFile.Options(alpha: alpha, basePath: base)
    var destinations = Destinations(reading: [input, base], force: replacement.force)
    try destinations.check(output, .adapter(to))
    let modelfile = writesModelfile ? try newModelfile(&destinations) : nil
    try destinations.confirm()
    let adapter = try AdapterFile.opened(input, base: base, alpha: alpha)
    var (notes, agreement) = try replacement.writing { try write(adapter, options) }
    if adapter.description.hasNoEffect {
      notes.insert(
        AdapterNote(text: "the adapter has no effect: it computes what the base computes"), at: 0)
    }
    notes += adapter.warnings().map { AdapterNote(text: "\(input): \($0)") }
    if let modelfile {
      try replacement.writing { try modelfile.modelfile.write(to: modelfile.path) }
    }
    try report(adapter, agreement, notes, modelfile: modelfile?.path)
  }

  /// Writes the adapter, which is read back first: what is not the same never lies where it was
  /// asked for.
  private func write(
    _ adapter: AdapterFile, _ options: AdapterFile.Options
  ) throws -> ([AdapterNote], AdapterAgreement) {
    var agreement: AdapterAgreement?
    let (_, notes) = try FileSystem.withFolder(of: output) {
      try adapter.write(as: to, to: output, options: options) { draft, notes in
        agreement = try readBack(draft, adapter, notes, options)
      }
    }
    guard let agreement else { throw CommandError("\(output): it was not read back") }
    return (notes, agreement)
  }

  /// How the draft compares with what it was made of; errors name the output in its place.
  private func readBack(
    _ draft: String, _ adapter: AdapterFile, _ notes: [AdapterNote], _ options: AdapterFile.Options
  ) throws(FormatError) -> AdapterAgreement {
    var reading = options
    // What it was made of has been checked.
    reading.checksBase = false
    if to == .loralib { reading.alpha = Self.alpha(in: notes) ?? alpha }
    do throws(FormatError) {
      return try adapter.described(as: to, options: options).agreement(
        with: AdapterFile(path: draft, options: reading).description, file: output)
    } catch {
      guard error.file.hasPrefix(draft) else { throw error }
      throw FormatError(
        error.kind, file: output + error.file.dropFirst(draft.count), subject: error.subject,
        problem: error.problem, remedy: error.remedy)
    }
  }

  /// The alpha that the note of a loralib file names.
  private static func alpha(in notes: [AdapterNote]) -> Double? {
    notes.filter(\.layer.isEmpty).compactMap { note in
      note.text.split(separator: " ").last.flatMap { Double($0) }
    }.last
  }

  /// The Modelfile beside the output.
  private func newModelfile(
    _ destinations: inout Destinations
  ) throws -> (path: String, modelfile: OllamaModelfile) {
    // Ollama looks from the Modelfile's folder, not from this one.
    let from = base.map { FileSystem.absolute($0) } ?? ""
    let result = OllamaModelfile(from: from).beside(adapter: output)
    try destinations.check(result.path, .modelfile, option: "--ollama-modelfile")
    _ = try result.modelfile.text(file: result.path)
    return result
  }

  private func report(
    _ adapter: AdapterFile, _ agreement: AdapterAgreement, _ notes: [AdapterNote],
    modelfile: String?
  ) throws {
    // As the output has them: those of experts may be more.
    let count = agreement.identicalLayers + agreement.roundedLayers.count
    guard !format.isJSON else {
      return try StandardOutput.json([
        "input": .string(input), "from": .string(adapter.format.rawValue),
        "output": .string(output), "to": .string(to.rawValue), "layers": JSONValue(count),
        "parameters": JSONValue(adapter.description.parameterCount),
        "identical_layers": JSONValue(agreement.identicalLayers),
        "greatest_difference": .number(agreement.greatestDifference),
        "assumed_scale": .bool(adapter.assumesScale),
        "warnings": JSONValue(adapter.notes.map { "\($0)" }),
        "modelfile": modelfile.map { .string($0) } ?? .null,
        "notes": .array(
          notes.map { ["layer": .string($0.layer), "text": .string($0.text)] }),
      ])
    }
    for note in notes { try StandardOutput.line("\(note)") }
    let rounded = agreement.roundedLayers.count
    try StandardOutput.line(
      "\(output): \(adapter.format.title) to \(to.title), \(counted(count, "layer")), "
        + (rounded == 0
          ? "all factors the same bits"
            + (adapter.assumesScale ? ", at a scale that was assumed: see above" : "")
          : "\(agreement.identicalLayers) with the same bits, \(rounded) within "
            + "\(agreement.greatestDifference)"))
    if let modelfile { try StandardOutput.line("\(modelfile): for ollama create") }
  }
}
