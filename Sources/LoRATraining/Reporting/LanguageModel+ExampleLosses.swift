public import LoRAModels
public import LoRAText

extension LanguageModel {
  /// The losses of some examples of `data`, evenly spread over it, with the adapters that apply here.
  ///
  /// ```swift
  /// let losses = try model.exampleLosses(of: data, tokenizer: tokenizer, mostTokens: 20_000)
  /// losses.worst.first?.example.place   // "line 7"
  /// ```
  ///
  /// Costs a forward pass of what is measured: about a third of a training step over it.
  ///
  /// - Parameters:
  ///   - data: the examples.
  ///   - tokenizer: the model's tokenizer; nil shows ids.
  ///   - mostExamples: the most examples to measure.
  ///   - mostTokens: the most tokens to measure in all; one example is measured in any case.
  ///   - worst: the number of texts to keep.
  ///   - shownTokens: the most tokens of such a text.
  /// - Throws: ``TrainingError`` for examples that the model can't read, and `CancellationError`.
  public func exampleLosses(
    of data: TokenDataSet, tokenizer: (any Tokenizer)?, mostExamples: Int = 100,
    mostTokens: Int = .max, worst: Int = 8, shownTokens: Int = 400
  ) throws -> ExampleLosses {
    // Neighbours of one length share a batch.
    let indexes = ExampleLosses.spread(
      over: data, mostExamples: mostExamples, mostTokens: mostTokens
    ).sorted {
      (data.tokenCount(of: [$0]), $0) < (data.tokenCount(of: [$1]), $1)
    }
    let scores = try score(
      try TokenDataSet(examples: indexes.map { data[$0] }, source: data.source), keepsLosses: true)
    let measured = zip(indexes, scores).sorted { $0.0 < $1.0 }
    func example(_ index: Int, _ score: ExampleScore) -> ExampleLosses.Example {
      .init(place: data.place(of: index), loss: score.nll, targetCount: score.tokens)
    }
    let highest = measured.sorted { ($0.1.nll, $1.0) > ($1.1.nll, $0.0) }.prefix(max(0, worst))
    return ExampleLosses(
      exampleCount: data.exampleCount, examples: measured.map { example($0, $1) },
      worst: highest.map { index, score in
        .init(
          example(index, score), data[index], losses: score.losses, tokenizer: tokenizer,
          limit: max(1, shownTokens))
      })
  }
}
