import ArgumentParser
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora score`: how well a model predicts texts or token rows.
struct ScoreCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "score",
    abstract: "Measure how well a model, with or without adapters, predicts documents.",
    discussion: """
      Prints each document's mean negative log-likelihood (natural logarithm), and the mean over \
      the tokens of all. The first token of a document is given, not scored; counts are of scored \
      tokens.

        lora score --model MODEL --text stories.txt --split '<|endoftext|>' --json
        lora score --model MODEL --adapter support --ids rows.safetensors#eval
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(help: ArgumentHelp("A text file, encoded by the model's tokenizer.", valueName: "file"))
  var text: String?
  @Option(
    parsing: .unconditional,
    help: "What separates the documents of the text; without it the text is one document.")
  var split: String?
  @Option(
    help: ArgumentHelp(
      "Token rows: JSON [[id, ...], ...], or a .safetensors file's tensor ('eval' by default).",
      valueName: "file[#name]"))
  var ids: String?
  @Flag(help: "Print every token's value too.")
  var perToken = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    guard (text == nil) != (ids == nil) else {
      throw ValidationError("give either --text FILE or --ids FILE")
    }
    if split != nil, text == nil { throw ValidationError("--split goes with --text") }
    if split == "" { throw ValidationError("--split needs at least one character") }
  }

  func run() throws {
    let pretrained = try model.load()
    try adapters.attach(to: pretrained.model, from: model.path)
    let (rows, source) = try documents(pretrained)
    let scores: [[Float]]
    do throws(TrainingError) {
      scores = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
        () throws(TrainingError) in try Self.score(rows, pretrained.model)
      }
    } catch {
      throw CommandError(source, error)
    }
    try report(scores)
  }

  /// The documents' token ids, and where they come from.
  private func documents(_ pretrained: PretrainedModel) throws -> ([[Int]], source: String) {
    if let ids {
      let rows = try TokenRows(ids, defaultName: "eval")
      return (rows.rows, rows.source)
    }
    let path = text ?? ""
    let texts = Self.documents(in: try readText(path), split: split)
    guard !texts.isEmpty else {
      throw FormatError(
        .invalidValue, file: path, problem: "it holds no text", remedy: "give a file with some")
    }
    let tokenizer = try pretrained.tokenizer()
    return (texts.map { tokenizer.encode($0) }, path)
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

  /// The negative log-likelihood of each scored token of each row. Neighbours of equal length go
  /// through the model together.
  private static func score(
    _ rows: [[Int]], _ model: any LanguageModel
  ) throws(TrainingError) -> [[Float]] {
    let data = try TokenDataSet(rows: rows)
    try data.check(for: model)
    var scores: [[Float]] = []
    var progress = Progress()
    while scores.count < rows.count {
      let first = scores.count
      let count = rows[first...].prefix(8).prefix { $0.count == rows[first].count }.count
      let batch = data.batch(of: Array(first..<first + count))
      let losses = model.tokenLosses(tokens: batch.tokens, targets: batch.targets)
      for row in 0..<count { scores.append(losses[row: row].scalars()) }
      if rows.count > 8 { progress.report(scores.count, of: rows.count, ["documents"]) }
    }
    progress.finish()
    return scores
  }

  private func report(_ scores: [[Float]]) throws {
    let sums = scores.map { $0.reduce(0.0) { $0 + Double($1) } }
    let tokens = scores.reduce(0) { $0 + $1.count }
    let total = Evaluation(nll: sums.reduce(0, +) / Double(tokens), tokens: tokens)
    if output.isJSON {
      let documents = zip(scores, sums).map { score, sum -> JSONValue in
        var object: JSONObject = [
          "tokens": JSONValue(score.count), "nll": .number(sum / Double(score.count)),
        ]
        if perToken { object["token_nlls"] = JSONValue(score.map { Double($0) }) }
        return .object(object)
      }
      return try StandardOutput.json([
        "documents": .array(documents), "tokens": JSONValue(tokens), "nll": .number(total.nll),
        "perplexity": .number(total.perplexity),
      ])
    }
    for (index, (score, sum)) in zip(scores, sums).enumerated() {
      let mean = sum / Double(score.count)
      try StandardOutput.line(
        "document \(index + 1): \(score.count) tokens, NLL \(decimal(mean, 6))")
      if perToken {
        try StandardOutput.line("  " + score.map { decimal(Double($0), 6) }.joined(separator: " "))
      }
    }
    try StandardOutput.line(
      "all: \(tokens) tokens, NLL \(decimal(total.nll, 6)), perplexity \(decimal(total.perplexity, 4))"
    )
  }
}
