import Benchmark

/// Speed and memory of the parts that training and generation consist of.
/// `Scripts/benchmark.sh` runs them.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    warmupIterations: 0, maxDuration: .seconds(2), maxIterations: countsOnly ? 1 : 20,
    thresholds: exact)
  products()
  layers()
  wholeModels()
}

/// Counts must not change at all; what varies has no limit.
private var exact: [BenchmarkMetric: BenchmarkThresholds] {
  let none = BenchmarkThresholds(relative: [.p50: 0], absolute: [.p50: 0])
  return [.poolAllocations: none, .poolPeakBytes: none, .kiloFLOPs: none]
}
