import ArgumentParser
import LoRAFiles
import LoRAFormats
import LoRAJSON
import LoRAKit

/// `lora classify`: the labels of texts, or of their words.
struct ClassifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract:
      "Give texts, or their words, their labels, with a classifier or an adapter that brings its head.",
    usage: """
      lora classify --model <path> (--text <text> | --data <file> | --ids <file[#name]>) \
      [--dtype <dtype>] [--text-only] [--adapter <adapter[:scale]> ...] [--allow-no-effect] \
      [--allow-other-base] [--map <meaning=field,...>] [--batch <batch>] \
      [--logits] [--json]
      """,
    discussion: """
      Prints each text's likeliest label and its probability; where a text may have several, all that \
      are likelier than not. The labels' names come from the model's config.json, or from the one beside \
      the adapter. Where the examples of --data have labels, the accuracy follows.

      A classifier of tokens (--task token-classification) gives a label to each word of --data ("tokens"), \
      or to each token of a text, as the vocabulary spells it. Where words have tags, the accuracy follows, \
      and for tags of entities (B-PER, I-PER, O) the F1 of whole entities. --json prints \
      {"documents": [{"tokens": [{"token": "Ada", "label": "B-PER", "score": 0.98}]}]}.

        lora classify --model ENCODER --adapter intents --text 'where is my parcel'
        lora classify --model ENCODER --adapter names --data names.jsonl
        lora classify --model ENCODER --adapter intents --data intents.jsonl --json
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var adapters: AdapterOptions
  @Option(parsing: .unconditional, help: ArgumentHelp("The text.", valueName: "text"))
  var text: String?
  @Option(
    help: ArgumentHelp(
      "Records with text and, for pairs, text_pair (.jsonl, .json, .csv), or a text a line (.txt). For a "
        + "classifier of tokens records with tokens or a text, or a word a line (.conll, .txt).",
      valueName: "file"))
  var data: String?
  @Option(
    help: ArgumentHelp(
      "Token sequences, special tokens included: a JSON file [[id, ...], ...], or a .safetensors file, of "
        + "which FILE#name picks a tensor; without it 'eval' is read.", valueName: "file[#name]"))
  var ids: String?
  @OptionGroup var records: FieldOptions
  @Option(parsing: .unconditional, help: "The number of texts that are computed together.")
  var batch = 32
  @Flag(help: "Also print the logits of all labels.")
  var logits = false
  @OptionGroup var output: OutputOptions

  func validate() throws {
    if records.map != nil, data == nil {
      throw ValidationError("--map names fields of --data; leave it out")
    }
    guard [text, data, ids].filter({ $0 != nil }).count == 1 else {
      throw ValidationError("give one of --text TEXT, --data FILE and --ids FILE")
    }
    try demand("--batch", batch, .atLeast(1))
  }

  func run() throws {
    let pretrained = try adapters.openModel(model.path, type: model.dtype.type)
    if let classifier = pretrained.model as? any PretrainedTokenClassifier {
      try adapters.attach(to: classifier, from: model.path)
      return try run(pretrained, classifier)
    }
    let classifier = try pretrained.sequenceClassifier
    try adapters.attach(to: classifier, from: model.path)
    let (sequences, types, texts) = try documents(pretrained)
    let found = try computing(sequences) {
      try classifier.classify($0, types: types, batchSize: batch, onBatch: $1)
    }
    try report(found, classifier, texts)
  }

  /// What `classify` makes of `sequences`, in the precision that is asked for and with a progress bar.
  func computing<Result>(
    _ sequences: [[Int]],
    _ classify: (_ sequences: [[Int]], _ onBatch: (Int) -> Void) throws -> Result
  ) throws -> Result {
    var progress = Progress()
    let found = try ProductPrecision.withValue(model.dtype.precision(otherwise: .float32)) {
      try classify(sequences) { done in
        if sequences.count > 4 * batch { progress.report(done, of: sequences.count, ["texts"]) }
      }
    }
    progress.finish()
    return found
  }

  /// Says that a document was cut.
  func noteCut(line: Int, _ longest: Int) {
    StandardError.line(
      "note: \(data ?? "--text"): line \(line) is longer than the model's \(longest) positions, "
        + "and its end was cut")
  }

  /// Prints a logit a line.
  func show(_ logits: [Float], of labels: [String]) throws {
    for (label, logit) in zip(labels, logits) {
      try StandardOutput.line("  \(label) \(decimal(Double(logit), 6))")
    }
  }

  /// The tokens of the documents, their types, and the examples that they come from.
  private func documents(
    _ pretrained: PretrainedModel
  ) throws -> (ids: [[Int]], types: [[Int]]?, texts: [LabelledText]) {
    if let ids {
      let sequences = try TokenSequences(ids, defaultName: "eval")
      return (sequences.sequences, nil, [])
    }
    let texts =
      try text.map { [LabelledText($0, line: 1)] }
      ?? LabelledText.read(
        data ?? "", fields: records.fields)
    let (tokenizer, longest) = (try pretrained.tokenizer(), pretrained.model.maximumPositions)
    let encodings = try texts.map {
      try tokenizer.encode(
        $0.text, pairedWith: $0.second, limit: longest, file: data ?? "--text", line: $0.line)
    }
    for (text, encoding) in zip(texts, encodings) where encoding.isCut {
      noteCut(line: text.line, longest)
    }
    let hasTypes = encodings.contains { $0.encoding.types.contains { $0 != 0 } }
    return (
      encodings.map(\.encoding.ids), hasTypes ? encodings.map(\.encoding.types) : nil, texts
    )
  }

  private func report(
    _ found: [Classification], _ model: any PretrainedSequenceClassifier, _ texts: [LabelledText]
  ) throws {
    let accuracy = try accuracy(of: found, model, texts)
    if output.isJSON {
      let documents = found.map { found -> JSONValue in
        var object: JSONObject = [:]
        if model.isMultiLabel {
          object["labels"] = JSONValue(found.labels.map { model.labels[$0] })
          object["scores"] = JSONValue(found.labels.map { found.probabilities[$0] })
        } else if let label = found.labels.first {
          object["label"] = .string(model.labels[label])
          object["score"] = .number(found.probabilities[label])
        }
        if logits { object["logits"] = JSONValue(found.logits.map { Double($0) }) }
        return .object(object)
      }
      var object: JSONObject = ["documents": .array(documents)]
      if let accuracy { object["accuracy"] = .number(accuracy) }
      return try StandardOutput.json(object)
    }
    for (index, found) in found.enumerated() {
      let labels = found.labels.map {
        "\(model.labels[$0]) (\(decimal(found.probabilities[$0], 4)))"
      }
      let place = text == nil ? "\(index + 1): " : ""
      try StandardOutput.line(place + (labels.isEmpty ? "none" : labels.joined(separator: ", ")))
      if logits { try show(found.logits, of: model.labels) }
    }
    if let accuracy { try StandardOutput.line("accuracy \(decimal(accuracy, 5))") }
  }

  /// The share of the examples whose labels were found; nil where some have none.
  private func accuracy(
    of found: [Classification], _ model: any PretrainedSequenceClassifier, _ texts: [LabelledText]
  ) throws -> Double? {
    guard let data, texts.allSatisfy({ $0.labels != nil }) else { return nil }
    let labels = LabelSet(names: model.labels, isMultiLabel: model.isMultiLabel)
    var right = 0
    for (found, text) in zip(found, texts)
    where Set(found.labels) == Set(try labels.numbers(of: text, file: data)) { right += 1 }
    return Double(right) / Double(texts.count)
  }
}
