import LoRAFiles
import LoRAJSON
import LoRAKit

/// The first examples of data files as a task makes them, for people and programs to look at.
struct ShownExamples {
  /// The examples.
  private(set) var examples: [ShownExample] = []
  /// How many there are in all files.
  private(set) var total = 0
}

/// An example as a model sees it, and what of it is learned.
struct ShownExample {
  /// A piece of what is shown.
  enum Piece {
    /// What the model is given, or a word of this program's.
    case given(String)
    /// What it is to learn.
    case learned(String)
  }

  /// Its file and line.
  let place: String
  /// How many tokens it has.
  let length: String
  let pieces: [Piece]
  let json: JSONObject
}

extension ShownExamples {
  /// The first `rows` of each of the files of `input`, as `task` makes them.
  init(_ task: TaskArgument, _ input: TaskInput, rows: Int) throws {
    switch task {
    case .text: try addTexts(input, rows)
    case .classification: try addClassified(input, rows)
    case .tokenClassification: try addTagged(input, rows)
    case .embedding: try addEmbedded(input, rows)
    case .preference: try addPreferences(input, rows)
    }
  }

  /// Adds what `make` makes of the first examples of each file, those left out that training leaves out.
  private mutating func add<Example>(
    _ rows: Int, of parts: [DataPart<Example>], line: KeyPath<Example, Int>,
    _ make: (_ example: DataPart<Example>, _ place: String) throws -> ShownExample
  ) throws {
    for part in parts {
      total += part.examples.count
      var left = rows
      for example in part.examples where left > 0 {
        let place = "line \(example[keyPath: line])"
        do {
          examples.append(
            try make(
              DataPart(source: part.source, examples: [example]), "\(part.source), \(place)"))
          left -= 1
        } catch TrainingError.emptyData {
          StandardError.line("note: \(part.source): \(place) is left out")
        }
      }
    }
  }

  // MARK: - The next token

  private mutating func addTexts(_ input: TaskInput, _ rows: Int) throws {
    let pretrained = try input.model.load()
    let data = try input.examples.reader(for: pretrained)
      .readTelling(input.data, split: nil, tensor: "train").training
    let tokenizer = try? pretrained.tokenizer()
    total = data.exampleCount
    examples = data.firstExamples(rows).map { index in
      let example = data[index]
      let learned = example.targets.count { $0 >= 0 }
      return ShownExample(
        place: data.place(of: index),
        length: "\(counted(example.tokens.count + 1, "token")), \(learned) learned",
        pieces: ShownExample.pieces(example, tokenizer),
        json: ShownExample.json(example, tokenizer))
    }
  }

  // MARK: - Labels

  private mutating func addClassified(_ input: TaskInput, _ rows: Int) throws {
    let fields = input.examples.records.fields
    let texts = try input.examples { try LabelledText.read($0, fields: fields) }.training
    let classifier = try OpenedClassifier(input, kind: .sequences) { try LabelSet(of: texts) }
    let tokenizer = classifier.tokenizer
    try add(rows, of: texts, line: \.line) { part, place in
      let example = try classifier.dataSet(part).examples[0]
      let names = example.labels.map { classifier.labels.names[$0] }
      let text = tokenizer.decode(example.tokens, skipSpecialTokens: false)
      return ShownExample(
        place: place,
        length: counted(example.tokens.count, "token"),
        pieces: [
          .given(text + "\nlabel\(names.count == 1 ? "" : "s"): "),
          .learned(names.joined(separator: ", ")),
        ],
        json: [
          "ids": JSONValue(example.tokens), "labels": .array(names.map { .string($0) }),
          "text": .string(text),
        ])
    }
  }

  private mutating func addTagged(_ input: TaskInput, _ rows: Int) throws {
    let fields = input.examples.records.fields
    let texts = try input.examples { try TaggedText.read($0, fields: fields) }.training
    let classifier = try OpenedClassifier(input, kind: .tokens) { try LabelSet(of: texts) }
    let tokenizer = classifier.tokenizer
    try add(rows, of: texts, line: \.line) { part, place in
      let example = try classifier.dataSet(part).examples[0]
      let tokens = example.tokens.map { tokenizer.token(of: $0) ?? "\($0)" }
      let names = example.labels.map { $0 >= 0 ? classifier.labels.names[$0] : nil }
      var pieces: [ShownExample.Piece] = []
      for (token, name) in zip(tokens, names) {
        pieces.append(.given((pieces.isEmpty ? "" : "\n") + token + (name == nil ? "" : " ")))
        if let name { pieces.append(.learned(name)) }
      }
      return ShownExample(
        place: place,
        length: "\(counted(tokens.count, "token")), \(names.count { $0 != nil }) learned",
        pieces: pieces,
        json: [
          "ids": JSONValue(example.tokens), "targets": JSONValue(example.labels),
          "labels": .array(names.map { $0.map(JSONValue.string) ?? .null }),
          "text": .string(tokenizer.decode(example.tokens, skipSpecialTokens: false)),
        ])
    }
  }

  // MARK: - Vectors

  private mutating func addEmbedded(_ input: TaskInput, _ rows: Int) throws {
    let pretrained = try input.model.load()
    let encoder = try EmbeddingTask.encoder(pretrained, input)
    let tokenizer = try pretrained.tokenizer()
    let fields = input.examples.records.fields
    let texts = try input.examples { try LabelledText.read($0, fields: fields) }.training
    let arePairs = texts.allSatisfy { $0.examples.allSatisfy { $0.second != nil } }
    // What can't be labelled is refused, as in training.
    if !arePairs { _ = try EmbeddingTask.labels(of: texts) }
    func encoded(_ text: String) -> (ids: [Int], text: String) {
      let ids = encoder.encode(text, tokenizer: tokenizer).encoding.ids
      return (ids, tokenizer.decode(ids, skipSpecialTokens: false))
    }
    try add(rows, of: texts, line: \.line) { part, place in
      let example = part.examples[0]
      let first = encoded(example.text)
      var json: JSONObject = ["ids": JSONValue(first.ids), "text": .string(first.text)]
      var (pieces, count) = ([ShownExample.Piece.given(first.text)], first.ids.count)
      if let second = example.second.map(encoded) {
        count += second.ids.count
        pieces += [.given("\nclose to: "), .learned(second.text)]
        json["second"] = ["ids": JSONValue(second.ids), "text": .string(second.text)]
      } else {
        let label =
          switch example.labels?.first {
          case .name(let name): name
          case .number(let number): "\(number)"
          case nil: ""
          }
        pieces += [.given("\nclose to others of: "), .learned(label)]
        json["label"] = .string(label)
      }
      return ShownExample(
        place: place, length: counted(count, "token"), pieces: pieces, json: json)
    }
  }

  // MARK: - Preferences

  private mutating func addPreferences(_ input: TaskInput, _ rows: Int) throws {
    let fields = input.examples.records.fields
    let texts = try input.examples { try PreferenceText.read($0, fields: fields) }.training
    let pretrained = try input.model.load()
    let tokenizer = try pretrained.tokenizer()
    lazy var format = Result { try PreferenceTask.format(input, pretrained) }
    try add(rows, of: texts, line: \.line) { part, place in
      let example = try PreferenceTask.dataSet(
        part, input, longest: input.examples.longest(for: pretrained.model), tokenizer
      ) { try format.get() }.examples[0]
      let prompt = tokenizer.decode(example.prompt, skipSpecialTokens: false)
      var json: JSONObject = [:]
      var (pieces, count) = ([ShownExample.Piece.given(prompt)], 0)
      for (name, completion) in [("chosen", example.chosen), ("rejected", example.rejected)] {
        guard let completion else { continue }
        let row = TrainingExample(
          sequence: example.prompt + completion, promptLength: example.prompt.count)
        count += row.tokens.count + 1
        pieces += [
          .given("\n\(name): "),
          .learned(tokenizer.decode(completion, skipSpecialTokens: false)),
        ]
        json[name] = .object(ShownExample.json(row, tokenizer))
      }
      return ShownExample(
        place: place, length: counted(count, "token"), pieces: pieces, json: json)
    }
  }
}

extension ShownExample {
  /// The text of an example cut where what is learned begins and ends, or its ids where there is no tokenizer.
  fileprivate static func pieces(
    _ example: TrainingExample, _ tokenizer: (any Tokenizer)?
  ) -> [Piece] {
    let sequence = example.sequence
    let isLearned = [false] + example.targets.map { $0 >= 0 }
    var pieces: [Piece] = []
    var start = 0
    while start < sequence.count {
      let end =
        sequence.indices[start...].first { isLearned[$0] != isLearned[start] } ?? sequence.count
      let part = Array(sequence[start..<end])
      let text =
        tokenizer?.decode(part, skipSpecialTokens: false) ?? part.map { "\($0) " }.joined()
      pieces.append(isLearned[start] ? .learned(text) : .given(text))
      start = end
    }
    return pieces
  }

  /// Its ids, the token after each where that is learned and else -100, and its text.
  fileprivate static func json(
    _ example: TrainingExample, _ tokenizer: (any Tokenizer)?
  ) -> JSONObject {
    var row: JSONObject = [
      "ids": JSONValue(example.tokens), "targets": JSONValue(example.targets),
    ]
    row["text"] = tokenizer.map {
      .string($0.decode(example.sequence, skipSpecialTokens: false))
    }
    return row
  }
}
