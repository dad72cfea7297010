/// The template that makes one text of a conversation, as the model was trained on it. The text is byte
/// for byte what transformers' `apply_chat_template` makes.
///
/// ```swift
/// let template = try ChatTemplate(source, specialTokens: ["bos_token": "<s>", "eos_token": "</s>"])
/// let prompt = try template.render(Conversation(messages: [["role": "user", "content": "Hello"]]))
/// ```
///
/// The text has the template's special tokens in it: encode it without adding any.
public struct ChatTemplate: Sendable {
  /// The template itself.
  public let template: Template
  /// The variables that every conversation has, an object: `bos_token`, `eos_token` and others.
  public let specialTokens: TemplateValue

  /// Reads a template.
  ///
  /// - Throws: ``TemplateError`` of the kind `syntax`, with its place.
  public init(_ source: String, specialTokens: TemplateValue = [:]) throws(TemplateError) {
    template = try Template(source)
    self.specialTokens = specialTokens
  }

  /// The text of a conversation.
  ///
  /// - Parameters:
  ///   - conversation: What the template is given. Its variables take the place of special tokens of the
  ///     same names.
  ///   - now: What `strftime_now` writes.
  ///   - limits: What the template may use.
  /// - Throws: ``TemplateError``; of the kind `raised` if the template refuses the conversation, and of the
  ///   kind `input` if the conversation is empty.
  public func render(
    _ conversation: Conversation, now: CalendarTime = .now,
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> RenderedText {
    guard !conversation.messages.isEmpty else {
      throw TemplateError(.input, "the conversation is empty; give it a message at least")
    }
    return try renderUnchecked(conversation, now: now, limits: limits)
  }

  /// The text of a conversation, be it an empty one.
  func renderUnchecked(
    _ conversation: Conversation, now: CalendarTime, limits: TemplateLimits
  ) throws(TemplateError) -> RenderedText {
    try template.render(
      try conversation.templateVariables(defaults: specialTokens), now: now, limits: limits)
  }
}
