extension TokenDataSet {
  /// The examples to learn from and those to measure on. Both share the tokens; nothing is copied.
  ///
  /// What belongs together is decided by the records that the examples were read from, see
  /// ``DataSplit``; examples of tokens belong together if they have the same prompt, or without one the same
  /// tokens. Throws ``TrainingError/emptySplit(source:examples:groups:held:)``.
  public func divided(
    by split: DataSplit
  ) throws(TrainingError) -> (training: TokenDataSet, validation: TokenDataSet) {
    let held = try split.heldOut(splitKeys, source: source)
    return (
      try choosing(spans.indices.lazy.filter { !held[$0] }),
      try choosing(spans.indices.lazy.filter { held[$0] })
    )
  }

  /// The examples at these indexes, in this order; one may come several times.
  func choosing(_ indexes: some Sequence<Int>) throws(TrainingError) -> TokenDataSet {
    let keys = splitKeys
    var chosenSpans = SpilledArray<Span>(limit: spans.limit)
    var chosenKeys = SpilledArray<UInt64>(limit: keys.limit)
    for index in indexes {
      chosenSpans.append(spans[index])
      chosenKeys.append(keys[index])
    }
    var chosen = try TokenDataSet(
      chosenSpans, tokens: tokens, targets: targets, weights: weights, keys: chosenKeys,
      sources: sources)
    chosen.paddingMultiple = paddingMultiple
    chosen.paddingToken = paddingToken
    chosen.isPacked = isPacked
    return chosen
  }

  /// The split key of each example.
  var splitKeys: SpilledArray<UInt64> {
    guard keys.isEmpty else { return keys }
    var (tokens, targets) = ([Int64](), [Int64]())
    var result = SpilledArray<UInt64>(limit: spans.limit)
    for span in spans {
      tokens.removeAll(keepingCapacity: true)
      targets.removeAll(keepingCapacity: true)
      append(0..<span.length, of: span, to: &tokens, &targets)
      let prompt = targets.prefix { $0 < 0 }.count
      // The token behind a prompt is the first one that is learned.
      result.append(DataSplit.key(of: prompt > 0 ? tokens.prefix(prompt + 1) : tokens[...]))
    }
    return result
  }

  /// The first `count` examples of each file.
  package func firstExamples(_ count: Int) -> [Int] {
    var counts = [Int](repeating: 0, count: sources.count)
    var first: [Int] = []
    for (index, span) in spans.enumerated() {
      if counts[span.file] < count { first.append(index) }
      counts[span.file] += 1
    }
    return first
  }
}
