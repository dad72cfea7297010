/// Marks around what spells a control token in a user's text, so that it can be told from the tokens
/// that the template writes.
///
/// Source: transformers' `mark_control_tokens`, with its characters for private use.
struct ControlTokens {
  private static let start: Unicode.Scalar = "\u{F0000}"
  private static let end: Unicode.Scalar = "\u{F0001}"

  /// By their first characters, the longest first: a token goes before those that it contains.
  private let tokens: [Unicode.Scalar: [Text]]
  /// Which of ASCII's characters begin one: most texts are told by these alone.
  private let beginnings: [Bool]

  init(_ tokens: [String]) {
    let texts = tokens.map { Text($0) }.filter { !$0.isEmpty }
    self.tokens = Dictionary(grouping: texts) { $0.scalars[0] }.mapValues {
      $0.sorted { $0.count > $1.count }
    }
    var beginnings = [Bool](repeating: false, count: 0x80)
    for scalar in self.tokens.keys where scalar.isASCII { beginnings[Int(scalar.value)] = true }
    self.beginnings = beginnings
  }

  /// Whether a token may begin with a character, or it is a mark.
  private func mayBegin(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return beginnings[Int(scalar.value)] }
    return tokens[scalar] != nil || scalar == Self.start || scalar == Self.end
  }

  /// The longest token that stands at `index`.
  private func token(at index: Int, of text: Text) -> Text? {
    tokens[text.scalars[index]]?.first { text.matches($0, at: index) }
  }

  /// All texts in `value` with marks, but the names of members.
  func mark(_ value: TemplateValue) -> TemplateValue {
    switch value {
    case .null, .bool, .integer, .number: return value
    case .string(let string):
      guard string.unicodeScalars.contains(where: mayBegin) else { return value }
      return .string(mark(Text(string)).string)
    case .array(let values): return .array(values.map(mark))
    case .object(let members):
      return .object(members.map { TemplateValue.Member($0.name, mark($0.value)) })
    }
  }

  private func mark(_ text: Text) -> Text {
    // Marks that are there already would forge what they stand for.
    let text = Text(text.scalars.filter { $0 != Self.start && $0 != Self.end })
    var result = Text()
    var index = 0
    while index < text.count {
      if let token = token(at: index, of: text) {
        result.append(Self.start)
        result += token
        result.append(Self.end)
        index += token.count
      } else {
        result.append(text.scalars[index])
        index += 1
      }
    }
    return result
  }

  /// A text without marks, and the ranges that were between two. Where a template has torn marks apart,
  /// an empty range says that what is on both sides must not become a token together.
  func unmark(_ text: Text) -> (text: Text, ranges: [Range<Int>]) {
    var result = Text()
    var ranges: [Range<Int>] = []
    var index = 0
    while index < text.count {
      let scalar = text.scalars[index]
      index += 1
      if scalar == Self.start, index < text.count, let token = token(at: index, of: text),
        index + token.count < text.count, text.scalars[index + token.count] == Self.end
      {
        ranges.append(result.count..<result.count + token.count)
        result += token
        index += token.count + 1
      } else if scalar == Self.start || scalar == Self.end {
        ranges.append(result.count..<result.count)
      } else {
        result.append(scalar)
      }
    }
    return (result, ranges)
  }
}

extension ChatTemplate {
  /// The text of a conversation, and where in it a user's text spells one of `tokens`: those places must be
  /// encoded as text, or a user could write what only the template may, as the end of a turn.
  ///
  /// - Parameters:
  ///   - conversation: What the template is given.
  ///   - tokens: The tokenizer's control tokens, as "<|im_end|>".
  ///   - now: What `strftime_now` writes.
  ///   - limits: What the template may use.
  /// - Returns: The text, and ranges in Unicode scalars in their order. An empty range stands where the
  ///   template cut through such a place: what is on both sides of it must be encoded apart.
  public func render(
    _ conversation: Conversation, keepingAsText tokens: [String], now: CalendarTime = .now,
    limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> (text: String, keptAsText: [Range<Int>]) {
    let marks = ControlTokens(tokens)
    let rendered = try render(conversation.marked(by: marks), now: now, limits: limits)
    let (text, ranges) = marks.unmark(Text(rendered.text))
    return (text.string, ranges)
  }

  /// The ranges of ``render(_:keepingAsText:now:limits:)`` alone, without rendering where no text of the
  /// conversation spells a token: that is nearly always.
  package func keptAsText(
    of conversation: Conversation, _ tokens: [String], now: CalendarTime
  ) throws(TemplateError) -> [Range<Int>] {
    let marked = conversation.marked(by: ControlTokens(tokens))
    guard
      marked.messages != conversation.messages || marked.tools != conversation.tools
        || marked.documents != conversation.documents
        || marked.variables != conversation.variables
    else { return [] }
    return try render(conversation, keepingAsText: tokens, now: now).keptAsText
  }
}

extension Conversation {
  /// The conversation with marks round each token that it spells.
  fileprivate func marked(by marks: ControlTokens) -> Conversation {
    var marked = self
    marked.messages = messages.map(marks.mark)
    marked.tools = tools?.map(marks.mark)
    marked.documents = documents?.map(marks.mark)
    marked.variables = marks.mark(variables)
    return marked
  }
}
