import LoRAFiles
public import LoRAModels
import LoRATemplates
public import LoRAText

/// Reads files of training data into examples for a model, the same way for training, evaluation
/// and sweeps.
///
/// ```swift
/// let reader = try DataReader(for: pretrained.model) { try pretrained.tokenizer() }
/// let (data, report) = try reader.read("questions.jsonl")
/// report.notes   // ["2 examples longer than 513 tokens (512 positions) were cut (lines 4, 19)"]
/// ```
///
/// A file is read record by record; only the tokens stay in memory, four bytes each. A plain text
/// file is one text, cut into pieces of the sequence length; any other record is one example. Texts
/// end with the end-of-sequence token. Of a prompt and its completion only the completion is
/// learned, of a conversation what the assistant says; ``DataOptions`` say otherwise.
public final class DataReader {
  /// The tokenizer; nil until some data is text.
  package private(set) var tokenizer: (any Tokenizer)?
  private let model: any LanguageModel
  let options: DataOptions
  private let makeTokenizer: () throws -> any Tokenizer
  private let makeFormat: (() throws -> ChatFormat)?
  /// How conversations are written, once one was read; nil where the model has no template.
  private var chats: Result<ChatFormat, any Error>?
  /// Whether some data were conversations, and whether some were other texts.
  package private(set) var hasChats = false
  private var hasTexts = false

  /// Creates a reader.
  ///
  /// - Parameters:
  ///   - model: the model that must be able to read the examples.
  ///   - options: the length of the examples; nil for up to 512 positions, or the model's if it has
  ///     fewer.
  ///   - chatFormat: returns how the model writes conversations; called if some data are. Nil: no
  ///     conversations are read.
  ///   - tokenizer: returns the model's tokenizer; called if some data is text.
  ///
  /// Throws ``TrainingError`` for a sequence length below 1 or beyond the model's positions.
  public init(
    for model: any LanguageModel, options: DataOptions? = nil,
    chatFormat: (() throws -> ChatFormat)? = nil,
    tokenizer: @escaping () throws -> any Tokenizer
  ) throws(TrainingError) {
    let limit = model.maximumPositions
    self.options = options ?? DataOptions(sequenceLength: min(512, limit))
    self.model = model
    makeTokenizer = tokenizer
    makeFormat = chatFormat
    guard (1...limit).contains(self.options.sequenceLength) else {
      throw .invalidOption(
        name: "the sequence length", value: "\(self.options.sequenceLength)",
        expected: "1 to \(limit), the model's positions")
    }
  }

  /// Reads the data at `path`: `FILE`, or `FILE#name` for a tensor of a safetensors file; without a
  /// name the tensor `tensor` is read.
  ///
  /// Throws `FormatError` with the line of the problem, ``TrainingError``, and `TokenizerError`.
  public func read(
    _ path: String, tensor: String = "train"
  ) throws -> (data: TokenDataSet, report: DataReport) {
    let file = try DataFile(path, fields: options.fields).recognizingFields()
    if file.format == .safetensors {
      return try read(try TokenSequences(path, defaultName: tensor))
    }
    var first: DataRecord?
    var builder = ExampleBuilder(
      source: path, unit: file.format == .json ? .element : .line, options: options,
      modelLimit: model.maximumPositions)
    builder.assumedFormat = file.isNamed ? nil : file.format
    builder.recognition = file.recognition
    var invalid: [(FormatError, line: Int)] = []
    let skip: ((FormatError, Int) -> Void)? =
      options.skipsInvalid ? { invalid.append(($0, $1)) } : nil
    try file.forEachRecord(invalid: skip) { record in
      for (error, line) in invalid { builder.leaveOut(invalid: error, line: line) }
      invalid = []
      do {
        if first == nil { first = try begin(with: record, &builder) }
        if let first { try check(record, hasFormOf: first, in: path) }
        builder.note(unused: record.unusedFields, line: record.line)
        builder.key = record.content.isDivided(in: file.format) ? nil : record.content.key
        try append(record, isDocument: file.format == .text, to: &builder)
      } catch let error as FormatError where options.skipsInvalid {
        builder.leaveOut(invalid: error, line: record.line)
      }
    }
    for (error, line) in invalid { builder.leaveOut(invalid: error, line: line) }
    let isText = if case .tokens? = first?.content { false } else { true }
    return (try checked(try builder.dataSet(), isText: isText), builder.report)
  }

  /// Takes the first record, whose form all others must have.
  private func begin(
    with record: DataRecord, _ builder: inout ExampleBuilder
  ) throws -> DataRecord {
    if case .tokens = record.content {
    } else {
      let tokenizer = try readTokenizer()
      builder.opening = tokenizer.template.before.count
      builder.closing = tokenizer.targetStart == nil ? 0 : tokenizer.template.after.count + 1
    }
    return DataRecord(record.content.withoutContent, line: record.line)
  }

  private func check(
    _ record: DataRecord, hasFormOf first: DataRecord, in path: String
  ) throws(FormatError) {
    guard first.content.form != record.content.form else { return }
    throw FormatError(
      .typeMismatch, file: path, subject: "line \(record.line)",
      problem: "expected \(first.content.form), as on line \(first.line); "
        + "found \(record.content.form)",
      remedy: "give all records of a file one form")
  }

  func read(_ sequences: TokenSequences) throws -> (data: TokenDataSet, report: DataReport) {
    var builder = ExampleBuilder(
      source: sequences.source, unit: .row, options: options, modelLimit: model.maximumPositions)
    for (index, ids) in sequences.sequences.enumerated() {
      try append(DataRecord(.tokens(ids), line: index + 1), to: &builder)
    }
    return (try checked(try builder.dataSet(), isText: false), builder.report)
  }

  private func append(
    _ record: DataRecord, isDocument: Bool = false, to builder: inout ExampleBuilder
  ) throws {
    switch record.content {
    case .tokens(let ids):
      let given = model.targetStart.flatMap { ids.firstIndex(of: $0) }.map { $0 + 1 } ?? 0
      try builder.append(try TokenDataSet.narrowed(ids), given: given, .tokens, line: record.line)
    case .text(let text):
      if model.targetStart != nil {
        throw FormatError(
          .unsupported, file: builder.source,
          subject: isDocument ? "the file" : "line \(record.line)",
          problem: "it is a text, and the model reads a source and writes a target",
          remedy: "give records with a prompt, the source, and a completion, the target")
      }
      guard text.unicodeScalars.contains(where: { !$0.properties.isWhitespace }) else {
        return builder.leaveOut(line: record.line)
      }
      hasTexts = true
      var ids: [Int32] = []
      try readTokenizer().encodeDocument(text, into: &ids)
      try builder.append(ids, isDocument ? .document : .text, line: record.line)
    case .pair(let pair):
      if options.templateUse == .always { return try append(chat: record, to: &builder) }
      try append(pair, line: record.line, to: &builder)
    case .instruction(let instruction):
      if try usesTemplate { return try append(chat: record, to: &builder) }
      try append(instruction.pair, line: record.line, to: &builder)
    case .chat: try append(chat: record, to: &builder)
    }
  }

  private func append(
    _ pair: PromptCompletion, line: Int, to builder: inout ExampleBuilder
  ) throws {
    hasTexts = true
    let encoding = try readTokenizer().encode(prompt: pair.prompt, completion: pair.completion)
    try builder.append(
      try TokenDataSet.narrowed(encoding.ids),
      given: options.learned == .all ? 0 : encoding.promptLength, .pair, line: line)
  }

  // MARK: - Conversations

  /// Whether instructions become conversations.
  private var usesTemplate: Bool {
    get throws {
      switch options.templateUse {
      case .never: return false
      case .always: return true
      case .automatic:
        if model.targetStart != nil { return false }
        if case .success = chatFormat() { return true }
        return false
      }
    }
  }

  private func chatFormat() -> Result<ChatFormat, any Error> {
    if let chats { return chats }
    let made = Result { () throws -> ChatFormat in
      guard let makeFormat else {
        throw TemplateError(.input, "the model has no chat template")
      }
      return try makeFormat()
    }
    chats = made
    return made
  }

  /// What to tell who trains `pretrained` on what was read, if other programs do not stop where it is taught
  /// to.
  package func endWarnings(for pretrained: PretrainedModel) -> [String] {
    var warnings: [String] = []
    if hasTexts, let tokenizer, let text = pretrained.endOfTextWarning(with: tokenizer) {
      warnings.append(text)
    }
    if hasChats, case .success(let format)? = chats,
      let text = pretrained.endOfTurnWarning(with: format)
    {
      warnings.append(text)
    }
    return warnings
  }

  private func append(chat record: DataRecord, to builder: inout ExampleBuilder) throws {
    func error(_ problem: String, _ remedy: String) -> FormatError {
      FormatError(
        .unsupported, file: builder.source, subject: "line \(record.line)", problem: problem,
        remedy: remedy)
    }
    guard options.templateUse != .never, model.targetStart == nil else {
      throw error(
        "it is a conversation, and "
          + (model.targetStart == nil
            ? "no template is to be used" : "the model reads a source and writes a target"),
        "give records with a prompt and a completion")
    }
    let format: ChatFormat
    do {
      format = try chatFormat().get()
    } catch let cause as TemplateError {
      throw error(
        "it is a conversation: \(cause)",
        "give a template: --chat-template plain, or a file; or records with a prompt and a completion"
      )
    }
    guard let chat = record.content.asChat?.told(options.system), chat.hasAnswer else {
      return builder.leaveOut(line: record.line)
    }
    do {
      hasChats = true
      var (shorter, tokens) = (chat, try encode(chat, format))
      while builder.mustShorten(tokens.ids.count), let next = shorter.withoutOldestExchange {
        (shorter, tokens) = (next, try encode(next, format))
      }
      let isWhole = shorter.messages.count == chat.messages.count
      try builder.append(tokens.ids, weights: tokens.weights, isWhole: isWhole, line: record.line)
    } catch let cause as TemplateError {
      throw error(
        "the model's template does not take the conversation: \(cause)",
        "mend it, leave it out (--invalid-records skip), or give another template (--chat-template FILE)"
      )
    }
  }

  /// The tokens of a conversation, and how much each counts in the loss.
  private func encode(
    _ chat: ChatRecord, _ format: ChatFormat
  ) throws -> (ids: [Int], weights: [Float]) {
    if options.learned == .all {
      let ids = try format.prompt(chat.conversation)
      return (ids, ids.map { _ in 1 })
    }
    let encoding = try format.example(chat.conversation)
    guard options.learned == .last || chat.weights != nil else {
      return (encoding.ids, encoding.isAssistant.map { $0 ? 1 : 0 })
    }
    let last = chat.messages.lastIndex { $0["role"] == "assistant" }
    let weights: [Float] = try zip(encoding.isAssistant, encoding.messages).map { tokens in
      guard tokens.0 else { return 0 }
      guard let message = tokens.1 else {
        throw TemplateError(
          .mask,
          "the template says what the assistant writes, but not in which message: it can't be told "
            + "which messages count")
      }
      return options.learned == .last && message != last ? 0 : chat.weight(of: message)
    }
    return (encoding.ids, weights)
  }

  private func readTokenizer() throws -> any Tokenizer {
    if let tokenizer { return tokenizer }
    let made = try makeTokenizer()
    tokenizer = made
    return made
  }

  /// Text gave an id that the model lacks: not the data is wrong.
  private func tooManyTokens(
    of tokenizer: any Tokenizer, id: Int, vocabulary: Int
  ) -> TrainingError {
    let token = tokenizer.token(of: id).map { "'\($0)', \(id)" } ?? "\(id)"
    let isEnd = id == tokenizer.endOfSequence
    return .invalidOption(
      name: isEnd ? "the tokenizer's end-of-sequence token" : "a token id of the tokenizer",
      value: token,
      expected: "one of the model's vocabulary, 0 to \(vocabulary - 1): "
        + (isEnd
          ? "name such a token as eos_token in tokenizer_config.json"
          : "use the tokenizer that belongs to the model"))
  }

  /// Returns `data` if the model can read its examples. Errors name the file and the line.
  private func checked(_ data: TokenDataSet, isText: Bool) throws -> TokenDataSet {
    do throws(TrainingError) {
      try data.check(for: model)
      return data
    } catch {
      guard case .tokenOutOfVocabulary(let id, let example, let position, let vocabulary) = error
      else { throw error }
      if isText, let tokenizer {
        throw tooManyTokens(of: tokenizer, id: id, vocabulary: vocabulary)
      }
      throw FormatError(
        .invalidValue, file: data.source, subject: data.place(of: example),
        problem: "the token id \(id) at position \(position) is not in the model's vocabulary, "
          + "0 to \(vocabulary - 1)",
        remedy: "encode the data with this model's tokenizer")
    }
  }
}

extension DataRecord.Content {
  /// Whether a record of a file of `format` is no example of its own: its pieces are, each by its tokens.
  fileprivate func isDivided(in format: DataFile.Format) -> Bool {
    if case .tokens = self { true } else { format == .text }
  }

  /// The hash of what puts it on a side of a split.
  fileprivate var key: UInt64 { DataSplit.key(of: splitKey) }

  /// The same form without what it holds.
  fileprivate var withoutContent: Self {
    switch self {
    case .text: .text("")
    case .pair: .pair(PromptCompletion(prompt: "", completion: ""))
    case .chat: .chat(ChatRecord(messages: []))
    case .instruction: .instruction(InstructionRecord(instruction: "", output: ""))
    case .tokens: .tokens([])
    }
  }
}

extension DataReader {
  /// Creates a reader for a model with its own tokenizer and chat template.
  ///
  /// Throws ``TrainingError`` for a sequence length below 1 or beyond the model's positions, and
  /// `FormatError` if it is no language model.
  public convenience init(for pretrained: PretrainedModel, options: DataOptions? = nil) throws {
    try self.init(
      for: pretrained.languageModel, options: options,
      chatFormat: { try pretrained.chatFormat() }, tokenizer: { try pretrained.tokenizer() })
  }
}
