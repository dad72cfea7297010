/// One record of a data file: a text, a prompt and its completion, a conversation, an instruction, or token
/// ids.
public struct DataRecord: Sendable, Hashable {
  /// The content of a record.
  public enum Content: Sendable, Hashable {
    /// A whole text.
    case text(String)
    /// A prompt and the completion to learn.
    case pair(PromptCompletion)
    /// A conversation, of which the assistant's messages are learned.
    case chat(ChatRecord)
    /// An instruction, of which the answer is learned.
    case instruction(InstructionRecord)
    /// Token ids.
    case tokens([Int])

    /// The fields that it comes from, for errors.
    package var form: String {
      switch self {
      case .text: "text"
      case .pair: "prompt and completion"
      case .chat: "messages"
      case .instruction: "instruction and output"
      case .tokens: "token ids"
      }
    }
  }

  /// The content of a record.
  public var content: Content
  /// The line of the file on which the record begins, from 1.
  public var line: Int
  /// Fields that could be data too but are not used, such as `text` beside a prompt and its
  /// completion.
  public var unusedFields: [String]

  /// Creates a record.
  package init(_ content: Content, line: Int, unusedFields: [String] = []) {
    self.content = content
    self.line = line
    self.unusedFields = unusedFields
  }
}

extension DataRecord.Content {
  /// The record as a conversation, which texts and token ids are not.
  var asChat: ChatRecord? {
    switch self {
    case .chat(let chat): chat
    case .instruction(let instruction): instruction.chat
    case .pair(let pair): InstructionRecord(instruction: pair.prompt, output: pair.completion).chat
    case .text, .tokens: nil
    }
  }
}
