import Foundation
import LoRAAutograd
import LoRAFormats
import LoRATensor
import LoRATesting
import Testing
@testable import LoRAModels

/// What every adapter method has to keep: on dense layers with and without a bias, and on one that
/// only says how it projects.
@Suite struct MethodTests {
  static let layers = ["dense", "dense with bias", "own", "own with bias"]

  static func layer(_ kind: String) -> any LinearLayer {
    var random = SeededRandom(seed: 3, path: "layer")
    let dense = Linear(
      inputSize: 12, outputSize: 10, bias: kind.hasSuffix("bias"), using: &random)
    return kind.hasPrefix("own") ? OpaqueLinear(dense) : dense
  }

  @Test(arguments: layers) func loraWithBias(kind: String) throws {
    let failures = try checkAdapter(
      LoRA(rank: 3, alpha: 5, hasBias: true), on: Self.layer(kind))
    #expect(failures.isEmpty, "\(failures)")
  }

  @Test(arguments: layers, LoRA.Initialization.allCases)
  func initializations(kind: String, initialization: LoRA.Initialization) throws {
    let method = LoRA(rank: 4, alpha: 6, initialization: initialization)
    let failures = try checkAdapter(method, on: Self.layer(kind)).filter {
      // The product of orthogonal factors is zero within rounding only.
      initialization != .orthogonal || $0.law != "a fresh adapter changes nothing"
    }
    #expect(failures.isEmpty, "\(failures)")
    // Plain factors of twice the rank sum in another order.
    let isPlain = initialization != .pissa && initialization != .olora
    try Self.expectReturn(method, on: Self.layer(kind), within: isPlain ? 0 : 1e-6)
    let json = try JSONEncoder().encode(method)
    #expect(try JSONDecoder().decode(LoRA.self, from: json) == method)
  }

  @Test(arguments: layers) func vera(kind: String) throws {
    var method = VeRA(rank: 4)
    method.initialScale = 0.7
    method.projectionKey = 5
    let failures = try checkAdapter(method, on: Self.layer(kind))
    #expect(failures.isEmpty, "\(failures)")
    #expect(
      try JSONDecoder().decode(VeRA.self, from: try JSONEncoder().encode(method)) == method)
    method.initialScale = 0
    #expect(throws: AdapterError.self) { try checkAdapter(method, on: Self.layer(kind)) }
  }

  @Test func olderRecipesAreRead() throws {
    let json = #"{"rank": 4, "alpha": 2, "dropout": 0.5, "isRankStabilized": true}"#
    #expect(
      try JSONDecoder().decode(LoRA.self, from: Data(json.utf8))
        == LoRA(rank: 4, alpha: 2, dropout: 0.5, isRankStabilized: true))
  }

  @Test func recipesOfAllMethodsAreReadWithoutKeys() throws {
    func expect<Method: AdapterMethod & Codable & Equatable>(
      _ json: String, _ expected: Method
    ) throws {
      #expect(try JSONDecoder().decode(Method.self, from: Data(json.utf8)) == expected)
      #expect(
        try JSONDecoder().decode(Method.self, from: try JSONEncoder().encode(expected)) == expected)
    }
    try expect("{}", LoRA())
    try expect(#"{"rank": 3}"#, DoRA(rank: 3))
    try expect(#"{"isRankStabilized": true}"#, DoRA(isRankStabilized: true))
    try expect(#"{"alpha": 2}"#, LoHa(alpha: 2))
    try expect(#"{"rank": 3, "factor": 4}"#, LoKr(rank: 3, factor: 4))
    try expect("{}", LoKr())
    try expect("{}", IA3())
    try expect(#"{"rank": 3}"#, VeRA(rank: 3))
    try expect(#"{"feedForward": ["fc"]}"#, IA3(feedForward: ["fc"]))
  }

  @Test func orthogonalFactorsCancel() throws {
    let layer = Self.layer("dense")
    var random = SeededRandom(seed: 1, path: "orthogonal")
    let adapter = try LoRA(rank: 4, alpha: 8, initialization: .orthogonal)
      .makeAdapter(for: layer, using: &random)
    let (a, b) = (adapter.a.value, adapter.b.value)
    #expect(a.scalars().contains { abs($0) > 0.01 } && b.scalars().contains { abs($0) > 0.01 })
    #expect(b.matrixProduct(with: a).scalars().allSatisfy { abs($0) < 1e-7 })
    #expect(throws: AdapterError.self) {
      try LoRA(rank: 3, initialization: .orthogonal).makeAdapter(for: layer, using: &random)
    }
  }

  /// The parts that PEFT takes off the base: `s B A` is the best approximation of the rank, or the
  /// start of a QR decomposition.
  @Test(arguments: [LoRA.Initialization.pissa, .olora])
  func factorsComeFromTheWeight(initialization: LoRA.Initialization) throws {
    let layer = Self.layer("dense")
    let weight = layer.denseWeight()
    func product(rank: Int) throws -> Tensor {
      var random = SeededRandom(seed: 1, path: "a")
      let adapter = try LoRA(rank: rank, alpha: 6, initialization: initialization)
        .makeAdapter(for: layer, using: &random)
      #expect(adapter.origin?.a.value == adapter.a.value)
      #expect(adapter.namedParameters().filter(\.parameter.isTrainable).count == 2)
      if initialization == .olora {
        let b = adapter.b.value
        let gram = b.matrixProduct(with: b, transposeSelf: true).scalars()
        for index in gram.indices {
          #expect(abs(gram[index] - (index % (rank + 1) == 0 ? 1 : 0)) < 1e-6)
        }
      }
      let product = adapter.b.value.matrixProduct(with: adapter.a.value)
      return initialization == .olora ? product : product.scaled(by: adapter.scale)
    }
    // All of the rank is all of the weight.
    #expect(compare(try product(rank: 10), to: weight).isWithin(relative: 1e-5))
    let rest = weight - (try product(rank: 4))
    let values = try weight.singularValues().scalars()
    let squares = values.dropFirst(4).reduce(Double(0)) { $0 + Double($1 * $1) }
    if initialization == .pissa {
      #expect(abs(rest.sumOfSquares() - squares) < 1e-5 * squares)
    } else {
      #expect(rest.sumOfSquares() > squares)
    }
    #expect(throws: AdapterError.self) { try product(rank: 11) }
  }

  /// A change made of an adapter, and an adapter made of that change, compute the same bits.
  static func expectReturn(
    _ method: some AdapterMethod, on layer: any LinearLayer, within tolerance: Double = 0
  ) throws {
    var random = SeededRandom(seed: 1, path: "adapter")
    let adapter = try method.makeAdapter(for: layer, using: &random)
    for (path, parameter) in adapter.namedParameters() {
      var random = SeededRandom(seed: 4, path: path)
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.3)
    }
    let change = try #require(adapter.change)
    let copy = try change.makeAdapter()
    #expect(copy.namedParameters().allSatisfy { !$0.parameter.isTrainable })
    #expect([nil, layer.inputSize].contains(copy.extents.inputSize))
    #expect([nil, layer.outputSize].contains(copy.extents.outputSize))
    var inputs = SeededRandom(seed: 5, path: "x")
    let x = Variable(inputs.normal([4, layer.inputSize]))
    func output(_ adapter: any LinearAdapter) throws -> Tensor {
      try layer.attach(["": adapter], named: "one")
      defer { try? layer.detach("one") }
      return layer(x).value
    }
    let (first, second) = (try output(adapter), try output(copy))
    #expect(compare(first, to: second).isWithin(relative: tolerance))
    #expect(first != layer(x).value)
  }

  @Test(arguments: layers) func loraReturns(kind: String) throws {
    try Self.expectReturn(LoRA(rank: 3, alpha: 5, hasBias: true), on: Self.layer(kind))
    try Self.expectReturn(LoRA(rank: 3, alpha: 5, isRankStabilized: true), on: Self.layer(kind))
  }

  @Test(arguments: layers) func dora(kind: String) throws {
    let failures = try checkAdapter(DoRA(rank: 3, alpha: 5), on: Self.layer(kind))
    #expect(failures.isEmpty, "\(failures)")
    try Self.expectReturn(DoRA(rank: 3, alpha: 5), on: Self.layer(kind))
  }

  @Test(arguments: layers) func ia3(kind: String) throws {
    for method in [IA3(), IA3(feedForward: [""])] {
      let failures = try checkAdapter(AtPath(method, ""), on: Self.layer(kind))
      #expect(failures.isEmpty, "\(failures)")
      try Self.expectReturn(AtPath(method, ""), on: Self.layer(kind))
    }
  }

  @Test(arguments: layers) func loha(kind: String) throws {
    let failures = try checkAdapter(LoHa(rank: 3, alpha: 5), on: Self.layer(kind))
    #expect(failures.isEmpty, "\(failures)")
    try Self.expectReturn(LoHa(rank: 3, alpha: 5), on: Self.layer(kind))
  }

  /// C₁ and C₂ are [2, 3] and [5, 4]: whole or products, as the rank says.
  @Test(arguments: layers) func lokr(kind: String) throws {
    for method in [
      LoKr(rank: 2, alpha: 3), LoKr(rank: 4, alpha: 3),
      LoKr(rank: 1, alpha: 3, decomposesBoth: true), LoKr(rank: 1, alpha: 3, factor: 2),
    ] {
      let failures = try checkAdapter(method, on: Self.layer(kind))
      #expect(failures.isEmpty, "\(method): \(failures)")
      try Self.expectReturn(method, on: Self.layer(kind))
    }
  }

  @Test func factorsOfSizesArePEFTs() {
    func pair(_ size: Int, _ factor: Int) -> [Int] {
      let (m, n) = LoKr.factors(of: size, near: factor)
      return [m, n]
    }
    // What peft.tuners.lokr.layer.factorization returns.
    #expect(pair(256, -1) == [16, 16])
    #expect(pair(128, -1) == [8, 16])
    #expect(pair(127, -1) == [1, 127])
    #expect(pair(128, 4) == [4, 32])
    #expect(pair(896, -1) == [28, 32])
    #expect(pair(4864, -1) == [64, 76])
    #expect(pair(896, 10) == [8, 112])
  }

  @Test func whatIsNoLinearLayersIsRefused() throws {
    let a = Tensor.zeros([2, 4])
    let embedding = LowRankChange(a: a, b: .zeros([3, 2]), alpha: 2, scale: 1, isEmbedding: true)
    #expect(throws: AdapterError.self) { try embedding.makeAdapter(layer: "embed") }
    let convolution = LowRankChange(
      a: .zeros([2, 4, 3, 3]), b: .zeros([3, 2, 1, 1]), alpha: 2, scale: 1)
    #expect(throws: AdapterError.self) { try convolution.makeAdapter(layer: "conv") }
    let misfit = LowRankChange(a: a, b: .zeros([3, 2]), alpha: 2, scale: 1, bias: .zeros([4]))
    #expect(throws: AdapterError.self) { try misfit.makeAdapter(layer: "bias") }
  }
}

/// A layer that shows adapters nothing but what ``LinearLayer`` demands.
final class OpaqueLinear: LinearLayer {
  let inner: Linear
  let slot = AdapterSlot()

  init(_ inner: Linear) { self.inner = inner }

  var children: Named<any Module> { ["inner": inner] }
  var inputSize: Int { inner.inputSize }
  var outputSize: Int { inner.outputSize }
  var bias: Parameter? { inner.bias }
  func project(_ x: Variable) -> Variable { inner.project(x) }
  func denseWeight() -> Tensor { inner.denseWeight() }
}

/// A method as injection uses it on the layer at one path.
private struct AtPath<Method: AdapterMethod>: AdapterMethod {
  let method: Method
  let path: String

  init(_ method: Method, _ path: String) {
    self.method = method
    self.path = path
  }

  func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> Method.Adapter {
    try method.makeAdapter(for: layer, at: path, using: &random)
  }
}
