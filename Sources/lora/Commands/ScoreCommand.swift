import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// `lora score`: how well a model predicts texts or token sequences.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Measure how well a model, with or without adapters, predicts documents.",
    usage: """
      lora score --model <path> (--text <file> [--split <split>] | --data <file> | --ids <file[#name]>) \
      [--dtype <dtype>] [--text-only] [--adapter <adapter[:scale]> ...] [--allow-no-effect] \
      [--allow-other-base] \
      [--window <tokens>] [--stride <tokens>] [--map <meaning=field,...>] [--loss-on <part>] [--use-template <choice>] [--chat-template <file.jinja>] [--template-date <date>] \
      [--system <text>] [--invalid-records <choice>] [--per-token] [--json]
      """,
    discussion: """
      Prints the mean negative log-likelihood (natural logarithm) of each document and the mean over \
      the tokens of all documents. The first token of a document is given, not scored, and not \
      counted. A document longer than the model's positions needs --window or --stride: each window \
      scores the tokens that no earlier window has scored, with those before them in the window as \
      context. Of a prompt and its completion the completion is scored; that is what models with an \
      encoder and a decoder need, such as T5.

        lora score --model MODEL --text stories.txt --split '<|endoftext|>' --json
        lora score --model MODEL --text book.txt --window 1024 --stride 512
        lora score --model MODEL --adapter support --data questions.jsonl
        lora score --model MODEL --adapter support --ids ids.safetensors#eval
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(
    help: ArgumentHelp("A text file, to be encoded by the model's tokenizer.", valueName: "file"))
  var text: String?
  @Option(
    parsing: .unconditional,
    help: "What separates the documents in the text; without it the file is one document.")
  var split: String?
  @Option(
    help: ArgumentHelp(
      "A file of training data, as `lora train` reads it, with prompts and completions for example.",
      valueName: "file"))
  var data: String?
  @OptionGroup(title: "Data") var records: RecordOptions
  @Option(
    help: ArgumentHelp(
      "Token sequences: a JSON file [[id, ...], ...], or a .safetensors file, of which FILE#name picks a "
        + "tensor; without it 'eval' is read.",
      valueName: "file[#name]"))
  var ids: String?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Score in windows of this many tokens. (default: with --stride, the model's positions)",
      valueName: "tokens"))
  var window: Int?
  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How many tokens after the last one each window begins. (default: half a window)",
      valueName: "tokens"))
  var stride: Int?
  @Flag(help: "Also print the value of every token.")
  var perToken = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard [text, data, ids].count(where: { $0 != nil }) == 1 else {
      throw ValidationError("give one of --text FILE, --data FILE and --ids FILE")
    }
    if split != nil, text == nil { throw ValidationError("--split goes with --text") }
    if split == "" { throw ValidationError("--split needs at least one character") }
    try demand("--window", window, .atLeast(2))
    try demand("--stride", stride, .atLeast(1))
    if let window, let stride { try demand("--stride", stride, .from(1, to: window)) }
  }

  func run() throws {
    let pretrained = try model.load()
    let base = try pretrained.languageModel
    let windows = try windows(for: base)
    try adapters.attach(to: base, from: model.path)
    let data = try documents(pretrained)
    var progress = Progress()
    let scores: [ExampleScore]
    do {
      scores = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
        try base.score(data, windows: windows, keepsLosses: perToken) { done, total in
          if data.exampleCount > 8 || total > 1 << 14 {
            progress.report(done, of: total, ["tokens"])
          }
        }
      }
    } catch let error as TrainingError {
      throw Self.explained(error, data, base)
    }
    progress.finish()
    try report(scores)
  }

  private func windows(for model: any LanguageModel) throws -> ScoringWindows? {
    guard window != nil || stride != nil else { return nil }
    let limit = model.maximumPositions
    let length = window ?? limit
    guard length <= limit else {
      throw CommandError(
        "--window \(length): the model's limit is \(limit) positions; give at most that")
    }
    return try ScoringWindows(length: length, stride: stride)
  }

  /// The documents' tokens.
  private func documents(_ pretrained: PretrainedModel) throws -> TokenDataSet {
    if let ids {
      let sequences = try TokenSequences(ids, defaultName: "eval")
      let start = pretrained.model.targetStart
      do {
        return try TokenDataSet(
          examples: sequences.sequences.map { ids in
            // Of a source nothing is scored.
            let given = start.flatMap { ids.firstIndex(of: $0) }.map { $0 + 1 }
            return TrainingExample(sequence: ids, promptLength: given ?? 0)
          }, source: sequences.source)
      } catch {
        throw CommandError(sequences.source, error)
      }
    }
    if let data { return try examples(of: data, pretrained) }
    let path = text ?? ""
    guard pretrained.model.targetStart == nil else {
      throw FormatError(
        .unsupported, file: path,
        problem: "it is a text, and the model reads a source and writes a target",
        remedy:
          "give --data FILE with records of a prompt, the source, and a completion, the target")
    }
    let texts = Self.documents(in: try DataFile.text(of: path), split: split)
    guard !texts.isEmpty else {
      throw FormatError(
        .invalidValue, file: path, problem: "it holds no text", remedy: "give a file with some")
    }
    let tokenizer = try pretrained.tokenizer()
    do throws(TrainingError) {
      return try TokenDataSet(documents: texts, tokenizer: tokenizer, source: path)
    } catch {
      guard case .noTargets(let example) = error else { throw CommandError(path, error) }
      throw CommandError(
        "\(path): document \(example + 1) is one token, which nothing precedes; leave it out, or choose "
          + "another --split")
    }
  }

  /// The examples of training data, whole.
  private func examples(of path: String, _ pretrained: PretrainedModel) throws -> TokenDataSet {
    let length = try pretrained.languageModel.maximumPositions
    let reader = try records.reader(
      for: pretrained, under: adapters.adapters.map(\.path),
      options: DataOptions(sequenceLength: length, longExamples: .error))
    return try reader.readTelling(path, tensor: "eval")
  }

  /// `error` with the file, and for a document that is too long the way out.
  private static func explained(
    _ error: TrainingError, _ data: TokenDataSet, _ model: any LanguageModel
  ) -> CommandError {
    guard case .exampleTooLong(let example, let length, let limit) = error else {
      return CommandError(data.source, error)
    }
    guard limit > 1 else {
      return CommandError(
        "\(data.source): document \(example + 1) has \(length) positions, and the model has 1: it can "
          + "score documents of two tokens only")
    }
    return CommandError(
      "\(data.source): document \(example + 1) has \(length) positions, more than the limit of \(limit): "
        + "score it by windows, --window \(limit) --stride \(max(1, limit / 2))")
  }

  /// The parts of `text` between occurrences of `separator`, without white space around them and
  /// without empty ones.
  static func documents(in text: String, split separator: String?) -> [String] {
    let parts = separator.map { text.utf8.split(separator: $0.utf8) } ?? [text.utf8[...]]
    return parts.map { part in
      let unicode = Substring(part).unicodeScalars
      let first = unicode.firstIndex { !$0.properties.isWhitespace } ?? unicode.endIndex
      let last = unicode.lastIndex { !$0.properties.isWhitespace }
      return last.map { String(unicode[first...$0]) } ?? ""
    }.filter { !$0.isEmpty }
  }

  private func report(_ scores: [ExampleScore]) throws {
    let tokens = scores.reduce(0) { $0 + $1.tokens }
    let total = Evaluation(
      nll: scores.reduce(0) { $0 + $1.sum } / Double(tokens), tokens: tokens)
    if output.isJSON {
      let documents = scores.map { score -> JSONValue in
        var object: JSONObject = ["tokens": JSONValue(score.tokens), "nll": .number(score.nll)]
        if perToken { object["token_nlls"] = JSONValue(score.losses.map { Double($0) }) }
        return .object(object)
      }
      return try StandardOutput.json([
        "documents": .array(documents), "tokens": JSONValue(tokens), "nll": .number(total.nll),
        "perplexity": .number(total.perplexity),
      ])
    }
    for (index, score) in scores.enumerated() {
      try StandardOutput.line(
        "document \(index + 1): \(score.tokens) tokens, NLL \(decimal(score.nll, 6))")
      if perToken {
        let values = score.losses.map { decimal(Double($0), 6) }
        try StandardOutput.line("  " + values.joined(separator: " "))
      }
    }
    try StandardOutput.line(
      "all: \(tokens) tokens, NLL \(decimal(total.nll, 6)), perplexity \(perplexityText(total))"
    )
  }
}
