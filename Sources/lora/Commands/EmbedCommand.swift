import ArgumentParser
import LoRAFiles
import LoRAJSON
import LoRAKit

/// `lora embed`: the vectors of texts.
struct EmbedCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "embed",
    abstract: "Make a vector of each text, close to those of texts that mean the same.",
    usage: """
      lora embed --model <path> (--text <text> | --data <file>) [--dtype <dtype>] [--text-only] \
      [--adapter <adapter[:scale]> ...] [--allow-no-effect] \
      [--allow-other-base] [--map <meaning=field,...>] [--batch <batch>] [--json]
      """,
    discussion: """
      The hidden states of a text's tokens are pooled as the files of sentence-transformers say \
      (modules.json); without these into their mean. Prints the numbers of a text on one line.

        lora embed --model ENCODER --text 'where is my parcel'
        lora embed --model ENCODER --data intents.jsonl --json
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(parsing: .unconditional, help: ArgumentHelp("The text.", valueName: "text"))
  var text: String?
  @Option(
    help: ArgumentHelp(
      "Records with a text (.jsonl, .json, .csv), or a text a line (.txt).", valueName: "file"))
  var data: String?
  @OptionGroup var records: FieldOptions
  @Option(parsing: .unconditional, help: "The number of texts that are computed together.")
  var batch = 32
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if records.map != nil, data == nil {
      throw ValidationError("--map names fields of --data; leave it out")
    }
    guard (text == nil) != (data == nil) else {
      throw ValidationError("give either --text TEXT or --data FILE")
    }
    try demand("--batch", batch, .atLeast(1))
  }

  func run() throws {
    // A classifier's adapter fits too: its head is not used.
    let pretrained = try adapters.openModel(model.path, type: model.dtype.type)
    let encoder = try SentenceEncoder(pretrained)
    try adapters.attach(to: pretrained.model, from: model.path)
    let examples =
      try text.map { [LabelledText($0, line: 1)] }
      ?? LabelledText.read(
        data ?? "", fields: records.fields)
    let tokenizer = try pretrained.tokenizer()
    for example in examples {
      guard example.second == nil else {
        throw FormatError(
          .invalidValue, file: data ?? "", subject: "line \(example.line)",
          problem: "it has two texts, and a vector is made of one",
          remedy: "give each its own record")
      }
      if encoder.encode(example.text, tokenizer: tokenizer).isCut {
        StandardError.line(
          "note: \(data ?? "--text"): line \(example.line) is longer than \(encoder.longestText) tokens, "
            + "and its end was cut")
      }
    }
    var progress = Progress()
    let vectors = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
      try encoder.embed(examples.map(\.text), tokenizer: tokenizer, batchSize: batch) { done in
        if examples.count > 4 * batch { progress.report(done, of: examples.count, ["texts"]) }
      }
    }
    progress.finish()
    let rows = examples.indices.map { vectors[row: $0].scalars(as: Float.self) }
    if output.isJSON {
      return try StandardOutput.json([
        "documents": .array(
          rows.map { ["embedding": JSONValue($0.map { Double($0) })] })
      ])
    }
    for row in rows {
      try StandardOutput.line(row.map { decimal(Double($0), 6) }.joined(separator: " "))
    }
  }
}
