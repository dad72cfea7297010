public import ArgumentParser
import LoRAFiles
public import LoRAKit
import LoRAModels

extension LongExamples: ExpressibleByArgument {}
extension LearnedPart: ExpressibleByArgument {}
extension TemplateUse: ExpressibleByArgument {}

/// What becomes of records that are none.
enum InvalidRecords: String, ExpressibleByArgument, CaseIterable {
  /// The first ends the command.
  case stop
  /// They are left out and reported.
  case skip
}

/// How data become examples.
struct ExampleOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The most positions in an example, one less than its tokens. (default: 512, or the model's limit if "
        + "lower; token sequences may be as long as that limit)",
      valueName: "tokens"))
  var sequenceLength: Int?
  @Option(
    help: ArgumentHelp(
      "What to do with a longer example: refuse it (error), cut it (truncate; a prompt loses its "
        + "beginning), leave it out (skip) or split it. (default: split texts, truncate prompts with "
        + "completions, refuse token sequences)",
      valueName: "choice"))
  var longRows: LongExamples?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Which fields hold what, where they have other names: prompt=question,completion=answer. Dots lead into "
        + "a field: output=instances.0.output.",
      valueName: "meaning=field,..."),
    transform: parsedFields)
  var map: FieldMap?
  @Option(
    help: ArgumentHelp(
      "What is learned: completions and what the assistant says (answers), its last message alone (last), or "
        + "prompts too (all).", valueName: "part"))
  var lossOn: LearnedPart = .answers
  @Option(
    help: ArgumentHelp(
      "Which records the model's chat template writes: conversations and, if there is one, instructions "
        + "(auto), prompts with completions too (always), or none (never).", valueName: "choice"))
  var useTemplate: TemplateUse = .automatic
  @Option(
    help: ArgumentHelp(
      "A chat template to use instead of the model's. It is kept with the result.",
      valueName: "file.jinja"))
  var chatTemplate: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the system is told in conversations without a message of its own.", valueName: "text"))
  var system: String?
  @Option(
    help: ArgumentHelp(
      "What to do about records that are invalid: end with the first (stop), or leave them out and report "
        + "each (skip).", valueName: "choice"))
  var invalidRecords: InvalidRecords = .stop

  func validate() throws {
    try demand("--sequence-length", sequenceLength, .atLeast(1))
  }

  /// The most tokens of an example of a task whose examples are whole texts, special tokens included.
  func longest(for model: any TokenModel) throws -> Int {
    let limit = model.maximumPositions
    if let sequenceLength, sequenceLength > limit { throw tooLong(sequenceLength, limit) }
    return sequenceLength ?? min(512, limit)
  }

  private func tooLong(_ length: Int, _ limit: Int) -> CommandError {
    CommandError(
      "--sequence-length \(length): the model's limit is \(limit) positions; give at most that")
  }

  /// A reader of data for `pretrained`.
  func reader(for pretrained: PretrainedModel) throws -> DataReader {
    let limit = pretrained.model.maximumPositions
    if let sequenceLength, sequenceLength > limit {
      throw tooLong(sequenceLength, limit)
    }
    var options = DataOptions(
      sequenceLength: sequenceLength ?? min(512, limit), longExamples: longRows)
    options.learned = lossOn
    options.templateUse = useTemplate
    options.system = system
    options.fields = map ?? FieldMap()
    options.skipsInvalid = invalidRecords == .skip
    return try DataReader(
      for: pretrained.languageModel, options: options,
      chatFormat: { try chatFormat(of: pretrained) }, tokenizer: { try pretrained.tokenizer() })
  }

  /// How conversations are written: by the model's template, or the given one.
  func chatFormat(of pretrained: PretrainedModel) throws -> ChatFormat {
    guard let chatTemplate else { return try pretrained.chatFormat() }
    let tokens = try ChatTemplates(specialTokensAt: pretrained.path).specialTokens
    let source = try FileSystem.readText(chatTemplate)
    do {
      return ChatFormat(
        tokenizer: try PretrainedModel.tokenizer(at: pretrained.path),
        template: try ChatTemplate(source, specialTokens: tokens))
    } catch let error as TemplateError {
      throw CommandError(chatTemplate, error)
    }
  }

  /// The given template, to lie beside what was trained with it.
  func filesBesideResult() throws -> [(name: String, content: [UInt8])] {
    try chatTemplate.map { [("chat_template.jinja", try FileSystem.read($0))] } ?? []
  }
}

/// The argument of `--map`.
private func parsedFields(_ text: String) throws -> FieldMap {
  do {
    return try FieldMap(text)
  } catch {
    throw ValidationError("--map: \(error)")
  }
}

extension DataReader {
  /// Reads the data that `path` names, and says what became of examples that did not fit.
  func readTelling(_ path: String, tensor: String) throws -> TokenDataSet {
    let (data, report) = try read(path, tensor: tensor)
    for error in report.errors { StandardError.line("warning: left out: \(error)") }
    for note in report.notes { StandardError.line("note: \(data.source): \(note)") }
    return data
  }
}
