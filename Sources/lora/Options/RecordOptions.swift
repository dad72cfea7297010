public import ArgumentParser
public import LoRAKit

extension LearnedPart: ExpressibleByArgument {}
extension TemplateUse: ExpressibleByArgument {}

/// What becomes of records that are none.
enum InvalidRecords: String, ExpressibleByArgument, CaseIterable {
  /// The first ends the command.
  case stop
  /// They are left out and reported.
  case skip
}

/// What the records of a data file mean.
struct RecordOptions: ParsableArguments {
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
  @OptionGroup var template: ChatTemplateOption
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

  /// A reader of data for `pretrained` under `adapters`, of which one may have a template of its own.
  func reader(
    for pretrained: PretrainedModel, under adapters: [String] = [], options: DataOptions
  ) throws -> DataReader {
    var options = options
    apply(to: &options)
    return try DataReader(
      for: pretrained.languageModel, options: options,
      chatFormat: { try template.format(of: pretrained, adapters: adapters) },
      tokenizer: { try pretrained.tokenizer() })
  }
}

extension RecordOptions {
  /// Which fields hold what.
  var fields: FieldMap { map ?? FieldMap() }

  /// Throws wrong usage if one of these options is given that `task` has nothing to do with.
  func check(for task: TaskArgument) throws(ValidationError) {
    let writesChats = task == .text || task == .preference
    let ofTexts = [
      ("--loss-on", lossOn != .answers), ("--use-template", useTemplate != .automatic),
      ("--invalid-records", invalidRecords != .stop),
    ]
    let ofChats = [("--chat-template", template.chatTemplate != nil), ("--system", system != nil)]
    if task != .text, let option = ofTexts.first(where: \.1)?.0 {
      throw ValidationError("\(option) is for --task text; leave it out")
    }
    if !writesChats, let option = ofChats.first(where: \.1)?.0 {
      throw ValidationError("\(option) is for --task text and preference; leave it out")
    }
  }

  /// Sets what the options say of records.
  func apply(to options: inout DataOptions) {
    options.learned = lossOn
    options.templateUse = useTemplate
    options.system = system
    options.fields = fields
    options.skipsInvalid = invalidRecords == .skip
  }
}

/// Which fields of texts hold what.
struct FieldOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Which fields hold what, where they have other names: text=utterance,label=intent.",
      valueName: "meaning=field,..."),
    transform: parsedFields)
  var map: FieldMap?

  /// The map.
  var fields: FieldMap { map ?? FieldMap() }
}

/// The argument of `--map`.
func parsedFields(_ text: String) throws -> FieldMap {
  do {
    return try FieldMap(text)
  } catch {
    guard case .invalidOption(_, let value, let expected) = error else { throw error }
    throw ValidationError("'\(value)': expected \(expected)")
  }
}
