import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit
import LoRAModels

/// `lora template`: the text that a model's template makes of a conversation.
struct TemplateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "template",
    abstract: "Make the text of a conversation by a model's chat template.",
    usage: """
      lora template (--model <path> | --template <file>) --messages <file> [--tools <file>] \
      [--variables <json>] [--no-generation-prompt] [--mask] [--control-tokens-in-messages] [--json]
      """,
    discussion: """
      The text is byte for byte what transformers makes. It ends with what begins the assistant's \
      answer, unless --no-generation-prompt. The messages are a JSON list of objects with "role" and \
      "content", or a list of such lists: one result a line then. Where a message spells a control \
      token, its ids are those of text.

        lora template --model MODEL --messages chat.json
        lora template --template chatml.jinja --messages chat.json --mask --json
      """)

  @Option(
    help: ArgumentHelp("The model's Hugging Face directory, or its GGUF file.", valueName: "path"))
  var model: String?
  @Option(
    help: ArgumentHelp("A template to use instead of the model's.", valueName: "file"))
  var template: String?
  @OptionGroup var input: ConversationOptions
  @Flag(help: "End with the last message.")
  var noGenerationPrompt = false
  @Flag(help: "Say which part of the text the assistant's messages are.")
  var mask = false
  @Flag(help: "Where a message spells a control token, its id is the token's, not that of text.")
  var controlTokensInMessages = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard model != nil || template != nil else {
      throw ValidationError("give --model PATH or --template FILE")
    }
    guard input.messages != nil else { throw ValidationError("give --messages FILE") }
  }

  func run() throws {
    let template = try chatTemplate(hasTools: try input.hasTools)
    let tokenizer = try model.map { try PretrainedModel.tokenizer(at: $0) }
    let conversations = try input.conversations(
      of: input.messages ?? "", addingGenerationPrompt: !noGenerationPrompt)
    try conversations.forEach(by: source) {
      try write($0, template, tokenizer, isBatch: conversations.isList)
    }
  }

  /// Where the template is from.
  private var source: String { template ?? model.map { "the template of \($0)" } ?? "" }

  private func write(
    _ conversation: Conversation, _ template: ChatTemplate, _ tokenizer: TokenizerPipeline?,
    isBatch: Bool
  ) throws {
    /// Where messages spell a token that only the template may write.
    func keptAsText(_ tokenizer: TokenizerPipeline) throws -> [Range<Int>] {
      controlTokensInMessages
        ? []
        : try template.render(conversation, keepingAsText: tokenizer.controlTokens).keptAsText
    }
    guard mask else {
      let text = try template.render(conversation).text
      if output.isJSON {
        var result: JSONObject = ["text": .string(text)]
        if let tokenizer {
          result["ids"] = JSONValue(
            try tokenizer.encode(text, keepingAsText: try keptAsText(tokenizer)))
        }
        return try StandardOutput.json(result)
      }
      if isBatch { return try StandardOutput.line(text) }
      try StandardOutput.generated(text)
      return try StandardOutput.line()
    }
    let masked = try template.renderMasked(conversation)
    if output.isJSON {
      var result: JSONObject = ["text": .string(masked.text)]
      if let tokenizer {
        let encoding = try tokenizer.encode(masked, keepingAsText: try keptAsText(tokenizer))
        result["ids"] = JSONValue(encoding.ids)
        result["mask"] = JSONValue(encoding.isAssistant.map { $0 ? 1 : 0 })
      }
      result["assistant"] = .array(
        masked.assistant.map { JSONValue([$0.lowerBound, $0.upperBound]) })
      return try StandardOutput.json(result)
    }
    let scalars = Array(masked.text.unicodeScalars)
    for range in masked.assistant {
      var part = String.UnicodeScalarView()
      part.append(contentsOf: scalars[range])
      try StandardOutput.line("\(range.lowerBound)..<\(range.upperBound): \(String(part))")
    }
  }

  private func chatTemplate(hasTools: Bool) throws -> ChatTemplate {
    guard let template else {
      let templates = try ChatTemplates(path: model ?? "")
      do {
        return try templates.template(hasTools: hasTools)
      } catch {
        throw CommandError(source, error)
      }
    }
    let text = try FileSystem.readText(template)
    let tokens = try model.map { try ChatTemplates(specialTokensAt: $0) }
    do {
      return try ChatTemplate(text, specialTokens: tokens?.specialTokens ?? [:])
    } catch {
      throw CommandError(template, error)
    }
  }
}
