public import LoRAModels
public import LoRAText

extension SequenceClassifier {
  /// The losses of some examples of `data`, evenly spread over it, with the adapters that apply here, and of
  /// those with the highest ones what the model says instead.
  ///
  /// Costs a forward pass of what is measured, sequence by sequence.
  ///
  /// - Parameters:
  ///   - data: the examples.
  ///   - tokenizer: the model's tokenizer; nil shows ids.
  ///   - mostExamples: the most examples to measure.
  ///   - mostTokens: the most tokens to measure in all; one example is measured in any case.
  ///   - worst: the number of texts to keep.
  /// - Throws: as ``evaluate(on:batchSize:)`` does.
  public func exampleLosses(
    of data: LabelledDataSet, tokenizer: (any Tokenizer)?, mostExamples: Int = 100,
    mostTokens: Int = .max, worst: Int = 8
  ) throws -> ExampleLosses {
    let indexes = ExampleLosses.spread(
      over: data, mostExamples: mostExamples, mostTokens: mostTokens)
    let measured = try indexes.map { index in
      let loss = try evaluate(on: LabelledDataSet([data.examples[index]])).loss
      return (
        index, ExampleLosses.Example(place: "example \(index + 1)", loss: loss, targetCount: 1)
      )
    }
    let highest = measured.sorted { ($0.1.loss, $1.0) > ($1.1.loss, $0.0) }.prefix(max(0, worst))
    return ExampleLosses(
      exampleCount: data.exampleCount, examples: measured.map(\.1),
      worst: try highest.map { index, example in
        let labelled = data.examples[index]
        let found = try classify([labelled.tokens], types: labelled.types.map { [$0] })
        return .init(
          example: example,
          note: "labelled \(names(labelled.labels)), the model says "
            + names(found.first?.labels ?? []),
          pieces: [
            .init(
              text: tokenizer?.decode(labelled.tokens, skipSpecialTokens: false)
                ?? labelled.tokens.map { "\($0) " }.joined())
          ])
      })
  }

  private func names(_ indexes: [Int]) -> String {
    indexes.isEmpty ? "nothing" : indexes.map { "'\(labels[$0])'" }.joined(separator: ", ")
  }
}
