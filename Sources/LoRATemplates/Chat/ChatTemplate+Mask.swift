/// A conversation's text, and which parts of it the assistant wrote: what a model is trained on.
public struct MaskedText: Sendable, Hashable {
  /// The text.
  public var text: String
  /// The ranges that the assistant wrote, in Unicode scalars of the text (Python's characters). There is
  /// one at least, and text outside of them.
  public var assistant: [Range<Int>]
  /// The index of the message of each range; nil where the template says the ranges and not whose they are.
  public var messages: [Int]?

  /// A text with ranges, which must be in their order and apart.
  public init(text: String, assistant: [Range<Int>], messages: [Int]? = nil) {
    self.text = text
    self.assistant = assistant
    self.messages = messages
  }
}

/// What of an assistant's message counts as the assistant's, where the template does not say it.
public enum AssistantPart: Sendable, Hashable {
  /// All that the message adds to the text, the header with the role too.
  case turn
  /// What follows the text that asks for an answer: the message's content and what ends it. Fewer
  /// templates have it: some ask for an answer otherwise than they write one down.
  case answer
}

extension ChatTemplate {
  /// The text of a conversation, with the ranges that the assistant wrote.
  ///
  /// A template with `{% generation %}` says it. For any other, each of the assistant's messages is
  /// what the text has with it and without it. That is exact as long as a longer conversation begins
  /// with the text of a shorter one. Where it does not, as where a template drops earlier thoughts or
  /// ends every text with a token (Phi-3), there is no mask, and the error says which message broke it.
  ///
  /// - Parameters:
  ///   - conversation: What the template is given.
  ///   - part: What counts of a message, if the template does not say it.
  ///   - now: What `strftime_now` writes.
  ///   - limits: What the template may use, each time it runs: up to three times a message.
  /// - Throws: ``TemplateError``; of the kind `mask` if the ranges cannot be told, or are nothing or
  ///   everything.
  public func renderMasked(
    _ conversation: Conversation, part: AssistantPart = .turn, now: CalendarTime = .now,
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> MaskedText {
    let whole = try render(conversation, now: now, limits: limits)
    let answers = conversation.messages.indices.filter {
      conversation.messages[$0]["role"] == "assistant"
    }
    let ranges: [Range<Int>]
    if template.marksGeneration {
      guard !whole.hasUnplacedGeneration else {
        throw TemplateError(
          .mask,
          "{% generation %} stands in a part of the template whose text is kept before it is "
            + "written (a macro, a set or filter block, a recursive loop): its place is not known")
      }
      ranges = whole.generated
    } else {
      ranges = try parts(
        part, of: answers, in: conversation, Text(whole.text), now: now, limits: limits)
    }
    let masked = ranges.filter { !$0.isEmpty }
    let covered = masked.reduce(0) { $0 + $1.count }
    // A range a message, in their order: an empty one is left out with its message.
    let messages =
      ranges.count == answers.count
      ? zip(ranges, answers).filter { !$0.0.isEmpty }.map(\.1) : nil
    guard covered > 0 else {
      throw TemplateError(
        .mask, "the assistant says nothing in this conversation: no token would be trained on")
    }
    guard covered < whole.text.unicodeScalars.count else {
      throw TemplateError(
        .mask, "the assistant's messages are the whole text: there is nothing to tell apart")
    }
    return MaskedText(text: whole.text, assistant: masked, messages: messages)
  }

  private func parts(
    _ part: AssistantPart, of answers: [Int], in conversation: Conversation, _ whole: Text,
    now: CalendarTime, limits: TemplateLimits
  ) throws(TemplateError) -> [Range<Int>] {
    var result: [Range<Int>] = []
    func text(_ count: Int, asking: Bool) throws(TemplateError) -> Text {
      var part = conversation
      part.messages = Array(conversation.messages.prefix(count))
      part.addsGenerationPrompt = asking
      do {
        return Text(try renderUnchecked(part, now: now, limits: limits).text)
      } catch {
        throw TemplateError(
          .mask,
          "the assistant's parts cannot be told: the template does not render the first \(count) of "
            + "\(conversation.messages.count) messages alone (\(error))")
      }
    }
    func check(_ part: Text, _ count: Int, _ what: String) throws(TemplateError) {
      guard whole.matches(part, at: 0) else {
        let same = zip(part.scalars, whole.scalars).prefix { $0 == $1 }.count
        throw TemplateError(
          .mask,
          "the assistant's parts cannot be told: the text of the first \(count) messages\(what) is "
            + "not how the text of all begins; they differ after character \(same), where one has "
            + "\"\(excerpt(part, same))\" and the other \"\(excerpt(whole, same))\"")
      }
    }
    for index in answers {
      let before = try text(index, asking: false)
      try check(before, index, "")
      var start = before.count
      if part == .answer {
        let asked = try text(index, asking: true)
        try check(asked, index, ", asked for an answer,")
        start = asked.count
      }
      // The last answer ends with the text.
      let isLast = index + 1 == conversation.messages.count && !conversation.addsGenerationPrompt
      let after = isLast ? whole : try text(index + 1, asking: false)
      try check(after, index + 1, "")
      result.append(start..<max(start, after.count))
    }
    return result
  }

  private func excerpt(_ text: Text, _ start: Int) -> String {
    text[min(start, text.count)..<min(start + 24, text.count)].string
  }
}
