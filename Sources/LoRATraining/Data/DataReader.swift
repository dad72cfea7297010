import LoRAFiles
public import LoRAModels
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
/// learned.
public final class DataReader {
  /// The tokenizer; nil until some data is text.
  package private(set) var tokenizer: (any Tokenizer)?
  private let model: any LanguageModel
  private let options: DataOptions
  private let makeTokenizer: () throws -> any Tokenizer

  /// Creates a reader.
  ///
  /// - Parameters:
  ///   - model: the model that must be able to read the examples.
  ///   - options: the length of the examples; nil for up to 512 positions, or the model's if it has
  ///     fewer.
  ///   - tokenizer: returns the model's tokenizer; called if some data is text.
  ///
  /// Throws ``TrainingError`` for a sequence length below 1 or beyond the model's positions.
  public init(
    for model: any LanguageModel, options: DataOptions? = nil,
    tokenizer: @escaping () throws -> any Tokenizer
  ) throws(TrainingError) {
    let limit = model.maximumPositions
    self.options = options ?? DataOptions(sequenceLength: min(512, limit))
    self.model = model
    makeTokenizer = tokenizer
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
    let file = try DataFile(path)
    if file.format == .safetensors {
      return try read(try TokenSequences(path, defaultName: tensor))
    }
    var first: DataRecord?
    var builder = ExampleBuilder(
      source: path, unit: file.format == .json ? .element : .line, options: options,
      modelLimit: model.maximumPositions)
    builder.assumedFormat = file.isNamed ? nil : file.format
    try file.forEachRecord { record in
      if let first, first.content.form != record.content.form {
        throw FormatError(
          .typeMismatch, file: path, subject: "line \(record.line)",
          problem: "expected \(first.content.form), as on line \(first.line); "
            + "found \(record.content.form)",
          remedy: "give all records of a file one form")
      }
      if first == nil {
        first = DataRecord(record.content.withoutText, line: record.line)
        if case .tokens = record.content {
        } else {
          let tokenizer = try readTokenizer()
          builder.opening = tokenizer.template.before.count
          builder.closing = tokenizer.targetStart == nil ? 0 : tokenizer.template.after.count + 1
        }
      }
      builder.note(unused: record.unusedFields, line: record.line)
      try append(record, isDocument: file.format == .text, to: &builder)
    }
    let isText = if case .tokens? = first?.content { false } else { true }
    return (try checked(try builder.dataSet(), isText: isText), builder.report)
  }

  /// The tensor `name` of the safetensors file of `path`, if it is one and has it.
  package func readTensor(
    _ name: String, ifIn path: String
  ) throws -> (data: TokenDataSet, report: DataReport)? {
    try TokenSequences.ifPresent(name, in: path).map { try read($0) }
  }

  private func read(_ sequences: TokenSequences) throws -> (data: TokenDataSet, report: DataReport)
  {
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
      var ids: [Int32] = []
      try readTokenizer().encodeDocument(text, into: &ids)
      try builder.append(ids, isDocument ? .document : .text, line: record.line)
    case .pair(let pair):
      let encoding = try readTokenizer().encode(prompt: pair.prompt, completion: pair.completion)
      try builder.append(
        try TokenDataSet.narrowed(encoding.ids), given: encoding.promptLength, .pair,
        line: record.line)
    }
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
  /// The same form without what it holds.
  fileprivate var withoutText: Self {
    switch self {
    case .text: .text("")
    case .pair: .pair(PromptCompletion(prompt: "", completion: ""))
    case .tokens: .tokens([])
    }
  }
}
