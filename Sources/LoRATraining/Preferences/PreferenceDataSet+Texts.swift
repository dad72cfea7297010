import LoRAFiles
public import LoRAText

extension PreferenceDataSet {
  /// A data set of texts, each completion followed by the tokenizer's end of sequence, and what became of
  /// those that are too long, a sentence each.
  ///
  /// ```swift
  /// let texts = try PreferenceText.read("preferences.jsonl")
  /// let (data, notes) = try PreferenceDataSet.encoding(texts, tokenizer: tokenizer, longest: 512)
  /// ```
  ///
  /// - Parameters:
  ///   - texts: the examples.
  ///   - tokenizer: the model's tokenizer.
  ///   - longest: the most positions of a row, one less than the tokens of prompt and completion.
  ///   - longExamples: what to do with a longer one. Cut, the prompt loses its beginning, the same of it
  ///     for both completions, and a completion its end only if it is too long by itself; it can't be
  ///     split.
  ///   - source: the name of the data in errors, such as its file's name.
  ///
  /// Throws `FormatError` for an example that is too long where none may be, and ``TrainingError``.
  public static func encoding(
    _ texts: [PreferenceText], tokenizer: any Tokenizer, longest: Int,
    longExamples: LongExamples = .truncate, source: String = "the preferences"
  ) throws -> (data: PreferenceDataSet, notes: [String]) {
    guard longest >= 1 else {
      throw TrainingError.invalidOption(
        name: "the sequence length", value: "\(longest)", expected: "at least 1")
    }
    var long = try LongExampleTally(longExamples, limit: longest, source: source)
    var examples: [Example] = []
    for text in texts {
      // Each completion says where the prompt ends in it.
      let encodings = [text.chosen, text.rejected].map { completion in
        completion.map { tokenizer.encode(prompt: text.prompt, completion: $0) }
      }
      guard let first = encodings.compactMap({ $0 }).first else { continue }
      var prompt = Array(first.ids.prefix(first.promptLength))
      var completions = encodings.map { $0.map { Array($0.ids.dropFirst($0.promptLength)) } }
      let room = longest + 1
      let most = completions.reduce(0) { max($0, $1?.count ?? 0) }
      if prompt.count + most > room {
        guard try long.keeps(line: text.line) else { continue }
        let opening = min(tokenizer.template.before.count, max(0, prompt.count - 1))
        let kept = min(prompt.count, max(room - most, min(opening + 1, room - 1)))
        let tail = max(0, kept - opening)
        prompt = Array(prompt.prefix(kept - tail) + prompt.suffix(tail))
        completions = completions.map { $0.map { Array($0.prefix(room - prompt.count)) } }
      }
      examples.append(
        Example(prompt: prompt, chosen: completions[0], rejected: completions[1]))
    }
    return (try PreferenceDataSet(examples, source: source), long.notes)
  }
}
