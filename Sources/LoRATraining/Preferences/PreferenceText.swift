public import LoRATemplates

/// A prompt with its completions, as a file of preferences has it.
///
/// ```json
/// {"prompt": "Which light blinks?", "chosen": " The filter light.", "rejected": " I don't know."}
/// {"prompt": "Which light blinks?", "completion": " The filter light.", "label": true}
/// {"prompt": [{"role": "user", "content": "Which light blinks?"}],
///  "chosen": [{"role": "assistant", "content": "The filter light."}],
///  "rejected": [{"role": "assistant", "content": "I don't know."}]}
/// ```
public struct PreferenceText: Sendable, Hashable {
  /// A prompt and its completions as messages, which the model's template writes.
  public struct Chat: Sendable, Hashable {
    /// What was said before, with the tools and variables that stand beside it.
    public var prompt: ChatRecord
    /// The messages that were chosen, or are desirable; nil for none.
    public var chosen: [TemplateValue]?
    /// The messages that were rejected, or are undesirable; nil for none.
    public var rejected: [TemplateValue]?

    /// Creates a conversation.
    public init(
      prompt: ChatRecord, chosen: [TemplateValue]? = nil, rejected: [TemplateValue]? = nil
    ) {
      (self.prompt, self.chosen, self.rejected) = (prompt, chosen, rejected)
    }
  }

  /// The prompt; of messages what the last one says.
  public var prompt: String
  /// The completion that was chosen, or is desirable; nil for none.
  public var chosen: String?
  /// The completion that was rejected, or is undesirable; nil for none.
  public var rejected: String?
  /// The same as messages; nil where the prompt and its completions are texts.
  public var chat: Chat?
  /// The line of the file on which the example begins, from 1.
  public var line: Int

  /// Creates an example of texts.
  public init(prompt: String, chosen: String? = nil, rejected: String? = nil, line: Int = 0) {
    self.prompt = prompt
    self.chosen = chosen
    self.rejected = rejected
    self.line = line
  }

  /// Creates an example of messages.
  public init(_ chat: Chat, line: Int = 0) {
    func text(_ messages: [TemplateValue]) -> String {
      messages.map(\.messageText).joined(separator: "\n")
    }
    self.init(
      prompt: chat.prompt.messages.last?.messageText ?? "", chosen: chat.chosen.map(text),
      rejected: chat.rejected.map(text), line: line)
    self.chat = chat
  }

  /// Whether it is a pair, and not a single completion with a judgement.
  var isPair: Bool { chosen != nil && rejected != nil }
}

extension PreferenceText: SplittableExample {
  /// The prompt, of messages what the user says first; without a prompt the completion.
  public var splitKey: String {
    if let chat { return chat.prompt.messages.splitKey }
    return prompt.allSatisfy(\.isWhitespace) ? chosen ?? rejected ?? "" : prompt
  }
}
