import LoRAFiles
import LoRAJSON
public import LoRAModels
import LoRATemplates
public import LoRAText

/// Prompts that a model continues again and again while it is trained, to show what becomes of it.
///
/// ```swift
/// var prompts = SamplePrompts(tokenizer: tokenizer)
/// try prompts.add("Which light blinks?")
/// let samples = try prompts.samples(of: model, after: run.result.steps)
/// ```
///
/// Continuing is greedy and changes nothing: a training with samples has the bits of one without.
public struct SamplePrompts: Sendable {
  /// A prompt.
  public struct Prompt: Sendable, Hashable {
    /// The ids that the model continues.
    public var ids: [Int]
    /// What it says, for people.
    public var text: String
    /// What is expected, where that is known.
    public var expected: String?

    /// Creates a prompt.
    public init(ids: [Int], text: String, expected: String? = nil) {
      self.ids = ids
      self.text = text
      self.expected = expected
    }
  }

  /// The prompts, which samples number from 0.
  public var prompts: [Prompt] = []
  /// How tokens are chosen, and when to end. Greedy, at most 64 tokens, unless set.
  public var options = GenerationOptions(maximumTokens: 64)
  private let tokenizer: any Tokenizer
  private let format: ChatFormat?
  private let asksAsUser: Bool
  private let system: String?

  /// Creates an empty list of prompts.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's tokenizer.
  ///   - format: how the model writes conversations; nil: none can be added.
  ///   - asksAsUser: whether a text is what a user says in a conversation, and not continued as it is.
  ///   - system: what the system is told in conversations without a message of its own.
  public init(
    tokenizer: any Tokenizer, format: ChatFormat? = nil, asksAsUser: Bool = false,
    system: String? = nil
  ) {
    self.tokenizer = tokenizer
    self.format = format
    self.asksAsUser = asksAsUser
    self.system = system
  }

  /// What the model says to each prompt, with the adapters that apply here.
  ///
  /// - Parameters:
  ///   - model: the model.
  ///   - step: the number of steps made.
  /// - Throws: `SequenceError` for a prompt without a token, or longer than the model's positions.
  public func samples(of model: any LanguageModel, after step: Int) throws -> [TrainingSample] {
    try prompts.enumerated().map { index, prompt in
      let text = try TextSession(
        model, tokenizer: tokenizer, prompt: prompt.ids, options: options
      ).rest()
      return TrainingSample(
        step: step, prompt: index, question: prompt.text, expected: prompt.expected, text: text)
    }
  }
}

// MARK: - Adding

extension SamplePrompts {
  /// Adds a text. Throws `TemplateError` where the template refuses it.
  public mutating func add(_ text: String, expected: String? = nil) throws {
    guard asksAsUser else {
      prompts.append(Prompt(ids: tokenizer.encodePrompt(text), text: text, expected: expected))
      return
    }
    let chat = ChatRecord(messages: [["role": "user", "content": .string(text)]])
    try add(chat, in: "the prompt", expected: expected)
  }

  /// Adds the prompts of a file: in JSON records with a `prompt`, or `messages` that the user ends, and what
  /// is expected as a `completion` or as the assistant's last message; in a text file one a line.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - fields: which fields hold what, where they have other names.
  /// - Throws: `FormatError` with the line of the problem, and `TemplateError`.
  public mutating func add(contentsOf path: String, fields: FieldMap = FieldMap()) throws {
    let file = try DataFile(path, fields: fields).recognizingFields()
    let count = prompts.count
    switch file.format {
    case .jsonLines: try file.forEachJSONLine { try add($0, of: file, line: $1) }
    case .json: try file.forEachElement { value, line, _ in try add(value, of: file, line: line) }
    case .text:
      for line in try FileSystem.readText(path).split(whereSeparator: \.isNewline)
      where !line.allSatisfy(\.isWhitespace) {
        try add(String(line))
      }
    case .csv, .safetensors:
      throw FormatError(
        .unsupported, file: path, problem: "prompts are not read from such a file",
        remedy:
          "give a .jsonl file of {\"prompt\": ...} or {\"messages\": [...]}, or a text of lines")
    }
    guard prompts.count > count else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no prompts")
    }
  }

  private mutating func add(_ value: JSONValue, of file: DataFile, line: Int) throws {
    guard let object = value.objectValue else {
      throw FormatError(
        .typeMismatch, file: file.path, subject: "line \(line)",
        problem: "expected {\"prompt\": ...} or {\"messages\": [...]}, found \(value.kind)")
    }
    let fields = RecordFields(
      path: file.path, line: line,
      object: try file.fields.renamed(object, file: file.path, line: line), map: file.fields)
    if let prompt = fields.value("prompt"), prompt.arrayValue != nil {
      var object = fields.object
      object["messages"] = prompt
      return try add(.object(object), of: file, line: line)
    }
    if fields.value("messages") ?? fields.value("conversations") ?? fields.value("conversation")
      != nil
    {
      guard case .chat(let chat) = try fields.record().content else { return }
      return try add(chat, in: "line \(line)", of: file.path)
    }
    guard let prompt = try fields.string("prompt") ?? fields.string("instruction") else {
      throw fields.error(
        "expected a 'prompt' or 'messages'; found \(RecordFields.list(object.keys))",
        "rename the field, or --map prompt=FIELD")
    }
    let input = try fields.string("input") ?? ""
    try add(
      prompt + (input.isEmpty ? "" : "\n\n\(input)"),
      expected: try fields.string("completion") ?? fields.string("output"))
  }

  private mutating func add(
    _ chat: ChatRecord, in place: String, of file: String? = nil, expected: String? = nil
  ) throws {
    guard let format else {
      throw FormatError(
        .unsupported, file: file ?? "", subject: place,
        problem: "it is a conversation, and the model has no chat template",
        remedy: "give the template with --chat-template FILE, or prompts")
    }
    var chat = chat.told(system)
    var expected = expected
    if let last = chat.messages.last, last["role"] == "assistant" {
      expected = last.messageText
      chat.messages.removeLast()
    }
    var conversation = chat.conversation
    conversation.addsGenerationPrompt = true
    let texts = chat.messages.map { message in
      guard chat.messages.count > 1, case .string(let role)? = message["role"] else {
        return message.messageText
      }
      return "\(role): \(message.messageText)"
    }
    prompts.append(
      Prompt(
        ids: try format.prompt(conversation), text: texts.joined(separator: "\n"),
        expected: expected))
  }
}
