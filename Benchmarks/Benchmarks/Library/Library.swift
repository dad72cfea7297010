import Benchmark
import Workloads

/// Speed and memory of the parts that training and generation consist of.
/// `Scripts/benchmark.sh` runs them.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    warmupIterations: 0, maxDuration: .seconds(2), maxIterations: 20)
  for workload in Workload.all { measure(workload) }
}
