import LoRAAutograd
public import LoRAModels
import LoRATensor

/// A violation of the rules for adapters by a layer or a method.
public struct ConformanceFailure: Sendable, Hashable, CustomStringConvertible {
  /// The rule, such as "merged forward = unmerged forward".
  public let law: String
  /// The observed result.
  public let finding: String

  /// The rule and the observed result.
  public var description: String { "\(law): \(finding)" }
}

/// Checks that `method` works correctly on `layer`: call it in a test of your own layer or adapter
/// method.
///
/// ```swift
/// @Test func blockDiagonalTakesLoRA() throws {
///   let failures = try checkAdapter(LoRA(rank: 2, alpha: 6), on: BlockDiagonal(...))
///   #expect(failures.isEmpty, "\(failures)")
/// }
/// ```
///
/// Checked on a random batch:
/// - a fresh adapter changes no bit of the output, and a trained adapter changes it;
/// - strength scales the change, and strength 0 is the base bit for bit;
/// - the items of a batch do not depend on each other;
/// - the gradients of the adapter's parameters and of the input match finite differences, and no
///   parameter of the base gets one;
/// - merging gives the output of the unmerged layer, and unmerging restores its bits;
/// - a fresh adapter with the same values under the same names computes the same bits, which saving
///   and loading rely on;
/// - the seed determines the initial values;
/// - detaching restores the output of the original layer, and its parameters, bit for bit.
///
/// Use a rank of 2 or more and a scale other than 1; a rank or scale of 1 hides mistakes.
/// Afterwards the layer is as before.
///
/// - Parameters:
///   - method: the recipe to check.
///   - layer: a small linear layer without adapters; gradients cost hundreds of passes.
///   - seed: the seed of the batch and of the adapter's values.
///   - tolerance: the tolerance for results that need not be bit-identical, relative to the largest
///     magnitude. A weight stored in 16 bits is merged with its own, larger rounding.
/// - Returns: the broken rules; empty if there are none.
/// - Throws: the errors of making the adapter and of merging.
public func checkAdapter(
  _ method: some AdapterMethod, on layer: any LinearLayer, seed: UInt64 = 0,
  tolerance: Double = 1e-4
) throws -> [ConformanceFailure] {
  var suite = AdapterSuite(layer: layer, seed: seed, tolerance: tolerance)
  guard layer.adapterNames.isEmpty else {
    suite.fail("the layer is free", "adapters are attached: \(layer.adapterNames)")
    return suite.failures
  }
  let trainable = layer.namedParameters().filter { $0.parameter.isTrainable }
  defer { for (_, parameter) in trainable { parameter.isTrainable = true } }
  // Gradients of the base are looked for in the checks: trainable parameters would have them.
  layer.setTrainable(false)
  try suite.run { random in try method.makeAdapter(for: layer, using: &random) }
  return suite.failures
}

private struct AdapterSuite {
  let layer: any LinearLayer
  let tolerance: Double
  let seed: UInt64
  let name = "checked"
  let x: Tensor
  /// The parameters of the base and their values before anything happened.
  let base: [(path: String, parameter: Parameter, value: Tensor)]
  var failures: [ConformanceFailure] = []

  init(layer: any LinearLayer, seed: UInt64, tolerance: Double) {
    self.layer = layer
    self.seed = seed
    self.tolerance = tolerance
    var random = SeededRandom(seed: seed, path: "checkAdapter.input")
    x = random.normal([2, 3, layer.inputSize])
    base = layer.namedParameters().map { ($0.path, $0.parameter, $0.parameter.value) }
  }

  mutating func fail(_ law: String, _ finding: String) {
    failures.append(ConformanceFailure(law: law, finding: finding))
  }

  mutating func expectEqual(_ law: String, _ found: Tensor, _ expected: Tensor) {
    if found != expected { fail(law, "\(compare(found, to: expected))") }
  }

  mutating func expectClose(
    _ law: String, _ found: Tensor, _ expected: Tensor, within limit: Double? = nil
  ) {
    let comparison = compare(found, to: expected)
    if !comparison.isWithin(relative: limit ?? tolerance) { fail(law, "\(comparison)") }
  }

  func output(_ selection: AdapterSelection) throws -> Tensor {
    try layer.withAdapters(selection) { layer(Variable(x)).value }
  }

  typealias Maker = (inout SeededRandom) throws -> any LinearAdapter

  /// An adapter with the same initial values every time.
  func fresh(_ make: Maker) throws -> any LinearAdapter {
    var random = SeededRandom(seed: seed, path: "checkAdapter.adapter")
    return try make(&random)
  }

  mutating func run(_ make: Maker) throws {
    let untouched = layer(Variable(x)).value
    let adapter = try fresh(make)
    checkSeed(adapter, try fresh(make))
    try layer.attach(["": adapter], named: name)
    do {
      defer { try? layer.detach(name) }
      expectEqual("a fresh adapter changes nothing", layer(Variable(x)).value, untouched)
      disturb(adapter)
      try checkStrength(untouched)
      try checkRows()
      checkGradients(adapter)
      try checkMerging()
      try checkState(adapter, make)
    }
    expectEqual("detaching restores the output", layer(Variable(x)).value, untouched)
    for (path, parameter, value) in base where parameter.value != value {
      fail("the base is never written to", "\(path) changed")
    }
  }

  /// Stands in for training: every trainable number moves away from where it started.
  private func disturb(_ adapter: any LinearAdapter) {
    for (path, parameter) in adapter.namedParameters() where parameter.isTrainable {
      var random = SeededRandom(seed: seed, path: "checkAdapter.disturb.\(path)")
      parameter.value = parameter.value + random.normal(parameter.shape, standardDeviation: 0.3)
    }
  }

  private mutating func checkSeed(_ a: any LinearAdapter, _ b: any LinearAdapter) {
    let law = "the seed determines the initial values"
    let (first, second) = (a.namedParameters(), b.namedParameters())
    if first.isEmpty { fail("an adapter has parameters", "it lists none") }
    if first.map(\.path) != second.map(\.path) {
      return fail(law, "names \(first.map(\.path)) and then \(second.map(\.path))")
    }
    for (x, y) in zip(first, second) where x.parameter.value != y.parameter.value {
      fail(law, "\(x.path) differs")
    }
    if Set(first.map(\.path)).count != first.count {
      fail("parameters have different names", "\(first.map(\.path))")
    }
  }

  private mutating func checkStrength(_ untouched: Tensor) throws {
    expectEqual("strength 0 is the base", try output([name: 0]), untouched)
    expectEqual("no adapter selected is the base", try output([:]), untouched)
    let full = try output([name: 1])
    if full == untouched { fail("a trained adapter has an effect", "the output is the base's") }
    expectEqual("attached adapters apply at strength 1", layer(Variable(x)).value, full)
    let change = full - untouched
    for strength: Float in [0.5, -1, 3] {
      expectClose(
        "strength scales the change", try output([name: strength]),
        untouched + change.scaled(by: strength))
    }
  }

  private mutating func checkRows() throws {
    let batch = try output([name: 1]).reshaped(to: [6, layer.outputSize])
    let rows = x.reshaped(to: [6, layer.inputSize])
    for row in 0..<6 {
      let single = try layer.withAdapters([name: 1]) {
        layer(Variable(rows[rows: row..<row + 1])).value
      }
      expectClose("rows do not depend on each other", single, batch[rows: row..<row + 1])
    }
  }

  private mutating func checkGradients(_ adapter: any LinearAdapter) {
    let parameters = adapter.namedParameters().map(\.parameter).filter(\.isTrainable)
    let limit = max(tolerance, 2e-3)
    let ofParameters = LoRATesting.checkGradients(
      of: parameters, tolerance: limit, maximumElements: 24
    ) { [layer, x] in layer(Variable(x)) }
    if !ofParameters.isCorrect {
      fail("the adapter's gradients match finite differences", "\(ofParameters)")
    }
    let ofInput = LoRATesting.checkGradients(
      at: [x], tolerance: limit, maximumElements: 24
    ) { [layer] in layer($0[0]) }
    if !ofInput.isCorrect {
      fail("the input's gradient matches finite differences", "\(ofInput)")
    }
    let gradients = layer(Variable(x)).sum().gradients()
    for (path, parameter, _) in base where gradients[parameter] != nil {
      fail("no gradient reaches the base", "\(path) has one")
    }
    for (path, parameter) in adapter.namedParameters()
    where parameter.isTrainable && gradients[parameter] == nil {
      fail("every trainable parameter gets a gradient", "\(path) has none")
    }
  }

  private mutating func checkMerging() throws {
    for strength: Float in [1, -0.5] {
      let unmerged = try output([name: strength])
      try layer.mergeAdapters([name: strength])
      do {
        defer { try? layer.unmergeAdapters() }
        let limit: Double =
          switch layer.weight?.value.dtype {
          case .bfloat16: 0x1p-7
          case .float16: 0x1p-10
          default: tolerance
          }
        expectClose(
          "merged forward = unmerged forward", layer(Variable(x)).value, unmerged,
          within: max(tolerance, limit))
      }
      try layer.enableAdapters([name: 1])
      expectEqual(
        "unmerging restores the bits", try output([name: strength]), unmerged)
    }
  }

  private mutating func checkState(_ adapter: any LinearAdapter, _ make: Maker) throws {
    let law = "parameters are the adapter's whole state"
    let expected = try output([name: 1])
    let copy = try fresh(make)
    let values = Dictionary(
      adapter.namedParameters().map { ($0.path, $0.parameter.value) },
      uniquingKeysWith: { first, _ in first })
    for (path, parameter) in copy.namedParameters() {
      guard let value = values[path], value.shape == parameter.shape else {
        return fail(law, "a fresh adapter has no \(path) of the same shape")
      }
      parameter.value = value
    }
    try layer.swapAdapter(name, for: ["": copy])
    defer { try? layer.swapAdapter(name, for: ["": adapter]) }
    expectEqual(law, try output([name: 1]), expected)
  }
}
