import LoRAAutograd
import LoRAModels
import LoRATensor

/// The objective of preferences: ``PreferenceLoss`` of a batch, differentiated by the log-probabilities
/// of completions in double precision.
///
/// It knows the reference's log-probabilities of one model and one data set, so that each trainer makes
/// its own.
struct PreferenceObjective: Objective, TestedObjective {
  let preference: PreferenceLoss
  let reference: PreferenceReference

  /// The loss with its settings.
  var identifier: String { "Preference(\(preference))" }

  func loss(
    _ model: any LanguageModel, _ batch: PreferenceDataSet.Batch, scale: Float
  ) throws -> Variable {
    try measured(model, batch, scale: scale).loss
  }

  /// The loss of a batch, and how much each completion is preferred.
  func measured(
    _ model: any LanguageModel, _ batch: PreferenceDataSet.Batch, scale: Float
  ) throws -> (loss: Variable, rewards: [Double], divergence: Double) {
    let rows = preference.form == .orpo ? rowsWithPrompts(model, batch) : batch.rows
    let divergence = preference.form == .kto ? try self.divergence(model, batch) : 0
    let losses = model.targetLosses(tokens: rows.tokens, targets: rows.targets)
    let values = losses.value.scalars().map { Double($0) }
    let spans = rows.spans
    let scores = CompletionScores(
      sums: spans.map { -values[$0.completion].reduce(0, +) },
      counts: spans.map(\.completion.count),
      reference: preference.needsReference
        ? try reference.sums(model, batch.data, of: batch.examples) : nil,
      chosenCount: batch.chosenCount, divergence: divergence)
    let terms = preference.terms(scores)
    var sum = terms.sum
    var gradient = Array(repeating: Float(0), count: values.count)
    for (row, span) in spans.enumerated() {
      // The losses of tokens are the negative log-probabilities.
      for index in span.completion { gradient[index] = Float(-terms.gradient[row]) }
    }
    if preference.form == .orpo {
      // The mean over the batch's tokens, as often as there are pairs.
      let learned = spans.prefix(batch.chosenCount).map(\.all)
      let weight =
        Double(batch.chosenCount) / Double(max(1, learned.reduce(0) { $0 + $1.count }))
      for range in learned {
        sum += weight * values[range].reduce(0, +)
        for index in range { gradient[index] += Float(weight) }
      }
    }
    let slopes = Tensor(gradient).scaled(by: scale)
    let loss = Variable.record(Tensor(scalar: Float(sum * Double(scale))), inputs: [losses]) {
      dy, inputs in
      inputs.add(dy.item() == 1 ? slopes : slopes.scaled(by: dy.item()), to: 0)
    }
    return (loss, terms.rewards, divergence)
  }

  /// The batch with the prompts of chosen completions to be learned too. The source of an
  /// encoder-decoder is not predicted.
  private func rowsWithPrompts(
    _ model: any LanguageModel, _ batch: PreferenceDataSet.Batch
  ) -> PreferenceDataSet.CompletionRows {
    guard model.targetStart == nil else { return batch.rows }
    let examples = batch.examples.map { batch.data.examples[$0] }
    return PreferenceDataSet.rows(
      examples.map { ($0.prompt, $0.chosen ?? []) }
        + examples.map { ($0.prompt, $0.rejected ?? []) },
      learnedPrompts: batch.chosenCount)
  }

  /// How much more probable than under the reference completions of other prompts are on average, at
  /// least 0.
  private func divergence(
    _ model: any LanguageModel, _ batch: PreferenceDataSet.Batch
  ) throws -> Double {
    let rows = batch.data.mismatched(batch.examples)
    let now = try withoutGradients { try rows.sums(model) }
    let before = try PreferenceReference.sums(model, rows)
    let difference = zip(now, before).reduce(0) { $0 + $1.0 - $1.1 }
    return max(0, difference / Double(max(1, now.count)))
  }

  func check(_ model: any LanguageModel, on data: PreferenceDataSet) throws {
    try preference.check()
    try data.check(for: model, loss: preference)
  }

  func workload(
    _ model: any LanguageModel, training target: TrainingTarget, on data: PreferenceDataSet,
    batchSize: Int
  ) -> TrainingWorkload? {
    guard let model = model as? any PretrainedTokenModel else { return nil }
    return TrainingWorkload(
      model, training: target,
      batchSize: (data.arePairs ? 2 : 1) * min(batchSize, data.exampleCount),
      length: data.longestRow)
  }
}

extension PreferenceDataSet.CompletionRows {
  /// Where the targets of each row are among all that count, and of them those of the completion.
  var spans: [(all: Range<Int>, completion: Range<Int>)] {
    var start = 0
    return counts.map { count in
      let all = start..<start + count.all
      start = all.upperBound
      return (all, all.upperBound - min(count.completion, count.all)..<all.upperBound)
    }
  }
}
