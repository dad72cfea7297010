public import LoRAAutograd
public import LoRATensor
public import LoRAText

/// A model that makes one vector of a text, close to those of texts that mean the same.
///
/// ```swift
/// let pretrained = try PretrainedModel(path: "all-MiniLM-L6-v2")
/// let encoder = try SentenceEncoder(pretrained)
/// let vectors = try encoder.embed(
///   ["where is my parcel", "track my package"], tokenizer: pretrained.tokenizer())  // [2, 384]
/// ```
///
/// The hidden states of a text's tokens are pooled into one vector, which may be brought to the length 1.
/// Adapters on the model apply as in every pass. Differentiable: see `MultipleNegatives` of LoRATraining.
public struct SentenceEncoder: Sendable {
  /// What is made of the hidden states of a text's n tokens.
  public enum Pooling: Sendable, Hashable {
    /// The first one.
    case first
    /// The last one.
    case last
    /// Their mean.
    case mean
    /// Their sum over the root of n.
    case meanBySquareRoot
  }

  /// The model that makes the hidden states.
  public let model: any TokenModel
  /// What is made of them.
  public let pooling: Pooling
  /// Whether vectors are divided by their length.
  public let isNormalized: Bool
  /// The most tokens of a text, special ones included; the end of a longer one is cut.
  public let longestText: Int
  /// What is put before every text.
  public let prompt: String
  /// Whether texts are made lower case first, beside what the tokenizer does.
  let lowercases: Bool

  /// Creates an encoder of a model, which pools as told.
  public init(
    _ model: any TokenModel, pooling: Pooling = .mean, isNormalized: Bool = false,
    longestText: Int? = nil, prompt: String = ""
  ) {
    self.init(
      model, pooling: pooling, isNormalized: isNormalized, longestText: longestText, prompt: prompt,
      lowercases: false)
  }

  init(
    _ model: any TokenModel, pooling: Pooling, isNormalized: Bool, longestText: Int?,
    prompt: String, lowercases: Bool
  ) {
    self.model = model
    self.pooling = pooling
    self.isNormalized = isNormalized
    self.longestText = min(longestText ?? .max, model.maximumPositions)
    self.prompt = prompt
    self.lowercases = lowercases
  }

  /// The vector of each sequence of a batch, `[batch, size]`. Tokens are checked by the caller, see
  /// `TokenModel.validate(_:)`; traps for packed sequences.
  public func callAsFunction(_ batch: TokenBatch) -> Variable {
    if case .packed = batch.sequences {
      misuse("embedding a batch of packed sequences; an item holds one")
    }
    let hidden = model.hiddenStates(batch)
    let (items, count, size) = (hidden.shape[0], hidden.shape[1], hidden.shape[2])
    var weights = Array(repeating: Float(0), count: items * count)
    for (item, length) in batch.lengths.enumerated() {
      let (start, last) = (item * count, max(0, length - 1))
      switch pooling {
      case .first: weights[start] = 1
      case .last: weights[start + last] = 1
      case .mean: for place in 0...last { weights[start + place] = 1 / Float(last + 1) }
      case .meanBySquareRoot:
        for place in 0...last { weights[start + place] = 1 / Float(last + 1).squareRoot() }
      }
    }
    let pooled = Variable(Tensor(weights, shape: [items, 1, count])).matrixProduct(with: hidden)
      .reshaped(to: [items, size])
    guard isNormalized else { return pooled }
    // x / |x| is x over its root mean square, over the root of its size.
    let weight = Tensor(Array(repeating: 1 / Float(size).squareRoot(), count: size))
    return pooled.rmsNorm(weight: Variable(weight), epsilon: 1e-24)
  }

  /// The tokens of a text, with the prompt before it; whether its end was cut.
  public func encode(
    _ text: String, tokenizer: any Tokenizer
  ) -> (encoding: TypedEncoding, isCut: Bool) {
    let encoding = tokenizer.encode(
      prompt + (lowercases ? text.lowercased() : text), pairedWith: nil)
    let excess = encoding.ids.count - longestText
    guard excess > 0 else { return (encoding, false) }
    let after = min(tokenizer.template.after.count, longestText)
    let range = encoding.ids.count - after - excess..<encoding.ids.count - after
    var cut = encoding
    cut.ids.removeSubrange(range)
    cut.types.removeSubrange(range)
    return (cut, true)
  }

  /// The vectors of texts, `[texts, size]`, in their order, with the adapters that apply here; see
  /// `Module.withAdapters(_:_:)`.
  ///
  /// Texts of similar length are computed together, which changes a vector by no more than rounding.
  /// Throws `SequenceError` for tokens that the model lacks, `NonFiniteOutput`, and `CancellationError`
  /// between batches if the task is cancelled.
  ///
  /// - Parameters:
  ///   - texts: the texts.
  ///   - tokenizer: the model's tokenizer.
  ///   - batchSize: the number of texts that are computed together, at least 1.
  ///   - onBatch: called after each batch with the number of texts that are done.
  public func embed(
    _ texts: [String], tokenizer: any Tokenizer, batchSize: Int = 32,
    onBatch: (_ done: Int) -> Void = { _ in }
  ) throws -> Tensor {
    let sequences = texts.map { encode($0, tokenizer: tokenizer).encoding.ids }
    try model.validate(sequences)
    var rows: [Tensor?] = Array(repeating: nil, count: texts.count)
    var done = 0
    for indexes in TokenBatch.byLength(sequences.map(\.count), batchSize: batchSize) {
      try Task.checkCancellation()
      let batch = TokenBatch(sequences: indexes.map { sequences[$0] })
      let vectors = withoutGradients { self(batch).value }
      guard vectors.firstNonFiniteIndex() == nil else {
        throw NonFiniteOutput(of: model, batch)
      }
      for (row, index) in indexes.enumerated() { rows[index] = vectors[rows: row..<row + 1] }
      done += indexes.count
      onBatch(done)
    }
    return rows.isEmpty ? .zeros([0, 0]) : .concatenated(rows.compactMap(\.self))
  }
}

extension TokenBatch {
  /// The indexes of sequences of these lengths in batches of similar ones, the longest first: what takes
  /// the most memory comes at once.
  package static func byLength(_ lengths: [Int], batchSize: Int) -> [[Int]] {
    require(batchSize >= 1, "batches of \(batchSize) sequences")
    let sorted = lengths.indices.sorted { (lengths[$1], $0) < (lengths[$0], $1) }
    return stride(from: 0, to: sorted.count, by: batchSize).map {
      Array(sorted[$0..<$0 + min(batchSize, sorted.count - $0)])
    }
  }
}
