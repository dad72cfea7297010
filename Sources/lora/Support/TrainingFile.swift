import LoRAFormats
import LoRAJSON
import LoRAKit

/// Training data in any of the forms that `lora train` reads.
///
/// - Token files, `.json` and `.safetensors`: rows as they are.
/// - `.txt`: encoded as one document and cut into rows.
/// - `.jsonl`: an object a line, `{"text"}`, or `{"prompt", "completion"}` of which the completion
///   is learned. A document ends with the tokenizer's end-of-sequence token, if it has one.
struct TrainingFile {
  let model: PretrainedModel
  /// The most tokens in a row of text.
  let length: Int
  private let tokenizer: BytePairTokenizer?

  /// Prepares reading of `files` for `model`; the tokenizer is read only if one of them is text.
  init(_ files: [String], model: PretrainedModel, sequenceLength: Int?) throws {
    self.model = model
    let limit = model.model.maximumPositions
    length = sequenceLength ?? min(512, limit)
    if length > limit + 1 {
      throw CommandError(
        "--sequence-length \(length): the model's limit is \(limit) positions; give at most that")
    }
    tokenizer =
      files.contains { $0.hasSuffix(".txt") || $0.hasSuffix(".jsonl") }
      ? try model.tokenizer() : nil
  }

  /// Reads the data that `specification` names, `FILE` or `FILE#name`, and checks it against the
  /// model.
  func read(_ specification: String, tensor: String) throws -> TokenDataSet {
    if specification.hasSuffix(".txt") { return try checked(text(specification), specification) }
    if specification.hasSuffix(".jsonl") { return try checked(lines(specification), specification) }
    let rows = try TokenRows(specification, defaultName: tensor)
    return try checked(rows.rows.map { TrainingExample(row: $0) }, rows.source)
  }

  /// The tensor `eval` of the token file of `specification`, if it has one.
  func evaluationRows(in specification: String) throws -> TokenDataSet? {
    guard let rows = try TokenRows.ifPresent("eval", in: specification) else { return nil }
    return try checked(rows.rows.map { TrainingExample(row: $0) }, rows.source)
  }

  private func checked(_ examples: [TrainingExample], _ source: String) throws -> TokenDataSet {
    if examples.isEmpty { throw TrainingError.emptyData(source: source) }
    do throws(TrainingError) {
      let data = try TokenDataSet(examples: examples, source: source)
      try data.check(for: model.model)
      return data
    } catch {
      throw CommandError(source, error)
    }
  }

  private func text(_ path: String) throws -> [TrainingExample] {
    let text = try readText(path)
    if text.allSatisfy(\.isWhitespace) { throw TrainingError.emptyData(source: path) }
    let ids = tokenizer?.encode(text) ?? []
    return stride(from: 0, to: ids.count, by: length).compactMap { start in
      let row = ids[start..<min(start + length, ids.count)]
      return row.count > 1 ? TrainingExample(row: Array(row)) : nil
    }
  }

  private func lines(_ path: String) throws -> [TrainingExample] {
    var (cut, dropped) = (0, 0)
    var examples: [TrainingExample] = []
    let lines = try FileSystem.read(path).split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      // An empty line, or the white space of other systems' line ends.
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let (row, promptLength) = try document(line, "line \(index + 1)", path)
      let example = TrainingExample(row: Array(row.prefix(length)), promptLength: promptLength)
      if row.count > length { cut += 1 }
      if example.targetCount == 0 { dropped += 1 } else { examples.append(example) }
    }
    if cut > 0 {
      StandardError.warning("\(path): \(cut) examples were cut to \(length) tokens")
    }
    if dropped > 0 {
      StandardError.warning("\(path): \(dropped) examples leave nothing to learn and were left out")
    }
    return examples
  }

  /// The tokens of one line's object, and how many of them are given rather than learned.
  private func document(
    _ line: ArraySlice<UInt8>, _ place: String, _ path: String
  ) throws(FormatError) -> ([Int], promptLength: Int) {
    let value: JSONValue
    do throws(JSONError) {
      value = try JSONValue(parsing: line)
    } catch {
      throw FormatError(
        .malformed, file: path, subject: place, problem: "it is not JSON: \(error.message)")
    }
    let (prompt, completion) = (value["prompt"]?.stringValue, value["completion"]?.stringValue)
    guard let tokenizer, let text = value["text"]?.stringValue ?? completion,
      value["text"] != nil || prompt != nil
    else {
      throw FormatError(
        .typeMismatch, file: path, subject: place,
        problem: "expected {\"text\": ...} or {\"prompt\": ..., \"completion\": ...}, strings",
        remedy: "rename the fields")
    }
    let given = value["text"] == nil ? prompt ?? "" : ""
    var ids = tokenizer.encode(given + text)
    // The completion begins with the first token that the prompt alone would not have.
    var promptLength = 0
    if !given.isEmpty {
      promptLength = zip(ids, tokenizer.encode(given)).prefix { $0 == $1 }.count
    }
    if let end = tokenizer.endOfSequence ?? model.generation.eosTokenIDs.first, ids.last != end {
      ids.append(end)
    }
    return (ids, promptLength)
  }
}
