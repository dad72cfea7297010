import ArgumentParser
import LoRAJSON
import LoRAKit
import LoRATensor

/// `lora bench gemm`: the speed of matrix products beside what the machine can do at most.
struct BenchGemmCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gemm",
    abstract: "Measure matrix products and the machine's limit.",
    discussion: """
      The products of training, as its layers run them: NT is x Wᵀ, NN dy W, TN dyᵀ x; k is summed \
      over. The limit is measured before and after each product, by chains of multiply-adds in registers; \
      speeds and fractions are medians over the rounds.

        lora bench gemm --m 512 --json
      """)

  @Option(
    parsing: .unconditional, help: "The rows of the products, as the tokens of a batch.")
  var m = 512
  @Option(
    parsing: .unconditional, help: "How often each product is measured.")
  var rounds = 5
  @OptionGroup var output: OutputOptions

  func validate() throws {
    try demand("--m", m, .atLeast(1))
    try demand("--rounds", rounds, .atLeast(1))
  }

  func run() throws {
    // The largest factors and results of the products below.
    try BenchCommand.checkSize("the products of --m", m, 8192 + 2048, bytes: 4)
    var limits: [DType: [Double]] = [:]
    var results: [Result] = []
    for type in [DType.float32, .bfloat16] {
      for layout in type == .float32 ? Layout.allCases : [.nt, .nn] {
        // Square, deep, and the two thin products of an adapter of rank 16.
        for (n, k) in [(2048, 2048), (2048, 8192), (16, 2048), (2048, 16)] {
          let product = Product(layout: layout, type: type, m: m, n: n, k: k)
          results.append(measure(product, &limits))
        }
      }
    }
    try report(results, limits.mapValues { median($0) })
  }

  private func measure(_ product: Product, _ limits: inout [DType: [Double]]) -> Result {
    let flops = 2 * Double(product.m) * Double(product.n) * Double(product.k)
    // A thin product alone is too short to be timed.
    let repetitions = max(1, Int(1e9 / flops))
    var speeds: [Double] = []
    var fractions: [Double] = []
    product.run()
    var before = ArithmeticLimit.measure(product.type)
    for _ in 0..<rounds {
      let time = ContinuousClock().measure { for _ in 0..<repetitions { product.run() } }
      speeds.append(flops * Double(repetitions) / time.seconds * 1e-9)
      let after = ArithmeticLimit.measure(product.type)
      fractions.append(speeds[speeds.count - 1] / ((before + after) / 2))
      limits[product.type, default: []].append(after)
      before = after
    }
    return Result(product: product, speed: median(speeds), fraction: median(fractions))
  }

  private func report(_ results: [Result], _ limits: [DType: Double]) throws {
    let engine = "\(KernelFamily.active.name) kernels"
    guard output.isJSON else {
      for type in [DType.float32, .bfloat16] {
        try StandardOutput.line("limit \(type): \(decimal(limits[type] ?? 0, 1)) GFLOP/s")
      }
      for result in results {
        let product = result.product
        try StandardOutput.line(
          "\(product.layout.rawValue) \(product.type) \(product.m) x \(product.n) x \(product.k): "
            + "\(decimal(result.speed, 1)) GFLOP/s, \(decimal(100 * result.fraction, 1)) %")
      }
      return try StandardOutput.line("\(Threads.count) threads, \(engine)")
    }
    try StandardOutput.json([
      "limit_gflops": [
        "float32": .number(limits[.float32] ?? 0), "bfloat16": .number(limits[.bfloat16] ?? 0),
      ],
      "results": .array(
        results.map { result in
          let product = result.product
          return [
            "layout": .string(product.layout.rawValue), "dtype": .string("\(product.type)"),
            "m": JSONValue(product.m), "n": JSONValue(product.n), "k": JSONValue(product.k),
            "gflops": .number(result.speed), "fraction": .number(result.fraction),
            "engine": .string(engine),
          ]
        }), "threads": JSONValue(Threads.count),
    ])
  }
}

/// How the factors of c [m, n] = a b lie in memory.
private enum Layout: String, CaseIterable {
  /// a [m, k], b [n, k]: a layer's forward pass.
  case nt = "NT"
  /// a [m, k], b [k, n]: the gradient of a layer's input.
  case nn = "NN"
  /// a [k, m], b [k, n]: the gradient of a weight.
  case tn = "TN"
}

private struct Result {
  let product: Product
  let speed: Double
  let fraction: Double
}

/// One product with its factors.
private struct Product {
  let layout: Layout
  let type: DType
  let m: Int
  let n: Int
  let k: Int
  private let a: Tensor
  private let b: Tensor
  private let c: Tensor

  init(layout: Layout, type: DType, m: Int, n: Int, k: Int) {
    (self.layout, self.type) = (layout, type)
    (self.m, self.n, self.k) = (m, n, k)
    var random = SeededRandom(seed: 0, path: "bench/gemm")
    a = random.normal(layout == .tn ? [k, m] : [m, k])
    b = random.normal(layout == .nt ? [n, k] : [k, n]).converted(to: type)
    c = .zeros([m, n])
  }

  func run() {
    // Nobody else holds the result.
    let result = UnsafeMutablePointer(mutating: c.floats)
    withExtendedLifetime((a, b, c)) {
      switch layout {
      case .nt:
        multiply(rows: m, a.floats, byTransposeOf: b, precision: .ofWeights, into: result)
      case .nn:
        multiply(rows: m, a.floats, by: b, precision: .ofWeights, into: result)
      case .tn:
        multiply(
          transposeOf: a.floats, by: b.floats, rows: k, out: m, inner: n, rounds: false, beta: 0,
          into: result)
      }
    }
  }
}
