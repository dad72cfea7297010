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
    // A choice for other rows than these: the general path says so.
    if let rows = AdapterScope.current?.groupOfRow, rows.count != sequences { return nil }
  }

  /// y = the norm of x, `[rows, C]`.
  func normalize(
    _ x: UnsafePointer<Float>, size: Int, by norm: any Norm,
    into y: UnsafeMutablePointer<Float>
  ) {
    if norm.slot.isUnused { return norm.apply(to: x, rows: rows, into: y) }
    general(x, size) { norm($0) }.withUnsafeElements(of: Float.self) { result in
      if let from = result.baseAddress { y.update(from: from, count: result.count) }
    }
  }

  /// What a layer's general pass makes of x, `[rows, size]`.
  func general(
    _ x: UnsafePointer<Float>, _ size: Int, _ layer: (Variable) -> Variable
  ) -> Tensor {
    let input = Tensor(shape: [sequences, positions, size]) { memory in
      memory.update(from: x, count: rows * size)
    }
    return layer(Variable(input)).value.converted(to: .float32)
  }
}
