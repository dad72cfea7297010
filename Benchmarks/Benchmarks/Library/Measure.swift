import Benchmark
import Foundation
import LoRAKit

// What is counted beside the times. Counts are the same in every run and on every machine, so they
// are gated: `Scripts/benchmark.sh check` fails if one grows. Times are reported only.

extension BenchmarkMetric {
  /// Buffers that one iteration asked the library's pool for.
  static let poolAllocations = BenchmarkMetric.custom("pool allocations", useScalingFactor: false)
  /// The most bytes that the library's buffers held in one iteration beyond those held before it.
  static let poolPeakBytes = BenchmarkMetric.custom("pool peak bytes", useScalingFactor: false)
  /// Floating-point operations of the iteration's products in thousands, a multiply-add as two.
  static let kiloFLOPs = BenchmarkMetric.custom("kFLOP", useScalingFactor: false)
  /// Thousandths of what the machine can do at most, measured beside it. 1000 is all of it.
  static let limitFraction = BenchmarkMetric.custom(
    "limit / 1000", polarity: .prefersLarger, useScalingFactor: false)
}

/// Whether times are left out: `Scripts/benchmark.sh check` and `update` want counts only.
let countsOnly = ProcessInfo.processInfo.environment["LORA_BENCHMARK_COUNTS"] != nil

/// Registers a benchmark of `body`, which is what one iteration does. `prepare` makes what it needs.
///
/// - Parameters:
///   - flops: the floating-point operations of one iteration; 0 to report none.
///   - dtype: whose limit the speed is compared with.
///   - isPooled: whether the library's buffers are counted.
func measure<State>(
  _ name: String, flops: Double = 0, dtype: DType = .float32, isPooled: Bool = true,
  prepare: @escaping @Sendable () throws -> State,
  _ body: @escaping @Sendable (inout State) throws -> Void
) {
  var metrics: [BenchmarkMetric] = countsOnly ? [] : [.wallClock]
  if isPooled { metrics += [.poolAllocations, .poolPeakBytes] }
  if flops > 0 { metrics += countsOnly ? [.kiloFLOPs] : [.kiloFLOPs, .limitFraction] }
  Benchmark(name, configuration: .init(metrics: metrics)) { benchmark in
    var state = try prepare()
    // Twice, so that the pool has what an iteration needs.
    for _ in 0..<2 { try body(&state) }
    let limit = flops > 0 && !countsOnly ? ArithmeticLimit.measure(dtype) : 0
    let pool = BufferPool.shared
    pool.resetPeak()
    let before = pool.statistics
    benchmark.startMeasurement()
    let time = try ContinuousClock().measure { try body(&state) }
    benchmark.stopMeasurement()
    let after = pool.statistics
    if isPooled {
      benchmark.measurement(
        .poolAllocations,
        after.systemAllocations + after.reuses - before.systemAllocations - before.reuses)
      benchmark.measurement(.poolPeakBytes, after.peakLiveBytes - before.liveBytes)
    }
    if flops > 0 {
      benchmark.measurement(.kiloFLOPs, Int(flops / 1000))
      if limit > 0 {
        benchmark.measurement(.limitFraction, Int(1e-6 * flops / (time / .seconds(1)) / limit))
      }
    }
  }
}
