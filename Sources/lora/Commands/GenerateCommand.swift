import ArgumentParser
import LoRAJSON
import LoRAKit

/// `lora generate`: text that continues a prompt.
struct GenerateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate",
    abstract: "Continue a prompt, or answer a conversation, greedily or sampled.",
    discussion: """
      Prints the continuation as it is computed; it ends at one of the model's stop tokens, at \
      --max-tokens, or at the model's last position. With --context it goes on behind that: half of \
      what it has is forgotten, but for the first tokens. The same seed gives the same text. The messages \
      are a JSON list of objects with "role" and "content", or a list of such lists, one result a \
      line then; the chat template writes them as it did for training.

        lora generate --model MODEL --prompt 'Once upon a time' --max-tokens 64
        lora generate --model MODEL --adapter polite:0.5 --prompt 'Hello'
        lora generate --model MODEL --prompt 'Is it warm? ' --choice yes --choice no
        lora generate --model MODEL --messages chat.json --json
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(parsing: .unconditional, help: "The text to continue.")
  var prompt: String?
  @Option(
    parsing: .unconditional,
    help: "The most tokens that the model sees: it forgets some instead of ending there.")
  var context: Int?
  @Option(
    parsing: .unconditional, help: "With --context: how many of the first tokens it never forgets.")
  var keep = 4
  @OptionGroup(title: "Conversations") var conversation: ConversationOptions
  @OptionGroup(title: "Conversations") var template: ChatTemplateOption
  @OptionGroup var sampling: SamplingOptions
  @OptionGroup var constraint: ConstraintOptions
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--context", context, .atLeast(2))
    try demand("--keep", keep, context.map { .from(0, to: max(0, $0 - 2)) } ?? .atLeast(0))
    guard (prompt == nil) != (conversation.messages == nil) else {
      throw ValidationError("give either --prompt TEXT or --messages FILE")
    }
  }

  func run() throws {
    let pretrained = try model.load()
    let base = try pretrained.languageModel
    try demand(context: context, of: base)
    try adapters.attach(to: base, from: model.path)
    if let messages = conversation.messages { return try answer(messages, pretrained) }
    let prompt = prompt ?? ""
    let tokenizer = try pretrained.tokenizer()
    let ids = tokenizer.encodePrompt(prompt)
    guard !ids.isEmpty else {
      throw CommandError(
        "--prompt '\(prompt)': it has no token, and this model's tokenizer puts none before it; give a "
          + "text to continue")
    }
    try generate(
      behind: ids, pretrained, tokenizer, stopTokens: pretrained.stopTokens(with: tokenizer))
  }

  /// Answers the conversations of a file.
  private func answer(_ messages: String, _ pretrained: PretrainedModel) throws {
    let format = try template.format(of: pretrained, adapters: adapters.adapters.map(\.path))
    let place = template.chatTemplate ?? "the template of \(model.path)"
    try conversation.conversations(of: messages).forEach(by: place) {
      try generate(
        behind: try format.prompt($0), pretrained, format.tokenizer,
        stopTokens: pretrained.stopTokens(with: format))
    }
  }

  private func generate(
    behind ids: [Int], _ pretrained: PretrainedModel, _ tokenizer: any Tokenizer,
    stopTokens: Set<Int>
  ) throws {
    var options = sampling.options(stopTokens: stopTokens)
    options.context = context.map { ContextWindow(limit: $0, kept: keep) }
    let session = try TextSession(
      try pretrained.languageModel, tokenizer: tokenizer, prompt: ids, options: options,
      stopStrings: sampling.stop,
      constraint: try constraint.matcher(of: tokenizer, endTokens: stopTokens))
    var text = ""
    let precision = model.dtype.precision(otherwise: .float32)
    while let piece = try ProductPrecision.withValue(precision, { try session.next() }) {
      text += piece
      if !output.isJSON { try StandardOutput.generated(piece) }
    }
    guard output.isJSON else { return try StandardOutput.line() }
    try StandardOutput.json(result(of: session, text, tokenizer))
  }

  private func result(
    of session: TextSession, _ text: String, _ tokenizer: any Tokenizer
  ) -> JSONObject {
    var result: JSONObject = [
      "text": .string(text), "tokens": JSONValue(session.choices.map(\.token)),
      "prompt_tokens": JSONValue(session.prompt.count),
      "stopped": .string(session.end?.name ?? "length"),
    ]
    if context != nil { result["forgotten_tokens"] = JSONValue(session.forgottenTokenCount) }
    if sampling.logprobs != nil {
      func item(_ token: Int, _ logProbability: Float) -> JSONObject {
        [
          "id": JSONValue(token), "token": tokenizer.token(of: token).map { .string($0) } ?? .null,
          "logprob": .number(Double(logProbability)),
        ]
      }
      result["logprobs"] = .array(
        session.choices.map { choice in
          var all = item(choice.token, choice.logProbability ?? 0)
          all["best"] = .array(choice.best.map { .object(item($0.token, $0.logProbability)) })
          return .object(all)
        })
    }
    return result
  }
}

extension GenerationEnd {
  /// What results call it.
  fileprivate var name: String {
    switch self {
    case .stopToken: "stop_token"
    case .stopString: "stop_string"
    case .complete: "complete"
    case .length: "length"
    case .noAllowedToken: "no_allowed_token"
    }
  }
}
