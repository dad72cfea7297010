/// PyTorch's random generator on the CPU (`torch.Generator`), for files that name random values by
/// their seed alone.
///
/// ```swift
/// var random = TorchGenerator(seed: 0)
/// random.uniform([2, 3], in: -0.5..<0.5)  // torch.empty(2, 3).uniform_(-0.5, 0.5, generator=...)
/// ```
///
/// For everything else use ``SeededRandom``.
///
/// Source: Matsumoto and Nishimura, *Mersenne Twister*, 1998 (MT19937), seeded as in its authors'
/// code; conversion to float32: PyTorch, `ATen/core/DistributionsHelper.h`.
package struct TorchGenerator: Sendable {
  private var state: [UInt32]
  private var next = 624

  /// Creates the generator as `manual_seed(seed)` leaves it, which takes the lower 32 bits.
  package init(seed: Int) {
    state = [UInt32(truncatingIfNeeded: seed)]
    state.reserveCapacity(624)
    for index in 1..<624 {
      let last = state[index - 1]
      state.append(1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(index))
    }
  }

  /// The next 32 bits (`random()`).
  package mutating func nextWord() -> UInt32 {
    if next == 624 { twist() }
    var y = state[next]
    next += 1
    y ^= y >> 11
    y ^= (y << 7) & 0x9d2c_5680
    y ^= (y << 15) & 0xefc6_0000
    return y ^ (y >> 18)
  }

  private mutating func twist() {
    for k in 0..<624 {
      let y = (state[k] & 0x8000_0000) | (state[(k + 1) % 624] & 0x7fff_ffff)
      state[k] = state[(k + 397) % 624] ^ (y >> 1) ^ (y & 1 == 0 ? 0 : 0x9908_b0df)
    }
    next = 0
  }

  /// A float32 tensor as `uniform_` fills it: 24 bits per value, multiplied and added with one
  /// rounding, as PyTorch does if the CPU has an instruction for it.
  package mutating func uniform(_ shape: Shape, in range: Range<Float>) -> Tensor {
    let width = range.upperBound - range.lowerBound
    return Tensor(shape: shape) { numbers in
      for index in 0..<shape.elementCount {
        let fraction = Float(nextWord() & 0xff_ffff) * 0x1p-24
        numbers[index] = range.lowerBound.addingProduct(fraction, width)
      }
    }
  }

  /// A matrix as `kaiming_uniform_` fills it: within √(6 / columns).
  package mutating func kaimingUniform(_ shape: Shape) -> Tensor {
    let bound = Float(3.0.squareRoot() * (2.0.squareRoot() / Double(shape.innermost).squareRoot()))
    return uniform(shape, in: -bound..<bound)
  }
}
