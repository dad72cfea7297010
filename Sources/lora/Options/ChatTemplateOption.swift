import ArgumentParser
import LoRAFiles
import LoRAKit
import LoRAModels
import LoRATemplates

/// Which template writes conversations.
struct ChatTemplateOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The chat template to use instead of the model's, or the adapter's: a file, or for models without one "
        + "plain (User: ..., Assistant: ...) or chatml.", valueName: "file.jinja"))
  var chatTemplate: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What a template that asks for the date is told, as 2026-12-01 or 2026-12-01T09:30:00. (default: when "
        + "the command began; of a training that is resumed, when that began)", valueName: "date"),
    transform: parsedDate)
  var templateDate: CalendarTime?

  /// When this command began: one moment for all that it writes.
  private static let start = {
    var now = CalendarTime.now
    // A recipe says no microseconds.
    now.microsecond = 0
    return now
  }()

  /// What templates are told of the date.
  var now: CalendarTime { templateDate ?? Self.start }

  /// The name of a template in the folder of what was trained with it.
  static let fileName = "chat_template.jinja"

  /// How conversations are written: by the given template, by the one that an adapter was trained with and
  /// that lies in its folder, or by the model's.
  func format(of pretrained: PretrainedModel, adapters: [String] = []) throws -> ChatFormat {
    guard let path = try chatTemplate ?? Self.path(of: adapters) else {
      var format = try pretrained.chatFormat()
      format.now = now
      return format
    }
    let tokens = try ChatTemplates(specialTokensAt: pretrained.path).specialTokens
    let source = try Self.source(path)
    do {
      return ChatFormat(
        tokenizer: try PretrainedModel.tokenizer(at: pretrained.path),
        template: try ChatTemplate(source, specialTokens: tokens), now: now)
    } catch let error as TemplateError {
      throw CommandError(path, error)
    }
  }

  /// The template in the folders of these adapters; nil if there is none.
  private static func path(of adapters: [String]) throws -> String? {
    let found = adapters.map { FileSystem.join($0, fileName) }.filter(FileSystem.exists)
    let sources = try found.map { try FileSystem.readText($0) }
    if let other = sources.indices.first(where: { sources[$0] != sources[0] }) {
      throw CommandError(
        "\(found[0]) and \(found[other]) differ: the adapters were trained with different templates; "
          + "choose one with --chat-template FILE")
    }
    return found.first
  }

  /// The template in a file, or one that has a name; a file goes first.
  private static func source(_ given: String) throws -> String {
    if !FileSystem.exists(given), let named = NamedTemplate(rawValue: given) { return named.source }
    return try FileSystem.readText(given)
  }

  /// The given template, to lie beside what was trained with it.
  func filesBesideResult() throws -> [(name: String, content: [UInt8])] {
    try chatTemplate.map { [(Self.fileName, Array(try Self.source($0).utf8))] } ?? []
  }
}

/// The argument of `--template-date`.
func parsedDate(_ text: String) throws -> CalendarTime {
  guard let time = CalendarTime(text) else {
    throw ValidationError("'\(text)' is no date; write it as 2026-12-01 or 2026-12-01T09:30:00")
  }
  return time
}
