import LoRAFormats
import LoRAJSON
import LoRAKit

/// Training data in any of the forms that `lora train` reads.
///
/// - Token files, `.json` and `.safetensors`: rows as they are.
/// - `.txt`: one document, cut into rows.
/// - `.jsonl`: an object a line, `{"text"}`, or `{"prompt", "completion"}` of which the completion
///   is learned; one row each.
struct TrainingFile {
  let model: PretrainedModel
  /// The most positions of a row of text.
  let length: Int
  let tokenizer: BytePairTokenizer?

  /// Prepares reading of `files` for `model`; the tokenizer is read only if one of them is text.
  init(_ files: [String], model: PretrainedModel, sequenceLength: Int?) throws {
    self.model = model
    let limit = model.model.maximumPositions
    length = sequenceLength ?? min(512, limit)
    if length > limit {
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
    if let tokenizer, specification.hasSuffix(".txt") {
      let text = try readText(specification)
      if text.allSatisfy(\.isWhitespace) { throw TrainingError.emptyData(source: specification) }
      return try checked(specification) { () throws(TrainingError) in
        try TokenDataSet(
          texts: [text], tokenizer: tokenizer, sequenceLength: length, source: specification)
      }
    }
    if let tokenizer, specification.hasSuffix(".jsonl") {
      return try lines(specification, tokenizer)
    }
    return try checked(try TokenRows(specification, defaultName: tensor))
  }

  /// The tensor `eval` of the token file of `specification`, if it has one.
  func evaluationRows(in specification: String) throws -> TokenDataSet? {
    try TokenRows.ifPresent("eval", in: specification).map { try checked($0) }
  }

  private func checked(_ rows: TokenRows) throws -> TokenDataSet {
    try checked(rows.source) { () throws(TrainingError) in
      try TokenDataSet(rows: rows.rows, source: rows.source)
    }
  }

  /// What `make` makes, checked against the model; errors name the file.
  private func checked(
    _ source: String, _ make: () throws(TrainingError) -> TokenDataSet
  ) throws -> TokenDataSet {
    do throws(TrainingError) {
      let data = try make()
      try data.check(for: model.model)
      return data
    } catch {
      if case .emptyData = error { throw error }
      throw CommandError(source, error)
    }
  }

  /// The objects of a `.jsonl` file, all of one form.
  private func lines(_ path: String, _ tokenizer: BytePairTokenizer) throws -> TokenDataSet {
    var texts: [String] = []
    var pairs: [PromptCompletion] = []
    let lines = try FileSystem.read(path).split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      // An empty line, or the white space of other systems' line ends.
      if line.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
      let place = "line \(index + 1)"
      let value: JSONValue
      do throws(JSONError) {
        value = try JSONValue(parsing: line)
      } catch {
        throw FormatError(
          .malformed, file: path, subject: place, problem: "it is not JSON: \(error.message)")
      }
      if let text = value["text"]?.stringValue, pairs.isEmpty {
        texts.append(text)
      } else if let prompt = value["prompt"]?.stringValue,
        let completion = value["completion"]?.stringValue, texts.isEmpty
      {
        pairs.append(PromptCompletion(prompt: prompt, completion: completion))
      } else {
        throw FormatError(
          .typeMismatch, file: path, subject: place,
          problem: "expected {\"text\": ...} or {\"prompt\": ..., \"completion\": ...}, strings, "
            + "and the same on every line",
          remedy: "rename the fields")
      }
    }
    return try checked(path) { () throws(TrainingError) in
      if pairs.isEmpty {
        return try TokenDataSet(
          texts: texts, tokenizer: tokenizer, sequenceLength: length, packing: .separate,
          source: path)
      }
      return try TokenDataSet(
        pairs: pairs, tokenizer: tokenizer, sequenceLength: length, source: path)
    }
  }
}
