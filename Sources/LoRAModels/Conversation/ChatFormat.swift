public import LoRATemplates
public import LoRAText

/// How a model writes conversations: its chat template and its tokenizer.
///
/// Training, evaluation, chats and servers all make their tokens here, so that a model is asked in the
/// words that it was trained in. The template writes every special token, none is added; what spells one
/// in a message stays text.
///
/// ```swift
/// let format = try pretrained.chatFormat()
/// let ids = try format.prompt(Conversation(messages: [["role": "user", "content": "Hello"]]))
/// ```
public struct ChatFormat: Sendable {
  /// The tokenizer.
  public let tokenizer: TokenizerPipeline
  /// The template of conversations without tools.
  public let template: ChatTemplate
  /// The template of conversations with tools; mostly the same.
  public let toolTemplate: ChatTemplate
  /// What `strftime_now` writes; nil for the time at which a text is made.
  public var now: CalendarTime?

  /// Creates a format. Throws `TemplateError` where there is no template, or one that can't be read.
  public init(
    tokenizer: TokenizerPipeline, templates: ChatTemplates, now: CalendarTime? = nil
  ) throws(TemplateError) {
    self.tokenizer = tokenizer
    template = try templates.template()
    toolTemplate = try templates.template(hasTools: true)
    self.now = now
  }

  /// Creates a format with one template.
  public init(tokenizer: TokenizerPipeline, template: ChatTemplate, now: CalendarTime? = nil) {
    self.tokenizer = tokenizer
    self.template = template
    toolTemplate = template
    self.now = now
  }

  /// The control token with which the template ends what the assistant says, as "<|im_end|>"; nil where
  /// there is none. Chats stop there, whether or not the model's files name it as an end.
  public var endOfTurn: Int? {
    let conversation = Conversation(
      messages: [
        ["role": "user", "content": "question"], ["role": "assistant", "content": "answer"],
      ], addsGenerationPrompt: false)
    guard let text = try? template.render(conversation, now: now ?? .now).text else { return nil }
    let (scalars, said) = (Array(text.unicodeScalars), Array("answer".unicodeScalars))
    let starts = stride(from: scalars.count - said.count, through: 0, by: -1)
    guard let start = starts.first(where: { scalars[$0...].starts(with: said) }) else { return nil }
    var rest = String.UnicodeScalarView()
    rest.append(
      contentsOf: scalars[(start + said.count)...].drop { $0.properties.isWhitespace })
    let ids = tokenizer.encode(String(rest), addSpecialTokens: false)
    // Further ones may follow, as one that ends every text.
    let controls = Set(tokenizer.controlTokens.compactMap { tokenizer.id(of: $0) })
    return ids.first.flatMap { controls.contains($0) ? $0 : nil }
  }

  private func template(of conversation: Conversation) -> ChatTemplate {
    conversation.tools == nil ? template : toolTemplate
  }

  /// The ids that a model is given to answer a conversation, or of the whole of it if it does not ask for
  /// an answer.
  ///
  /// Throws `TemplateError`, as where the template refuses the conversation, and `TokenizerError`.
  public func prompt(_ conversation: Conversation) throws -> [Int] {
    let text = try template(of: conversation).render(
      conversation, keepingAsText: tokenizer.controlTokens, now: now ?? .now)
    return try tokenizer.encode(text.text, keepingAsText: text.keptAsText)
  }

  /// The ids of a whole conversation, and which of them the assistant wrote: what training learns from.
  ///
  /// Throws `TemplateError`; of the kind `mask` where the assistant's parts can't be told.
  public func example(_ conversation: Conversation) throws -> MaskedEncoding {
    let (masked, kept) = try exampleText(conversation)
    return try tokenizer.encode(masked, keepingAsText: kept)
  }

  /// The number of ids of ``example(_:)``, which throws what this throws. Where each token is in the text is not
  /// needed for it: half the time.
  package func exampleLength(_ conversation: Conversation) throws -> Int {
    let (masked, kept) = try exampleText(conversation)
    let count = try tokenizer.encode(masked.text, keepingAsText: kept).count
    // Of so few tokens all may be the assistant's, which is an error.
    return count < 16 ? try tokenizer.encode(masked, keepingAsText: kept).ids.count : count
  }

  private func exampleText(
    _ conversation: Conversation
  ) throws -> (masked: MaskedText, kept: [Range<Int>]) {
    var whole = conversation
    whole.addsGenerationPrompt = false
    let template = template(of: whole)
    let now = now ?? .now
    return (
      try template.renderMasked(whole, now: now),
      try template.keptAsText(of: whole, tokenizer.controlTokens, now: now)
    )
  }
}

extension PretrainedModel {
  /// How the model writes conversations. Throws `TemplateError` if it has no chat template, and
  /// `TokenizerError` for a tokenizer that is not supported.
  public func chatFormat() throws -> ChatFormat {
    try ChatFormat(tokenizer: try Self.tokenizer(at: path), templates: try chatTemplates())
  }

  /// What ends an answer of a conversation: the model's stop tokens, and what the template ends a turn
  /// with.
  public func stopTokens(with format: ChatFormat) -> Set<Int> {
    stopTokens(with: format.tokenizer).union(format.endOfTurn.map { [$0] } ?? [])
  }

  /// What to tell who trains on conversations if other programs do not stop where the template ends a turn;
  /// nil if they do, or if it has no such token.
  package func endOfTurnWarning(with format: ChatFormat) -> String? {
    guard let end = format.endOfTurn, !stopTokens.contains(end) else { return nil }
    let name = format.tokenizer.token(of: end).map { "'\($0)' (\(end))" } ?? "\(end)"
    return
      "the template ends a turn with \(name), which is none of the model's stop tokens: lora chat "
      + "stops there, other programs go on; name it in eos_token_id of generation_config.json"
  }
}
