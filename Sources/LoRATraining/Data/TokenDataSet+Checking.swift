public import LoRAModels

extension TokenDataSet {
  /// Throws ``TrainingError`` if an example is longer than `model` allows or has an id outside the
  /// vocabulary. Trainer and evaluation call it.
  public func check(for model: any LanguageModel) throws(TrainingError) {
    try check(for: model, ignoringLength: false)
  }

  func check(for model: any LanguageModel, ignoringLength: Bool) throws(TrainingError) {
    let (limit, vocabulary) = (model.maximumPositions, model.vocabularySize)
    if let start = model.targetStart { try checkSources(start) }
    if !ignoringLength, longestExample > limit,
      let long = spans.firstIndex(where: { $0.length > limit })
    {
      throw .exampleTooLong(example: long, length: spans[long].length, limit: limit)
    }
    guard
      tokens.least < 0 || max(tokens.greatest, targets.greatest) >= vocabulary
    else { return }
    for index in spans.indices {
      let example = self[index]
      if let position = example.tokens.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
        throw .tokenOutOfVocabulary(
          id: example.tokens[position], example: index, position: position, vocabulary: vocabulary)
      }
      if let position = example.targets.firstIndex(where: { $0 >= vocabulary }) {
        throw .tokenOutOfVocabulary(
          id: example.targets[position], example: index, position: position + 1,
          vocabulary: vocabulary)
      }
    }
  }
}

extension TokenDataSet {
  /// Throws unless every example is a source, `start` and a target, of which the target alone is learned.
  private func checkSources(_ start: Int) throws(TrainingError) {
    for (index, span) in spans.enumerated() {
      guard let place = targetStart(of: span, start), place > 0 else {
        throw .noSource(example: index, start: start)
      }
      let first = span.targets.map { first in
        (0..<span.length).first { targets[first + $0] >= 0 } ?? span.length
      }
      guard first ?? max(0, span.given - 1) >= place else { throw .learnedSource(example: index) }
    }
  }

  /// The longest source and the longest target, which `start` begins.
  func longestParts(start: Int) -> (source: Int, target: Int) {
    spans.reduce((0, 0)) { longest, span in
      let source = targetStart(of: span, start) ?? 0
      return (max(longest.0, source), max(longest.1, span.length - source))
    }
  }

  /// Where in an example `start` comes first.
  func targetStart(of span: Span, _ start: Int) -> Int? {
    (0..<span.length).first { Int(tokens[span.start + $0]) == start }
  }
}
