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

/// Counts must not grow at all; what varies has no limit.
private let exact: [BenchmarkMetric: BenchmarkThresholds] = [
  .poolAllocations: BenchmarkThresholds(absolute: [.p50: 0], relative: [.p50: 0]),
  .poolPeakBytes: BenchmarkThresholds(absolute: [.p50: 0], relative: [.p50: 0]),
  .kiloFLOPs: BenchmarkThresholds(absolute: [.p50: 0], relative: [.p50: 0]),
]
