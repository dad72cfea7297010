import LoRATensor

/// What a ``TokenDataSet`` holds, while it is made: within a limit in memory, beyond it in temporary files.
struct ExampleStorage {
  var tokens: TokenBuffer
  /// The targets that do not follow from the tokens.
  var targets: TokenBuffer
  /// The weight of each of these; empty while all are 1.
  var weights: SpilledArray<Float>
  var spans: SpilledArray<TokenDataSet.Span>
  /// The split key of each span; empty where that is what its tokens say.
  var keys: SpilledArray<UInt64>

  /// Creates storage of which some `memoryLimit` bytes stay in memory.
  init(memoryLimit: Int = .max) {
    tokens = TokenBuffer(limit: memoryLimit / 4)
    targets = TokenBuffer(limit: memoryLimit / 4)
    weights = SpilledArray(limit: memoryLimit / 8)
    spans = SpilledArray(limit: memoryLimit / 4)
    keys = SpilledArray(limit: memoryLimit / 8)
  }

  /// Why there was no room for a temporary file.
  var failure: FileError? {
    tokens.failure ?? targets.failure ?? weights.failure ?? spans.failure ?? keys.failure
  }

  /// Appends the weights of targets, those of the ones before being 1.
  mutating func append(weights new: some Sequence<Float>, of count: Int) {
    while weights.count < count { weights.append(1) }
    for weight in new { weights.append(weight) }
  }
}

extension TokenDataSet {
  /// Creates a data set of what was stored.
  init(_ storage: ExampleStorage, sources: [DataSource]) throws {
    if let failure = storage.failure { throw failure }
    try self.init(
      storage.spans, tokens: storage.tokens, targets: storage.targets, weights: storage.weights,
      keys: storage.keys, sources: sources)
  }

  /// The examples of several data sets, one behind the other, with the padding and packing of the first.
  init(joining sets: [TokenDataSet], memoryLimit: Int = .max) throws {
    guard let first = sets.first else {
      throw TrainingError.emptyData(source: "the data")
    }
    guard sets.count > 1 else {
      self = first
      return
    }
    var storage = ExampleStorage(memoryLimit: memoryLimit)
    var sources: [DataSource] = []
    let hasWeights = sets.contains { !$0.weights.isEmpty }
    for set in sets {
      let (start, targetStart) = (
        storage.tokens.append(set.tokens), storage.targets.append(set.targets)
      )
      for span in set.spans {
        var span = span
        span.start += start
        span.targets = span.targets.map { $0 + targetStart }
        span.file += sources.count
        storage.spans.append(span)
      }
      if hasWeights {
        storage.append(weights: set.weights, of: targetStart)
        storage.append(weights: [], of: targetStart + set.targets.count)
      }
      for key in set.splitKeys { storage.keys.append(key) }
      sources += set.sources
    }
    try self.init(storage, sources: sources)
    paddingMultiple = first.paddingMultiple
    paddingToken = first.paddingToken
    isPacked = first.isPacked
  }
}
