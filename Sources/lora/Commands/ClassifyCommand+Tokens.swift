import LoRAFiles
import LoRAJSON
import LoRAKit

// Classifiers of tokens: a label for each word of the data, or for each token of a text.

extension ClassifyCommand {
  /// A document as it is classified and shown.
  private struct TaggedDocument {
    /// What gets a label.
    struct Unit {
      /// The word, or the token as the vocabulary spells it; nil where there is no tokenizer.
      var text: String?
      /// The token's id, for documents of ids.
      var id: Int?
      /// The token whose label it has; nil for a word without one.
      var position: Int?
    }

    var ids: [Int]
    var units: [Unit]
    /// The words that it was made of.
    var example: TaggedText?
  }

  /// Classifies the tokens of the documents, and prints their labels.
  func run(_ pretrained: PretrainedModel, _ classifier: any PretrainedTokenClassifier) throws {
    let documents = try taggedDocuments(pretrained)
    let found = try computing(documents.map(\.ids)) {
      try classifier.classify($0, batchSize: batch, onBatch: $1)
    }
    let scores = try scores(of: found, documents, classifier)
    if output.isJSON {
      var object: JSONObject = [
        "documents": .array(
          zip(documents, found).map { document, found in
            [
              "tokens": .array(
                document.units.map { json($0, $0.position.map { found[$0] }, classifier) })
            ]
          })
      ]
      if let scores {
        object["accuracy"] = .number(scores.accuracy)
        if let entities = scores.entities { object["f1"] = .number(entities.f1) }
      }
      return try StandardOutput.json(object)
    }
    for (index, (document, found)) in zip(documents, found).enumerated() {
      if index > 0 { try StandardOutput.line("") }
      for unit in document.units {
        try show(unit, unit.position.map { found[$0] }, classifier)
      }
    }
    guard let scores else { return }
    let f1 = scores.entities.map { ", F1 \(decimal($0.f1, 5))" } ?? ""
    try StandardOutput.line("\naccuracy \(decimal(scores.accuracy, 5))\(f1)")
  }

  // MARK: Documents

  private func taggedDocuments(_ pretrained: PretrainedModel) throws -> [TaggedDocument] {
    if let ids {
      // Ids need no tokenizer; where there is one, it says what they spell.
      let tokenizer = try? pretrained.tokenizer()
      return try TokenSequences(ids, defaultName: "eval").sequences.map { ids in
        TaggedDocument(
          ids: ids,
          units: ids.enumerated().map { place, id in
            .init(text: tokenizer?.token(of: id), id: id, position: place)
          })
      }
    }
    let examples =
      try text.map { [TaggedText(text: $0, line: 1)] }
      ?? TaggedText.read(
        data ?? "", fields: records.fields)
    let (tokenizer, longest) = (try pretrained.tokenizer(), pretrained.model.maximumPositions)
    let words = WordEncoder(tokenizer)
    return try examples.map { example in
      let file = data ?? "--text"
      switch example.content {
      case .words(let parts):
        let encoding = try words.encode(parts, limit: longest, file: file, line: example.line)
        if encoding.isCut { noteCut(line: example.line, longest) }
        return TaggedDocument(
          ids: encoding.ids,
          units: zip(parts, encoding.starts).map { .init(text: $0, id: nil, position: $1) },
          example: example)
      case .text(let text):
        let (encoding, isCut) = try tokenizer.encode(
          text, pairedWith: nil, limit: longest, file: file, line: example.line)
        if isCut { noteCut(line: example.line, longest) }
        let template = tokenizer.template
        let end = encoding.ids.count - template.after.count
        return TaggedDocument(
          ids: encoding.ids,
          units: (template.before.count..<max(template.before.count, end)).map { place in
            .init(text: tokenizer.token(of: encoding.ids[place]), id: nil, position: place)
          }, example: example)
      }
    }
  }

  // MARK: Results

  private func json(
    _ unit: TaggedDocument.Unit, _ found: Classification?, _ model: any TokenClassifier
  ) -> JSONValue {
    let label = found?.labels.first
    var object: JSONObject = ["token": unit.text.map { .string($0) } ?? .null]
    if let id = unit.id { object["id"] = JSONValue(id) }
    object["label"] = label.map { .string(model.labels[$0]) } ?? .null
    object["score"] =
      label.flatMap { label in found.map { .number($0.probabilities[label]) } } ?? .null
    if logits {
      object["logits"] = found.map { JSONValue($0.logits.map { Double($0) }) } ?? .null
    }
    return .object(object)
  }

  private func show(
    _ unit: TaggedDocument.Unit, _ found: Classification?, _ model: any TokenClassifier
  ) throws {
    let name = unit.text ?? unit.id.map { "\($0)" } ?? ""
    guard let found, let label = found.labels.first else {
      return try StandardOutput.line("\(name) without a label: it has no token")
    }
    try StandardOutput.line(
      "\(name) \(model.labels[label]) (\(decimal(found.probabilities[label], 4)))")
    if logits { try show(found.logits, of: model.labels) }
  }

  /// The share of words whose labels were found, and the scores of entities; nil where a document has no
  /// tags.
  private func scores(
    of found: [[Classification]], _ documents: [TaggedDocument], _ model: any TokenClassifier
  ) throws -> (accuracy: Double, entities: EntityScores?)? {
    let labels = LabelSet(names: model.labels)
    var (foundLabels, wantedLabels) = ([[Int]](), [[Int]]())
    for (document, found) in zip(documents, found) {
      guard let data, let example = document.example, let tags = example.tags else { return nil }
      let wanted = try labels.numbers(of: tags, file: data, line: example.line)
      // What has no token was not classified.
      let pairs = zip(document.units, wanted).compactMap { unit, wanted in
        unit.position.map { (found[$0].labels.first ?? 0, wanted) }
      }
      foundLabels.append(pairs.map { $0.0 })
      wantedLabels.append(pairs.map { $0.1 })
    }
    let pairs = zip(foundLabels.joined(), wantedLabels.joined())
    let count = wantedLabels.reduce(0) { $0 + $1.count }
    guard count > 0 else { return nil }
    return (
      Double(pairs.count { $0 == $1 }) / Double(count),
      EntityTags(model.labels).map { tags in
        EntityScores(
          found: foundLabels.map { tags.entities(in: $0) },
          wanted: wantedLabels.map { tags.entities(in: $0) })
      }
    )
  }
}
