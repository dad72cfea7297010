import CLoRAKernels

/// The most arithmetic that the pool's threads do: what the speed of a product is a fraction of.
///
/// Machines swing by a factor of two within minutes, so measure it again beside every time that it
/// is compared with.
public enum ArithmeticLimit {
  /// Runs chains of multiply-adds in registers, by the kernels in use, for some milliseconds on all
  /// threads of the pool.
  ///
  /// - Parameter dtype: what the factors are. For ``DType/bfloat16`` it is the dot product of
  ///   bfloat16 pairs where ``ProductPrecision/isBfloat16Fast``, otherwise as float32, because
  ///   products of bfloat16 are float32 products there.
  /// - Returns: GFLOP/s, a multiply-add counted as two.
  public static func measure(_ dtype: DType = .float32) -> Double {
    let pieces = 4 * Threads.count
    let isRounded = dtype == .bfloat16
    return withScratch(4 * pieces) { sinks in
      func run(_ rounds: Int) -> Int {
        var operations = 0
        withUnsafeMutablePointer(to: &operations) { operations in
          parallelFor(pieces) { piece in
            let sink = sinks + 4 * piece
            (sink[0], sink[1]) = (0.5, 1)  // converges to 2, far from overflow and subnormals
            let count =
              isRounded ? lk_bfloat16_chains(rounds, sink) : lk_float_chains(rounds, sink)
            if piece == 0 { operations.pointee = count * pieces }
          }
        }
        return operations
      }
      _ = run(1000)  // wakes the threads
      var operations = 0
      let time = ContinuousClock().measure { operations = run(200_000) }
      return Double(operations) / (time / .seconds(1)) * 1e-9
    }
  }
}
