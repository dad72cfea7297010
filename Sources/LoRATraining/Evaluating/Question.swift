import LoRAFiles
import LoRAJSON
public import LoRAModels
import LoRATemplates
public import LoRAText

/// A question to a model, with the answer that is expected.
public struct Question: SplittableExample, Hashable {
  /// The ids that the model continues.
  public var prompt: [Int]
  /// What the prompt says, for people and checkers.
  public var text: String
  /// The expected answer.
  public var expected: String
  /// The answers to choose from; nil where any may be given.
  public var choices: [String]?
  /// The ids that end an answer in training.
  public var end: [Int] = []
  /// The line of the file that it comes from.
  public var line: Int
  /// What training has of the same record, see ``DataSplit``.
  public internal(set) var splitKey = ""
}

/// Makes questions of a data file, in the words of training.
///
/// Of a prompt and its completion, an instruction or a conversation, the last answer is what is expected.
/// A record with `choices`, a list of answers, has the right one as `answer`, by its text or by its number
/// from 0. Of a text with a `label` that is a name, the label is what is expected.
public final class QuestionReader {
  private let tokenizer: any Tokenizer
  private let chatFormat: (() throws -> ChatFormat)?
  private let options: DataOptions
  private lazy var chats = Result { try chatFormat?() }

  /// Creates a reader.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's tokenizer.
  ///   - options: which fields hold what, and which records the chat template writes.
  ///   - chatFormat: how the model writes conversations; nil: none are read.
  public init(
    tokenizer: any Tokenizer, options: DataOptions = DataOptions(),
    chatFormat: (() throws -> ChatFormat)? = nil
  ) {
    self.tokenizer = tokenizer
    self.options = options
    self.chatFormat = chatFormat
  }

  /// What is asked and expected, before it becomes tokens.
  private struct Turn {
    var chat: ChatRecord?
    var pair: PromptCompletion
    var choices: [String]?
    var line: Int
  }

  /// Reads the questions of the file at `path`.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - shots: how many of its first records are put before each question, answered, instead of being
  ///     asked.
  /// - Throws: `FormatError` with the line of the problem, and `TemplateError`.
  public func read(_ path: String, shots: Int = 0) throws -> [Question] {
    let turns = try turns(of: path)
    guard turns.count > shots else {
      throw FormatError(
        .invalidValue, file: path,
        problem: "it has \(turns.count) questions, of which \(shots) are to be shown as examples",
        remedy: "give fewer --shots, or more questions")
    }
    let shown = Array(turns.prefix(shots))
    return try turns.dropFirst(shots).map { try question($0, behind: shown, in: path) }
  }

  // MARK: - Records

  private func turns(of path: String) throws -> [Turn] {
    let file = try DataFile(path, fields: options.fields).recognizingFields()
    var turns: [Turn] = []
    if let choices = try choices(of: file) ?? labelled(file) { return choices }
    try file.forEachRecord { record in
      var turn = Turn(
        chat: nil, pair: PromptCompletion(prompt: "", completion: ""), line: record.line)
      switch record.content {
      case .pair(let pair) where options.templateUse != .always: turn.pair = pair
      case .instruction(let instruction) where try !writesInstructions():
        turn.pair = instruction.pair
      case .text, .tokens:
        throw FormatError(
          .typeMismatch, file: path, subject: "line \(record.line)",
          problem: "it has no question and answer",
          remedy: "give a prompt and a completion, or messages")
      default: turn.chat = record.content.asChat?.told(options.system)
      }
      if let chat = turn.chat {
        guard let last = chat.messages.last, last["role"] == "assistant", chat.messages.count > 1
        else {
          throw FormatError(
            .invalidValue, file: path, subject: "line \(record.line)",
            problem: "the conversation does not end with an answer of the assistant",
            remedy: "the last message is what is expected")
        }
        turn.pair = PromptCompletion(
          prompt: chat.messages.dropLast().last?.messageText ?? "",
          completion: last.messageText)
      }
      turns.append(turn)
    }
    guard !turns.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no questions")
    }
    return turns
  }

  /// Questions with choices, if the file has any.
  private func choices(of file: DataFile) throws -> [Turn]? {
    guard file.format == .jsonLines || file.format == .json else { return nil }
    var turns: [Turn] = []
    var others = 0
    func take(_ value: JSONValue, _ line: Int) throws {
      guard let object = value.objectValue else { return others += 1 }
      let fields = try file.fields.renamed(object, file: file.path, line: line)
      guard let list = fields["choices"]?.arrayValue else { return others += 1 }
      let record = RecordFields(path: file.path, line: line, object: fields)
      let choices = list.compactMap(\.stringValue)
      guard choices.count == list.count, choices.count > 1 else {
        throw record.error("expected two texts at least as 'choices'", "write a list of answers")
      }
      guard let prompt = try record.string("prompt") ?? record.string("question") else {
        throw record.error(
          "expected a 'prompt' beside the choices; found \(RecordFields.list(object.keys))",
          "rename the field, or --map prompt=FIELD")
      }
      let answer = fields["answer"] ?? fields["completion"] ?? .null
      let expected =
        answer.intValue.flatMap { choices.indices.contains($0) ? choices[$0] : nil }
        ?? answer.stringValue.flatMap { choices.contains($0) ? $0 : nil }
      guard let expected else {
        throw record.error(
          "expected one of the choices as 'answer', or its number from 0; found \(answer)",
          "write the right answer as it stands among the choices")
      }
      turns.append(
        Turn(
          chat: options.templateUse == .always
            ? InstructionRecord(instruction: prompt, output: expected).chat.told(options.system)
            : nil,
          pair: PromptCompletion(prompt: prompt, completion: expected), choices: choices, line: line
        ))
    }
    if file.format == .jsonLines {
      try file.forEachJSONLine { try take($0, $1) }
    } else {
      try file.forEachElement { value, line, _ in try take(value, line) }
    }
    guard !turns.isEmpty else { return nil }
    guard others == 0 else {
      throw FormatError(
        .typeMismatch, file: file.path, problem: "\(others) of its records have no choices",
        remedy: "give all records of a file one form")
    }
    return turns
  }

  /// Texts with labels, if the first record is one: the text is what is asked, the label what is expected.
  private func labelled(_ file: DataFile) throws -> [Turn]? {
    guard [.jsonLines, .json, .csv].contains(file.format) else { return nil }
    var turns: [Turn] = []
    var isLabelled: Bool?
    try file.forEachObject { value, line in
      if isLabelled == nil {
        isLabelled = value["text"]?.stringValue != nil && value["label"] != nil
      }
      guard isLabelled == true else { return }
      let record = RecordFields(path: file.path, line: line, object: value.objectValue ?? [:])
      guard let text = try record.string("text"), let label = value["label"]?.stringValue else {
        throw record.error(
          "expected a 'text' and a name as its 'label'; found "
            + RecordFields.list(record.object.keys), "give every record both")
      }
      turns.append(
        Turn(
          chat: options.templateUse == .always
            ? InstructionRecord(instruction: text, output: label).chat.told(options.system) : nil,
          pair: PromptCompletion(prompt: text, completion: label), line: line))
    }
    return turns.isEmpty ? nil : turns
  }

  // MARK: - Prompts

  /// Whether the chat template writes instructions.
  private func writesInstructions() throws -> Bool {
    switch options.templateUse {
    case .never: false
    case .always: true
    case .automatic: (try? chats.get()) != nil
    }
  }

  private func question(_ turn: Turn, behind shown: [Turn], in path: String) throws -> Question {
    var question = Question(
      prompt: [], text: turn.pair.prompt, expected: turn.pair.completion, choices: turn.choices,
      line: turn.line)
    question.splitKey =
      turn.chat?.messages.splitKey ?? DataRecord.Content.pair(turn.pair).splitKey
    guard let chat = turn.chat else {
      let before = shown.map { $0.pair.prompt + $0.pair.completion + "\n\n" }.joined()
      question.prompt = tokenizer.encodePrompt(before + turn.pair.prompt)
      question.end = tokenizer.endOfSequence.map { [$0] } ?? []
      return question
    }
    guard let format = try chats.get() else {
      throw FormatError(
        .unsupported, file: path, subject: "line \(turn.line)",
        problem: "it is a conversation, and the model has no chat template",
        remedy: "give the template with --chat-template FILE, or prompts with completions")
    }
    var conversation = chat.conversation
    let told = chat.messages.prefix { $0["role"] == "system" || $0["role"] == "developer" }
    let examples = shown.flatMap { turn in
      (turn.chat?.messages ?? []).filter { $0["role"] != "system" && $0["role"] != "developer" }
    }
    conversation.messages = told + examples + chat.messages.dropFirst(told.count).dropLast()
    conversation.addsGenerationPrompt = true
    question.prompt = try format.prompt(conversation)
    question.end = format.endOfTurn.map { [$0] } ?? []
    return question
  }
}
