import Benchmark
import LoRAKit
import Workloads

extension BenchmarkMetric {
  /// Floating-point operations of the iteration's products in thousands, a multiply-add as two.
  static let kiloFLOPs = BenchmarkMetric.custom("kFLOP", useScalingFactor: false)
  /// Thousandths of what the machine can do at most, measured beside it. 1000 is all of it.
  static let limitFraction = BenchmarkMetric.custom(
    "limit / 1000", polarity: .prefersLarger, useScalingFactor: false)
}

/// Registers a workload, to be timed.
func measure(_ workload: Workload) {
  let (flops, dtype) = (workload.flops, workload.dtype)
  let metrics: [BenchmarkMetric] = [.wallClock] + (flops > 0 ? [.kiloFLOPs, .limitFraction] : [])
  Benchmark(workload.name, configuration: .init(metrics: metrics)) { benchmark in
    let run = try workload.prepare()
    // Twice, so that the pool has what an iteration needs.
    for _ in 0..<2 { try run() }
    let limit = flops > 0 ? ArithmeticLimit.measure(dtype) : 0
    benchmark.startMeasurement()
    let time = try ContinuousClock().measure { try run() }
    benchmark.stopMeasurement()
    if flops > 0 {
      benchmark.measurement(.kiloFLOPs, Int(flops / 1000))
      benchmark.measurement(.limitFraction, Int(1e-6 * flops / (time / .seconds(1)) / limit))
    }
  }
}
