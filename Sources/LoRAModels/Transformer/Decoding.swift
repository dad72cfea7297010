import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// A pass of a few new tokens behind a cache, of one sequence or one each of several.
///
/// The same numbers as a general pass computes, in memory that one pass owns: projections of one input
/// share a parallel region, keys and values are written where the cache holds them, and products are
/// added straight to the hidden state. Such a pass is bound by reading the weights; whatever else it
/// does is time in which memory waits. Each part of a block has its step of such a pass beside its
/// general one (`decode`); a layer under an adapter that is not of low rank is computed by its
/// `callAsFunction`.
struct Decoding {
  /// The most sequences that are decoded together this way: more are a matrix product's business.
  private static let mostSequences = 64

  let cache: KeyValueCache
  /// The number of sequences.
  let sequences: Int
  /// The number of new tokens of each.
  let positions: Int
  /// The vectors of the tokens that are the blocks' own, those of all blocks one after the other,
  /// `[sequences, positions, width]`; nil for none.
  var blockVectors: Tensor?
  /// The number of tokens.
  var rows: Int { sequences * positions }

  /// Nil if there are too many tokens, or gradients are recorded.
  init?(of tokens: Tensor, cache: KeyValueCache) {
    (sequences, positions) = (tokens.shape[0], tokens.shape[1])
    self.cache = cache
    let rows = sequences * positions
    guard !GradientMode.isRecording, sequences == cache.sequences.count, rows >= 1,
      sequences == 1 ? rows <= mostFewRows : positions == 1 && rows <= Self.mostSequences
    else { return nil }
    // A choice for other items than these: the general path says so.
    if let groups = AdapterScope.current?.groupOfItem, groups.count != sequences { return nil }
  }

  /// The same pass of some of its tokens, `rows` of them, in a part of a block that asks nothing of
  /// their places.
  func with(rows: Int) -> Decoding {
    Decoding(cache: cache, sequences: 1, positions: rows)
  }

  private init(cache: KeyValueCache, sequences: Int, positions: Int) {
    (self.cache, self.sequences, self.positions) = (cache, sequences, positions)
  }

  /// y = the norm of x, `[rows, parts, size]`, of each part; x itself without a norm.
  func normalize(
    _ x: UnsafePointer<Float>, parts: Int = 1, size: Int, by norm: (any Norm)?,
    into y: UnsafeMutablePointer<Float>
  ) {
    guard let norm else {
      if UnsafePointer(y) != x { y.update(from: x, count: rows * parts * size) }
      return
    }
    if norm.isUnchanged { return norm.apply(to: x, rows: rows * parts, into: y) }
    general(x, parts: parts, size) { norm($0) }.withUnsafeElements(of: Float.self) { result in
      if let from = result.baseAddress { y.update(from: from, count: result.count) }
    }
  }

  /// Adds the norm of what `body` adds to zeros, or without a norm what it adds, times a factor to x,
  /// `[rows, size]`.
  func add(
    _ norm: (any Norm)?, size: Int, times factor: Float? = nil, to x: UnsafeMutablePointer<Float>,
    scratch: UnsafeMutablePointer<Float>, _ body: (UnsafeMutablePointer<Float>) -> Void
  ) {
    if norm == nil, factor == nil { return body(x) }
    scratch.update(repeating: 0, count: rows * size)
    body(scratch)
    normalize(scratch, size: size, by: norm, into: scratch)
    if let factor {
      for index in 0..<rows * size { x[index] += factor * scratch[index] }
    } else {
      lk_add_row(1, rows * size, scratch, x)
    }
  }

  /// What a layer's general pass makes of x, `[rows, parts, size]`.
  func general(
    _ x: UnsafePointer<Float>, parts: Int = 1, _ size: Int, _ layer: (Variable) -> Variable
  ) -> Tensor {
    let input = Tensor(shape: [sequences, positions * parts, size]) { memory in
      memory.update(from: x, count: rows * parts * size)
    }
    return layer(Variable(input)).value.converted(to: .float32)
  }
}
