import Benchmark
import LoRAKit

/// Times of the parts that training and generation consist of. `swift package benchmark` runs them.
let benchmarks: @Sendable () -> Void = {
  Benchmark.defaultConfiguration = .init(
    metrics: [.wallClock, .cpuTotal, .peakMemoryResident], warmupIterations: 2,
    maxDuration: .seconds(3))
  products()
  adaptedLinear()
  trainingStep()
}

/// `x Wᵀ` of 512 tokens, in the types that weights are stored in.
private func products() {
  for type in [DType.float32, .bfloat16] {
    Benchmark("Product512x2048x2048-\(type)") { benchmark in
      var random = SeededRandom(seed: 0, path: "products")
      let x = Variable(random.normal([512, 2048]))
      let w = Variable(random.normal([2048, 2048]).converted(to: type))
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations { blackHole(x.linear(weight: w)) }
    }
  }
}

/// A linear layer's forward pass without and with an adapter of each rank.
private func adaptedLinear() {
  for rank in [0, 8, 16, 64] {
    Benchmark("AdaptedLinear512x2048x2048-rank\(rank)") { benchmark in
      var random = SeededRandom(seed: 0, path: "linear")
      let layer = Linear(inputSize: 2048, outputSize: 2048, bias: false, using: &random)
      if rank > 0 { try layer.inject(LoRA(rank: rank)) }
      let x = Variable(random.normal([512, 2048]))
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations { withoutGradients { blackHole(layer(x)) } }
    }
  }
}

/// Loss and gradients of an adapter on a small Llama.
private func trainingStep() {
  Benchmark("TrainingStep-4x256") { benchmark in
    let configuration = ModelConfiguration(
      hiddenSize: 256, intermediateSize: 672, layerCount: 4, headCount: 4, keyValueHeadCount: 2,
      vocabularySize: 1536, tiesWordEmbeddings: true)
    let model = try LlamaModel(randomFor: configuration)
    model.setTrainable(false)
    try model.inject(LoRA(rank: 16, alpha: 32))
    var random = SeededRandom(seed: 0, path: "tokens")
    let ids = (0..<4 * 256).map { _ in Int64.random(in: 0..<1536, using: &random) }
    let tokens = Tensor(ids, shape: [4, 256])
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations {
      blackHole(model.loss(tokens: tokens, targets: tokens, scale: 1 / 1024).gradients())
    }
  }
}
