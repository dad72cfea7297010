package import LoRAFiles
package import LoRAJSON

/// A text in words, each with a tag, as a file of examples has it.
///
/// ```json
/// {"tokens": ["Ada", "lives", "in", "London"], "tags": ["B-PER", "O", "O", "B-LOC"]}
/// {"tokens": ["Ada", "lives", "in", "London"]}
/// {"text": "Ada lives in London"}
/// ```
public struct TaggedText: Sendable, Hashable {
  /// What is given of the text.
  public enum Content: Sendable, Hashable {
    /// Its words.
    case words([String])
    /// The text, which a tokenizer alone divides.
    case text(String)
  }

  /// The words, or the text.
  public var content: Content
  /// The tag of each word; nil where the file says nothing of them.
  public var tags: [LabelledText.Label]?
  /// The line of the file on which the example begins, from 1.
  public var line: Int

  /// Creates an example of words.
  public init(_ words: [String], tags: [LabelledText.Label]? = nil, line: Int = 0) {
    (self.content, self.tags, self.line) = (.words(words), tags, line)
  }

  /// Creates an example of a text.
  public init(text: String, line: Int = 0) {
    (content, tags, self.line) = (.text(text), nil, line)
  }
}

extension TaggedText {
  /// Reads the examples of the file at `path`: JSON lines or a JSON list, or lines of a word and its tag
  /// each, as of the CoNLL shared tasks.
  ///
  /// Records have the words under `tokens` or `words`, the tags under `tags`, `ner_tags` or `labels`; other
  /// fields are metadata. A tag is a name, or a number of a model's labels. Lines have the word first and the
  /// tag last, with spaces or tabs between them; an empty line ends a sentence.
  ///
  /// Fields of other names are told by `fields`. Throws `FormatError` with the line of the problem, and
  /// ``TrainingError`` for a map of fields that such records don't have.
  public static func read(
    _ path: String, fields: FieldMap = FieldMap()
  ) throws -> [TaggedText] {
    try fields.demand([.tokens, .tags, .text], of: "words with tags")
    let file = try DataFile(path, fields: fields)
    var result: [TaggedText] = []
    switch file.format {
    case .jsonLines, .json:
      try file.forEachObject { result.append(try example($0, file: path, line: $1, fields)) }
    case .text where !fields.names.isEmpty:
      throw FormatError(
        .unsupported, file: path, problem: "its lines have no fields that a map could name",
        remedy: "leave out the map")
    case .text: result = try sentences(of: path)
    case .csv:
      throw FormatError(
        .unsupported, file: path, problem: "a table has no lists of words",
        remedy:
          "write {\"tokens\": [...], \"tags\": [...]} a line (.jsonl), or a word and its tag a line "
          + "(.conll)")
    case .safetensors:
      throw FormatError(
        .unsupported, file: path, problem: "token ids have no tags",
        remedy: "give words: {\"tokens\": [...], \"tags\": [...]}, one a line")
    }
    guard !result.isEmpty else {
      throw FormatError(.invalidValue, file: path, problem: "it holds no examples")
    }
    return result
  }

  /// The words and their tags. Throws where one of them is missing.
  func tagged(
    _ file: String
  ) throws(FormatError) -> (words: [String], tags: [LabelledText.Label]) {
    guard case .words(let words) = content else {
      throw LabelledText.error(
        file, line, "it is a text without 'tokens'", "give its words, and a tag for each")
    }
    guard let tags else {
      throw LabelledText.error(file, line, "it has no 'tags'", "give each token one")
    }
    return (words, tags)
  }

  // MARK: Records

  /// Whether an object has words.
  package static func areWords(in object: JSONObject) -> Bool {
    [object["tokens"], object["words"]].contains { value in
      value?.arrayValue.map { $0.first?.stringValue != nil } ?? false
    }
  }

  package static func example(
    _ value: JSONValue, file: String, line: Int, _ fields: FieldMap
  ) throws(FormatError) -> TaggedText {
    guard let object = value.objectValue else {
      throw LabelledText.error(
        file, line, "expected {\"tokens\": [...], \"tags\": [...]}, found \(value.kind)",
        "write an object a line")
    }
    // What is mapped is meant, whatever else is there.
    let words = try list(
      fields.names[.tokens] == nil ? ["tokens", "words"] : ["tokens"], of: object, file, line)
    let tags = try list(
      fields.names[.tags] == nil ? ["tags", "ner_tags", "labels"] : ["tags"], of: object, file,
      line)
    guard let words else {
      guard let text = object["text"]?.stringValue, tags == nil else {
        throw LabelledText.error(
          file, line,
          "expected the field 'tokens'; found "
            + (object.isEmpty ? "none" : object.keys.map { "'\($0)'" }.joined(separator: ", ")),
          "rename the fields (tokens, tags), or say which is which: --map tokens=FIELD,tags=FIELD")
      }
      return TaggedText(text: text, line: line)
    }
    var result = TaggedText([], line: line)
    var texts: [String] = []
    for word in words.elements {
      guard let text = word.stringValue else {
        throw LabelledText.error(
          file, line, "expected strings in '\(words.name)', found \(word.kind)", "")
      }
      texts.append(text)
    }
    guard !texts.isEmpty else {
      throw LabelledText.error(file, line, "'\(words.name)' is empty", "leave the record out")
    }
    result.content = .words(texts)
    guard let tags else { return result }
    guard tags.elements.count == texts.count else {
      throw LabelledText.error(
        file, line,
        "'\(words.name)' has \(texts.count) elements, and '\(tags.name)' has \(tags.elements.count)",
        "give each token one tag")
    }
    var labels: [LabelledText.Label] = []
    for tag in tags.elements {
      labels.append(try LabelledText.label(tag, file, line, field: tags.name))
    }
    result.tags = labels
    return result
  }

  /// The list that stands under one of `names`; nil for none. Throws where it stands under several.
  private static func list(
    _ names: [String], of object: JSONObject, _ file: String, _ line: Int
  ) throws(FormatError) -> (name: String, elements: [JSONValue])? {
    let found = names.filter { object[$0] != nil && object[$0] != .null }
    guard let name = found.first else { return nil }
    guard found.count == 1 else {
      throw LabelledText.error(
        file, line, "both '\(found[0])' and '\(found[1])' are there", "keep the one that is meant")
    }
    guard let elements = object[name]?.arrayValue else {
      throw LabelledText.error(
        file, line, "expected a list as '\(name)', found \(object[name]?.kind ?? "nothing")",
        "give one element a word")
    }
    return (name, elements)
  }

  // MARK: A word a line

  private static func sentences(of path: String) throws -> [TaggedText] {
    let reader = try ByteReader(path: path)
    var result: [TaggedText] = []
    var (bytes, line) = ([UInt8](), reader.line)
    var (words, tags, start) = ([String](), [LabelledText.Label](), 0)
    /// The first line of words and its number of columns, which is that of all.
    var first: (line: Int, columns: Int)?
    func endSentence() {
      guard !words.isEmpty else { return }
      result.append(TaggedText(words, tags: tags.isEmpty ? nil : tags, line: start))
      (words, tags) = ([], [])
    }
    while try reader.nextLine(into: &bytes) {
      defer { line = reader.line }
      let columns = String(decoding: bytes, as: UTF8.self)
        .split(whereSeparator: { $0 == " " || $0 == "\t" })
      guard let word = columns.first, word != "-DOCSTART-" else {
        endSentence()
        continue
      }
      if let first, first.columns != columns.count {
        throw LabelledText.error(
          path, line,
          "expected as many columns as on line \(first.line), \(first.columns); found "
            + "\(columns.count)",
          "give a word and its tag a line, and an empty line behind a sentence; texts stand in records "
            + "({\"text\": ...}, .jsonl)")
      }
      first = first ?? (line, columns.count)
      if words.isEmpty { start = line }
      words.append(String(word))
      if columns.count > 1 { tags.append(.name(String(columns[columns.count - 1]))) }
    }
    endSentence()
    return result
  }
}
