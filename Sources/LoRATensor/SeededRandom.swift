import CLoRAKernels

/// A counter-based random generator (Philox 4x32-10): the same seed and path give the same values
/// on every machine, in any order of creation, at any number of threads.
///
/// A seed and a path, usually a parameter's name in its model, determine a generator, so that the
/// initial values of a layer do not depend on the layers before it.
///
/// ```swift
/// var random = SeededRandom(seed: 0, path: "layers.3.q_proj.lora_A")
/// let a = random.uniform([8, 64], in: -0.125..<0.125)
/// ```
///
/// Source: Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, 2011.
public struct SeededRandom: RandomNumberGenerator, Sendable, Hashable, Codable {
  /// The key.
  public let seed: UInt64
  /// The upper half of the counter, derived from the path.
  public let stream: UInt64
  /// The lower half of the counter: the number of used blocks of four 32-bit words.
  public private(set) var block: UInt64

  /// Creates the generator of `path` under `seed`.
  public init(seed: UInt64, path: String = "") {
    self.init(seed: seed, stream: Self.hash(path))
  }

  /// Creates a generator from its raw parts, for example to continue where another one stopped.
  public init(seed: UInt64, stream: UInt64, block: UInt64 = 0) {
    self.seed = seed
    self.stream = stream
    self.block = block
  }

  /// FNV-1a, 64 bits, of the path's UTF-8.
  private static func hash(_ path: String) -> UInt64 {
    path.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  /// The next 64 bits. Uses a whole block; to draw many values, draw a tensor.
  public mutating func next() -> UInt64 {
    var words: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
    withUnsafeMutableBytes(of: &words) { bytes in
      guard let base = bytes.baseAddress else { return }
      lk_random_bits(4, seed, stream, block, base.assumingMemoryBound(to: UInt32.self))
    }
    block &+= 1
    return UInt64(words.0) | UInt64(words.1) << 32
  }

  /// A number in `[0, 1)` with 53 random bits.
  public mutating func nextUniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  private mutating func advance(_ count: Int) -> UInt64 {
    let first = block
    block &+= UInt64((count + 3) / 4)
    return first
  }

  /// A float32 tensor of values drawn uniformly from `range`.
  public mutating func uniform(_ shape: Shape, in range: Range<Float>) -> Tensor {
    let first = advance(shape.elementCount)
    return Tensor(shape: shape) {
      lk_random_uniform(
        shape.elementCount, seed, stream, first, range.lowerBound, range.upperBound, $0)
    }
  }

  /// A float32 tensor of normally distributed values.
  public mutating func normal(
    _ shape: Shape, mean: Float = 0, standardDeviation: Float = 1
  ) -> Tensor {
    let first = advance(shape.elementCount)
    return Tensor(shape: shape) {
      lk_random_normal(shape.elementCount, seed, stream, first, mean, standardDeviation, $0)
    }
  }
}
