import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

@Suite struct OperationTests {
  static let cases = (try? OperationCase.all.get()) ?? []

  @Test func fixturesAreComplete() throws {
    let cases = try OperationCase.all.get()
    #expect(cases.count > 100)
    #expect(Set(cases.map(\.operation)).count > 25)
  }

  /// Values and gradients against PyTorch in float64.
  @Test(arguments: cases)
  func agreesWithPyTorch(_ example: OperationCase) throws {
    let parameters = example.inputs.map { Parameter($0, isTrainable: $0.dtype == .float32) }
    let result = try example.evaluate(parameters.map { Variable($0) })
    let tolerance = example.tolerance
    let value = compare(result.value, to: example.out)
    #expect(value.isWithin(relative: tolerance), "value: \(value)")

    let gradients = result.gradients(from: example.dy)
    for (index, expected) in example.gradients {
      let gradient = try #require(gradients[parameters[index]], "input \(index) has no gradient")
      let comparison = compare(gradient, to: expected)
      // A saturated softmax has gradients far below what flows in: differences of equal numbers.
      let isTiny = comparison.magnitude < 1e-3 && comparison.isWithin(absolute: 1e-7)
      #expect(
        isTiny || comparison.isWithin(relative: tolerance),
        "gradient of input \(index): \(comparison)")
    }
    #expect(gradients.parameters.count == example.gradients.count)
  }

  /// Functions of single elements are right for each element, small results included.
  @Test(arguments: cases.filter { $0.name == "rank1" || $0.name == "rank3" })
  func everyElementAgrees(_ example: OperationCase) throws {
    guard example.inputs.count == 1 else { return }
    let x = Parameter(example.inputs[0])
    let result = try example.evaluate([Variable(x)])
    let gradient = try #require(result.gradients(from: example.dy)[x])
    for (found, expected) in [
      (result.value, example.out), (gradient, try #require(example.gradients[0])),
    ] {
      for (a, b) in zip(found.scalars(), expected.scalars()) {
        #expect(abs(a - b) <= 4e-6 * abs(b) + 3e-7, "\(a) for \(b)")
      }
    }
  }

  /// An input that needs no gradient changes nothing for the others, one at a time.
  @Test(arguments: cases.filter { $0.gradients.count > 1 })
  func eachInputAloneGetsItsGradient(_ example: OperationCase) throws {
    for (index, expected) in example.gradients {
      let parameters = example.inputs.enumerated().map { Parameter($1, isTrainable: $0 == index) }
      let result = try example.evaluate(parameters.map { Variable($0) })
      let gradients = result.gradients(from: example.dy)
      #expect(gradients.parameters.count == 1)
      let gradient = try #require(gradients[parameters[index]])
      let comparison = compare(gradient, to: expected)
      #expect(comparison.isWithin(relative: example.tolerance), "input \(index): \(comparison)")
    }
  }

  /// The same results where nothing is recorded, bit for bit.
  @Test(arguments: cases)
  func recordingChangesNoBit(_ example: OperationCase) throws {
    let parameters = example.inputs.map { Parameter($0, isTrainable: $0.dtype == .float32) }
    let recorded = try example.evaluate(parameters.map { Variable($0) })
    let plain = try withoutGradients { try example.evaluate(parameters.map { Variable($0) }) }
    #expect(recorded.requiresGradient && !plain.requiresGradient)
    #expect(recorded.value == plain.value)
  }

  /// Cases whose functions are smooth within the steps of finite differences: no extreme inputs,
  /// no kink of ReLU, and small enough for a debug build.
  static let smooth = cases.filter { example in
    let isExtreme =
      example.name == "large" && example.operation != "matmul"
      || example.name == "rank1" && example.operation != "embedding"
      || ["relu", "log", "sqrt"].contains(example.operation)
      || example.operation == "rmsnorm" && example.name == "small"
      || example.operation == "layernorm" && example.name.hasPrefix("small")
    return !isExtreme && example.out.elementCount <= 700
  }

  @Test(arguments: smooth)
  func agreesWithFiniteDifferences(_ example: OperationCase) throws {
    let positions = example.gradients.keys.sorted()
    let report = checkGradients(
      at: positions.map { example.inputs[$0] }, step: 0x1p-8, maximumElements: 12
    ) { variables in
      var all = example.inputs.map { Variable($0) }
      for (position, variable) in zip(positions, variables) { all[position] = variable }
      do {
        return try example.evaluate(all)
      } catch {
        Issue.record(error)
        return variables[0]
      }
    }
    #expect(report.isCorrect, "\(report)")
    // Ignored targets have a gradient of zero, which is a comparison too.
    #expect(report.count > 0)
  }

  @Test(arguments: [Activation.relu, .log, .sqrt, .square, .tanh, .sigmoid])
  func activationAgreesWithFiniteDifferences(_ activation: Activation) {
    var random = SeededRandom(seed: 1, path: activation.rawValue)
    let x = random.uniform([3, 7], in: 0.75..<1.5)
    let report = checkGradients(at: [x]) { $0[0](activation) }
    #expect(report.isCorrect, "\(report)")
    if activation == .relu {
      let negative = checkGradients(at: [x.scaled(by: -1)]) { $0[0](activation) }
      #expect(negative.error == 0)
    }
  }
}
