import ArgumentParser
import LoRAKit
import LoRATemplates

/// `lora chat`: a conversation with a model and its adapters.
struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model, and switch its adapters while talking.",
    discussion: """
      The model's own chat template makes the text of the conversation, or the one that an adapter was \
      trained with. While talking, /adapter, \
      /scale and /base change what answers, /compare asks all, /help shows the rest. Answers go to \
      standard output, all else to standard error. A conversation that is longer than the model's \
      context goes on without its oldest exchanges, and says so.

        lora chat --model MODEL --adapter support --adapter polite:0.5
        lora chat --model MODEL --system 'Answer in one sentence.' --temperature 0.7
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(parsing: .unconditional, help: "What the model is told before all messages.")
  var system: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Variables of the template, as {\"enable_thinking\": false}.", valueName: "json"))
  var variables: String?
  @Option(
    parsing: .unconditional,
    help: "The most tokens that the model sees of it. (default: as many as the model can)")
  var context: Int?
  @OptionGroup var template: ChatTemplateOption
  @OptionGroup var sampling: SamplingOptions

  func validate() throws {
    try demand("--context", context, .atLeast(2))
    guard sampling.logprobs == nil else {
      throw ValidationError("--logprobs is for lora generate --json")
    }
  }

  func run() throws {
    let pretrained = try model.load()
    let names = ChatAdapters.names(of: adapters.adapters.map(\.path))
    let selection = try adapters.attach(
      to: try pretrained.languageModel, from: model.path, names: names)
    let chat = try ChatSession(
      pretrained,
      format: try template.format(of: pretrained, adapters: adapters.adapters.map(\.path)),
      system: system, options: sampling.options(stopTokens: []))
    chat.stopStrings = sampling.stop
    try demand(context: context, of: chat.model)
    chat.contextLimit = context
    if let variables { chat.variables = try TemplateValue(variables: variables) }
    var loop = ChatLoop(
      chat, ChatAdapters(names: names, selection: selection),
      precision: model.dtype.precision(otherwise: .float32))
    try loop.run()
  }
}
