import ArgumentParser
import LoRAFiles
import LoRAKit
import LoRAModels

/// Which template writes conversations.
struct ChatTemplateOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The chat template to use instead of the model's, or the adapter's.", valueName: "file.jinja")
  )
  var chatTemplate: String?

  /// The name of a template in the folder of what was trained with it.
  static let fileName = "chat_template.jinja"

  /// How conversations are written: by the given template, by the one that an adapter was trained with and
  /// that lies in its folder, or by the model's.
  func format(of pretrained: PretrainedModel, adapters: [String] = []) throws -> ChatFormat {
    guard let path = try chatTemplate ?? Self.path(of: adapters) else {
      return try pretrained.chatFormat()
    }
    let tokens = try ChatTemplates(specialTokensAt: pretrained.path).specialTokens
    let source = try FileSystem.readText(path)
    do {
      return ChatFormat(
        tokenizer: try PretrainedModel.tokenizer(at: pretrained.path),
        template: try ChatTemplate(source, specialTokens: tokens))
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

  /// The given template, to lie beside what was trained with it.
  func filesBesideResult() throws -> [(name: String, content: [UInt8])] {
    try chatTemplate.map { [(Self.fileName, try FileSystem.read($0))] } ?? []
  }
}
