import LoRAAutograd
import LoRAModels
import LoRATensor

/// The log-probabilities of completions under the reference, a model without its adapters: each is
/// computed once, when it is first asked for, and kept.
///
/// Completions are computed eight examples at a time, of similar length, which ones depends on the data
/// alone. So they are the same bits in whatever order examples are met, and a resumed run computes what
/// an uninterrupted one did. Cost: at most one forward pass over the data, where computing them in every
/// step would cost one an epoch; memory: two numbers an example.
///
/// It belongs to one model, whose base must not change, and one data set.
public final class PreferenceReference: Sendable {
  private let known = Locked<[Int: [Double]]>([:])
  /// The place of each example among those sorted by length, once it was asked for.
  private let order = Locked<(sorted: [Int], places: [Int])?>(nil)
  private static let chunk = 8

  /// Creates an empty one.
  public init() {}

  /// The sums of the completions of these examples: of chosen ones, then of rejected ones.
  func sums(
    _ model: any LanguageModel, _ data: PreferenceDataSet, of examples: [Int]
  ) throws -> [Double] {
    var found: [Int: [Double]] = known.withLock { known in
      var found: [Int: [Double]] = [:]
      for index in examples { found[index] = known[index] }
      return found
    }
    for index in examples where found[index] == nil {
      let members = chunk(around: index, in: data)
      let sums = try compute(model, data, members)
      known.withLock { known in
        for (index, sums) in zip(members, sums) { known[index] = sums }
      }
      for (index, sums) in zip(members, sums) { found[index] = sums }
    }
    let all = examples.map { (data.examples[$0], found[$0] ?? []) }
    return all.compactMap { $0.chosen == nil ? nil : $1.first }
      + all.compactMap { $0.rejected == nil ? nil : $1.last }
  }

  private func chunk(around index: Int, in data: PreferenceDataSet) -> [Int] {
    let (sorted, places) = order.withLock { order in
      if let order { return order }
      let lengths = data.examples.map(\.length)
      let sorted = lengths.indices.sorted { (lengths[$0], $0) < (lengths[$1], $1) }
      var places = sorted
      for (place, index) in sorted.enumerated() { places[index] = place }
      order = (sorted, places)
      return (sorted, places)
    }
    let start = places[index] / Self.chunk * Self.chunk
    return Array(sorted[start..<min(sorted.count, start + Self.chunk)])
  }

  /// The sums of each example's completions.
  private func compute(
    _ model: any LanguageModel, _ data: PreferenceDataSet, _ examples: [Int]
  ) throws -> [[Double]] {
    let batch = data.batch(of: examples)
    let sums = try Self.sums(model, batch.rows)
    var (chosen, rejected) = (sums[..<batch.chosenCount], sums[batch.chosenCount...])
    return examples.map { index in
      let example = data.examples[index]
      return (example.chosen == nil ? [] : [chosen.removeFirst()])
        + (example.rejected == nil ? [] : [rejected.removeFirst()])
    }
  }

  /// The sums of log-probabilities of rows under `model` without adapters, which nothing is kept of.
  static func sums(
    _ model: any LanguageModel, _ rows: PreferenceDataSet.CompletionRows
  ) throws -> [Double] {
    func run(_ module: some LanguageModel) throws -> [Double] {
      try module.withAdapters([:]) {
        try EmbeddingNoise.suspended { try rows.sums(module) }
      }
    }
    return try run(model)
  }
}

extension PreferenceDataSet.CompletionRows {
  /// The sum of the log-probabilities of each row's targets under `model`, with the adapters that apply.
  func sums(_ model: any LanguageModel) throws -> [Double] {
    let losses = try model.tokenLosses(tokens: tokens, targets: targets)
    return (0..<tokens.shape[0]).map { -losses[row: $0].sum() }
  }
}
