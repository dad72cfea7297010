import LoRAAutograd
import LoRAModels
import LoRATensor
import LoRATesting
import Synchronization
import Testing

@Suite struct AdapterConformanceTests {
  static func linear(bias: Bool, _ dtype: DType = .float32) -> Linear {
    var random = SeededRandom(seed: 3, path: "linear")
    let layer = Linear(inputSize: 6, outputSize: 5, bias: bias, using: &random)
    if dtype == .float32 { return layer }
    let weight = layer.denseWeight().converted(to: dtype)
    return Linear(weight: Parameter(weight, isTrainable: false), bias: layer.bias)
  }

  @Test(arguments: [false, true], [DType.float32, .bfloat16, .float16])
  func loraKeepsTheLaws(bias: Bool, dtype: DType) throws {
    let layer = Self.linear(bias: bias, dtype)
    let trainable = layer.namedParameters().map(\.parameter.isTrainable)
    for method in [
      LoRA(rank: 2, alpha: 6), LoRA(rank: 3, alpha: 2, isRankStabilized: true),
      LoRA(rank: 9, alpha: 4, dropout: 0.5),
    ] {
      let failures = try checkAdapter(method, on: layer)
      #expect(failures.isEmpty, "\(method): \(failures)")
    }
    #expect(layer.adapterNames.isEmpty)
    #expect(layer.namedParameters().map(\.parameter.isTrainable) == trainable)
  }

  @Test func aLayerOfOnesOwnKeepsTheLaws() throws {
    let failures = try checkAdapter(LoRA(rank: 2, alpha: 6), on: BlockDiagonal())
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test func aMethodOfOnesOwnKeepsTheLaws() throws {
    for bias in [false, true] {
      let failures = try checkAdapter(OutputScale(), on: Self.linear(bias: bias))
      #expect(failures.isEmpty, "\(failures)")
    }
  }

  /// Every mistake is noticed by the law that it breaks.
  @Test(arguments: Broken.Mistake.allCases)
  func mistakesAreFound(_ mistake: Broken.Mistake) throws {
    let failures = try checkAdapter(Broken(mistake: mistake), on: Self.linear(bias: true))
    #expect(failures.contains { $0.law == mistake.law }, "\(failures)")
  }

  @Test func aLayerWithAdaptersIsRefused() throws {
    let layer = Self.linear(bias: false)
    try layer.inject(LoRA(), named: "taken", into: .matching("all") { _ in true })
    let failures = try checkAdapter(LoRA(rank: 2, alpha: 6), on: layer)
    #expect(failures.count == 1 && layer.adapterNames == ["taken"])
  }
}

/// A linear layer that stores no dense weight: two blocks on the diagonal.
private final class BlockDiagonal: LinearLayer {
  let blocks: [Parameter]
  let offset = Parameter(Tensor([0.5, -0.5, 0.25, 1, -1, 2] as [Float]))
  let slot = AdapterSlot()
  init() {
    var random = SeededRandom(seed: 5, path: "blocks")
    blocks = (0..<2).map { _ in Parameter(random.normal([3, 4])) }
  }
  var inputSize: Int { 8 }
  var outputSize: Int { 6 }
  var bias: Parameter? { offset }
  var parameters: Named<Parameter> { .list("blocks", blocks) + ["bias": offset] }
  func project(_ x: Variable) -> Variable {
    .concatenated(
      blocks.enumerated().map { index, block in
        x.sliced(axis: -1, 4 * index..<4 * index + 4).linear(weight: Variable(block))
      }, axis: -1)
  }
  func denseWeight() -> Tensor {
    let zeros = Tensor.zeros([3, 4])
    return .concatenated([
      .concatenated([blocks[0].value, zeros], axis: 1),
      .concatenated([zeros, blocks[1].value], axis: 1),
    ])
  }
}

/// A method that is not low-rank: each output, bias included, is scaled by `1 + g`.
private struct OutputScale: AdapterMethod {
  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    Adapter(g: Parameter(.zeros([layer.outputSize])))
  }

  final class Adapter: LinearAdapter {
    let g: Parameter
    init(g: Parameter) { self.g = g }
    var parameters: Named<Parameter> { ["g": g] }
    var effect: AdapterEffect { .scaling(ScalingEffect(vector: Variable(g).adding(1))) }
  }
}

/// LoRA with one mistake.
struct Broken: AdapterMethod {
  enum Mistake: String, CaseIterable, Sendable {
    case freshEffect, noEffect, strengthIgnored, mergeScale, gradient, hiddenState, rowsMixed, seed

    var law: String {
      switch self {
      case .freshEffect: "a fresh adapter changes nothing"
      case .noEffect: "a trained adapter has an effect"
      case .strengthIgnored: "strength scales the change"
      case .mergeScale: "merged forward = unmerged forward"
      case .gradient: "the adapter's gradients match finite differences"
      case .hiddenState: "parameters are the adapter's whole state"
      case .rowsMixed: "rows do not depend on each other"
      case .seed: "the seed determines the initial values"
      }
    }
  }

  let mistake: Mistake
  private static let counter = Atomic<Int>(0)

  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter {
    let count = Self.counter.add(1, ordering: .relaxed).newValue
    var a = random.normal([2, layer.inputSize])
    if mistake == .seed { a = a.adding(Float(count)) }
    let b = Tensor.zeros([layer.outputSize, 2]).adding(mistake == .freshEffect ? 0.1 : 0)
    return Adapter(mistake: mistake, a: a, b: b, hidden: Float(count))
  }

  final class Adapter: LinearAdapter {
    let mistake: Mistake
    let a: Parameter
    let b: Parameter
    let hidden: Float
    init(mistake: Mistake, a: Tensor, b: Tensor, hidden: Float) {
      self.mistake = mistake
      self.a = Parameter(a)
      self.b = Parameter(b)
      self.hidden = hidden
    }
    var parameters: Named<Parameter> { ["a": a, "b": b] }
    var effect: AdapterEffect {
      .computed(
        ComputedEffect { [self] x, _, strength in
          var up = Variable(b)
          if mistake == .gradient { up = Self.doubled(up) }
          var h = x.linear(weight: Variable(a))
          if mistake == .rowsMixed, h.shape.count > 2 { h = h + h.mean(axis: 0) }
          var scale: Float = 3
          if mistake == .noEffect { scale = 0 }
          if mistake == .hiddenState { scale = hidden }
          return h.linear(weight: up)
            .scaled(by: mistake == .strengthIgnored ? scale : scale * strength)
        } delta: { [self] _ in
          let product = b.value.matrixProduct(with: a.value)
          return LinearWeights(weight: product.scaled(by: mistake == .mergeScale ? 1 : 3))
        })
    }
    /// The identity with twice its gradient.
    private static func doubled(_ x: Variable) -> Variable {
      .record(x.value, inputs: [x]) { dy, inputs in inputs.add(dy.scaled(by: 2), to: 0) }
    }
  }
}
