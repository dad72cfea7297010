import CLoRAKernels

/// The peak arithmetic throughput of the pool's threads, to compare the speed of products with.
///
/// Throughput can vary by a factor of two within minutes, so measure it again beside every time it
/// is compared with.
public enum ArithmeticLimit {
  /// Measures the throughput with chains of multiply-adds in registers, using the current kernels,
  /// for some milliseconds on all threads of the pool.
  ///
  /// - Parameter dtype: the type of the factors. ``DType/bfloat16`` measures the dot product of
  ///   bfloat16 pairs if ``ProductPrecision/isBfloat16Fast``, and float32 otherwise, because
  ///   bfloat16 products are then float32 products.
  /// - Returns: GFLOP/s, counting a multiply-add as two operations.
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
