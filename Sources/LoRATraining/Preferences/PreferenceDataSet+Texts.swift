import LoRAFiles
public import LoRAModels
import LoRATemplates
public import LoRAText

extension PreferenceDataSet {
  /// A data set of texts, each completion followed by the tokenizer's end of sequence, and what became of
  /// those that are too long, a sentence each.
  ///
  /// ```swift
  /// let texts = try PreferenceText.read("preferences.jsonl")
  /// let (data, notes) = try PreferenceDataSet.encoding(texts, tokenizer: tokenizer, longest: 512)
  /// ```
  ///
  /// Of messages the prompt is what the template writes of them with the beginning of an answer, and a
  /// completion what it writes behind that of all messages; as in TRL it begins where the two differ, should
  /// that be before the prompt's end.
  ///
  /// - Parameters:
  ///   - texts: the examples.
  ///   - tokenizer: the model's tokenizer.
  ///   - longest: the most positions of a row, one less than the tokens of prompt and completion.
  ///   - longExamples: what to do with a longer one. Cut, the prompt loses its beginning, the same of it
  ///     for both completions, and a completion its end only if it is too long by itself; of messages the
  ///     oldest go first, those of the system excepted. It can't be split.
  ///   - system: what the system is told in conversations without a message of its own.
  ///   - source: the name of the data in errors, such as its file's name.
  ///   - chatFormat: how the model writes conversations; nil: there are none.
  ///
  /// Throws `FormatError` for an example that is too long where none may be, or that the template does not
  /// take, and ``TrainingError``.
  public static func encoding(
    _ texts: [PreferenceText], tokenizer: any Tokenizer, longest: Int,
    longExamples: LongExamples = .truncate, system: String? = nil,
    source: String = "the preferences", chatFormat: (() throws -> ChatFormat)? = nil
  ) throws -> (data: PreferenceDataSet, notes: [String]) {
    guard longest >= 1 else {
      throw TrainingError.invalidOption(
        name: "the sequence length", value: "\(longest)", expected: "at least 1")
    }
    var long = try LongExampleTally(longExamples, limit: longest, source: source)
    var examples: [Example] = []
    let room = longest + 1
    var format: ChatFormat?
    for text in texts {
      var example: Example
      var isCut = false
      if var chat = text.chat {
        do {
          format = try format ?? chatFormat?()
          guard let format else {
            throw TemplateError(.input, "the model has no chat template")
          }
          chat.prompt = chat.prompt.told(system)
          example = try Self.example(of: chat, format)
          while example.longestRow > room, longExamples == .truncate,
            let shorter = chat.prompt.withoutOldestTurns
          {
            (chat.prompt, isCut) = (shorter, true)
            example = try Self.example(of: chat, format)
          }
        } catch let cause as TemplateError {
          throw FormatError(
            .unsupported, file: source, subject: "line \(text.line)",
            problem: "the model's template does not take its messages: \(cause)",
            remedy:
              "mend it, give another template (--chat-template FILE), or texts instead of messages")
        }
      } else {
        guard let whole = Self.example(of: text, tokenizer) else { continue }
        example = whole
      }
      var prompt = example.prompt
      var completions = [example.chosen, example.rejected]
      let most = completions.reduce(0) { max($0, $1?.count ?? 0) }
      if prompt.count + most > room || isCut {
        guard try long.keeps(line: text.line) else { continue }
        let before = text.chat == nil ? tokenizer.template.before.count : 1
        let opening = min(before, max(0, prompt.count - 1))
        let kept = min(prompt.count, max(room - most, min(opening + 1, room - 1)))
        let tail = max(0, kept - opening)
        prompt = Array(prompt.prefix(kept - tail) + prompt.suffix(tail))
        completions = completions.map { $0.map { Array($0.prefix(room - prompt.count)) } }
      }
      examples.append(
        Example(prompt: prompt, chosen: completions[0], rejected: completions[1]))
    }
    return (try PreferenceDataSet(examples, source: source), long.notes)
  }

  /// The example of texts; nil without a completion.
  private static func example(of text: PreferenceText, _ tokenizer: any Tokenizer) -> Example? {
    // Each completion says where the prompt ends in it.
    let encodings = [text.chosen, text.rejected].map { completion in
      completion.map { tokenizer.encode(prompt: text.prompt, completion: $0) }
    }
    guard let first = encodings.compactMap({ $0 }).first else { return nil }
    let completions = encodings.map { $0.map { Array($0.ids.dropFirst($0.promptLength)) } }
    return Example(
      prompt: Array(first.ids.prefix(first.promptLength)), chosen: completions[0],
      rejected: completions[1])
  }

  /// The example of messages. Source: TRL 1.16, `DPOTrainer._prepare_dataset`.
  private static func example(
    of chat: PreferenceText.Chat, _ format: ChatFormat
  ) throws -> Example {
    var conversation = chat.prompt.conversation
    conversation.addsGenerationPrompt = true
    let prompt = try format.prompt(conversation)
    conversation.addsGenerationPrompt = false
    let rows = try [chat.chosen, chat.rejected].map { messages in
      try messages.map { messages in
        conversation.messages = chat.prompt.messages + messages
        return try format.prompt(conversation)
      }
    }
    let length = rows.reduce(prompt.count) { length, row in
      row.map { min(length, zip(prompt, $0).prefix { $0 == $1 }.count) } ?? length
    }
    let completions = rows.map { $0.map { Array($0.dropFirst(length)) } }
    return Example(
      prompt: Array(prompt.prefix(length)), chosen: completions[0], rejected: completions[1])
  }
}
