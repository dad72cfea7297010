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
      try choosing(spans.indices.filter { !held[$0] }),
      try choosing(spans.indices.filter { held[$0] })
    )
  }

  /// The examples at these indexes, in this order; one may come several times.
  func choosing(_ indexes: [Int]) throws(TrainingError) -> TokenDataSet {
    let keys = splitKeys
    var chosen = try TokenDataSet(
      indexes.map { spans[$0] }, tokens: tokens, targets: targets, weights: weights,
      keys: indexes.map { keys[$0] }, sources: sources)
    chosen.paddingMultiple = paddingMultiple
    chosen.paddingToken = paddingToken
    chosen.isPacked = isPacked
    return chosen
  }

  /// The split key of each example.
  var splitKeys: [UInt64] {
    guard keys.isEmpty else { return keys }
    var (tokens, targets) = ([Int64](), [Int64]())
    return spans.map { span in
      tokens.removeAll(keepingCapacity: true)
      targets.removeAll(keepingCapacity: true)
      append(0..<span.length, of: span, to: &tokens, &targets)
      let prompt = targets.prefix { $0 < 0 }.count
      // The token behind a prompt is the first one that is learned.
      return DataSplit.key(of: prompt > 0 ? tokens.prefix(prompt + 1) : tokens[...])
    }
  }

  /// The examples of several data sets, one behind the other, with the padding and packing of the first.
  init(joining sets: [TokenDataSet]) throws(TrainingError) {
    guard let first = sets.first else { throw .emptyData(source: "the data") }
    guard sets.count > 1 else {
      self = first
      return
    }
    var (tokens, targets) = (TokenBuffer(), TokenBuffer())
    var (spans, keys, weights) = ([Span](), [UInt64](), [Float]())
    var sources: [DataSource] = []
    let hasWeights = sets.contains { !$0.weights.isEmpty }
    for set in sets {
      let (start, targetStart) = (tokens.append(set.tokens), targets.append(set.targets))
      for span in set.spans {
        var span = span
        span.start += start
        span.targets = span.targets.map { $0 + targetStart }
        span.file += sources.count
        spans.append(span)
      }
      if hasWeights {
        // The targets of a set begin where the buffer of the one before has ended, which may be padded.
        weights += repeatElement(1, count: targetStart - weights.count)
        weights +=
          set.weights.isEmpty ? Array(repeating: 1, count: set.targets.count) : set.weights
      }
      keys += set.splitKeys
      sources += set.sources
    }
    try self.init(
      spans, tokens: tokens, targets: targets, weights: weights, keys: keys, sources: sources)
    paddingMultiple = first.paddingMultiple
    paddingToken = first.paddingToken
    isPacked = first.isPacked
  }
}
