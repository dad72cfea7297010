public import LoRAAutograd
public import LoRATensor

/// The result of comparing gradients with finite differences.
public struct GradientReport: Sendable, Hashable {
  /// One derivative, computed both ways.
  public struct Element: Sendable, Hashable {
    /// The index of its parameter or input, in the given order.
    public var input: Int
    /// The element of that tensor, one index per dimension.
    public var index: [Int]
    /// The derivative from the backward pass.
    public var analytic: Double
    /// The derivative from finite differences.
    public var numeric: Double
    /// The difference relative to the largest derivative of the same tensor.
    public var error: Double
  }

  /// The element with the largest error; nil if there was nothing to compare.
  public var worst: Element?
  /// The number of compared derivatives.
  public var count = 0
  /// The given tolerance.
  public var tolerance: Double
  /// The problem that prevented a comparison, such as a result of a different shape.
  public var problem: String?

  /// The largest error relative to the largest derivative of its tensor.
  public var error: Double { problem == nil ? worst?.error ?? 0 : .infinity }

  /// Whether every derivative is within the given tolerance.
  public var isCorrect: Bool { isWithin(tolerance) }

  /// Whether every derivative is within `tolerance`.
  public func isWithin(_ tolerance: Double) -> Bool { error <= tolerance }
}

extension GradientReport: CustomStringConvertible {
  /// The worst derivative, computed both ways.
  public var description: String {
    if let problem { return problem }
    guard let worst else { return "no derivatives to compare" }
    return
      "\(count) derivatives; the worst is of input \(worst.input) at \(worst.index): backward pass "
      + "\(worst.analytic), finite differences \(worst.numeric), relative error \(worst.error)"
  }
}

/// Compares the gradients of `body` with respect to its inputs with central finite differences.
///
/// ```swift
/// let report = checkGradients(at: [x, w]) { $0[0].linear(weight: $0[1]) }
/// #expect(report.isCorrect, "\(report)")     // or XCTAssert(report.isCorrect, "\(report)")
/// ```
///
/// The result may have any shape: its product with fixed random numbers, summed in double
/// precision, is differentiated, so that every element of the result counts differently.
///
/// Each derivative is extrapolated from two step sizes (Richardson). The step's error falls with
/// its fourth power, so steps can be large enough to make float32 rounding negligible. `body` must
/// be smooth within two steps around the inputs (stay away from the kink of ReLU) and compute the
/// same for the same inputs. Values that it declares constant in its backward pass are held at
/// their first value, see `HeldConstants`.
///
/// - Parameters:
///   - inputs: float32 tensors, each of which gets a gradient.
///   - step: the smaller step, relative to the largest magnitude of an input's elements or to 0.1
///     if that is larger.
///   - tolerance: the tolerance of ``GradientReport/isCorrect``, relative to the largest derivative
///     of the same input.
///   - maximumElements: the number of elements to check per input, drawn at random if it has more.
///     Each costs four runs of `body`.
///   - seed: the seed of the random numbers.
///   - body: the computation, given the inputs as variables.
public func checkGradients(
  at inputs: [Tensor], step: Double = 0x1p-7, tolerance: Double = 1e-3, maximumElements: Int = 64,
  seed: UInt64 = 0, _ body: ([Variable]) -> Variable
) -> GradientReport {
  let parameters = inputs.map { Parameter($0) }
  return checkGradients(
    of: parameters, step: step, tolerance: tolerance, maximumElements: maximumElements, seed: seed
  ) { body(parameters.map { Variable($0) }) }
}

/// Compares the gradients of `parameters`, which `body` reads, with central finite differences.
///
/// The parameters are changed and restored meanwhile. For the method see
/// ``checkGradients(at:step:tolerance:maximumElements:seed:_:)``.
///
/// - Parameters:
///   - parameters: trainable parameters. A parameter that is frozen or that `body` does not read
///     has gradient zero here.
///   - step: the smaller step, as in the other function.
///   - tolerance: the tolerance of ``GradientReport/isCorrect``.
///   - maximumElements: the number of elements to check per parameter.
///   - seed: the seed of the random numbers.
///   - body: the computation, which reads the parameters.
public func checkGradients(
  of parameters: [Parameter], step: Double = 0x1p-7, tolerance: Double = 1e-3,
  maximumElements: Int = 64, seed: UInt64 = 0, _ body: () -> Variable
) -> GradientReport {
  HeldConstants.during {
    compareGradients(
      of: parameters, step: step, tolerance: tolerance, maximumElements: maximumElements,
      seed: seed, body)
  }
}

private func compareGradients(
  of parameters: [Parameter], step: Double, tolerance: Double, maximumElements: Int, seed: UInt64,
  _ body: () -> Variable
) -> GradientReport {
  var report = GradientReport(tolerance: tolerance)
  var random = SeededRandom(seed: seed, path: "checkGradients")
  let result = body()
  let weights = random.normal(result.shape)
  let gradients = result.gradients(from: weights)
  let projection = Projection(weights: weights.scalars())

  for (position, parameter) in parameters.enumerated() {
    let value = parameter.value
    defer { parameter.value = value }
    let gradient = gradients[parameter]
    if let gradient, gradient.shape != value.shape {
      report.problem =
        "input \(position): a gradient of shape \(gradient.shape), not \(value.shape)"
      return report
    }
    let analytic = (gradient ?? .zeros(value.shape)).scalars()
    let scalars = value.scalars()
    let magnitude = scalars.reduce(0.1) { max($0, abs(Double($1))) }
    var elements: [GradientReport.Element] = []
    for index in chosen(maximumElements, of: scalars.count, using: &random) {
      let numeric = projection.derivative(
        of: parameter, scalars: scalars, at: index, step: step * magnitude, body)
      elements.append(
        .init(
          input: position, index: indices(of: index, in: value.shape),
          analytic: Double(analytic[index]), numeric: numeric, error: 0))
    }
    // Relative to the largest derivative: those near zero are differences of large ones.
    let largest = analytic.reduce(Double.leastNormalMagnitude) { max($0, abs(Double($1))) }
    let scale = elements.reduce(largest) { max($0, abs($1.numeric)) }
    for var element in elements {
      element.error = abs(element.analytic - element.numeric) / scale
      if !element.error.isFinite { element.error = .infinity }
      report.count += 1
      if element.error >= report.worst?.error ?? -1 { report.worst = element }
    }
  }
  return report
}

/// `sum(body() * weights)` as a function of one element at a time.
private struct Projection {
  let weights: [Float]

  /// The derivative at `scalars` with respect to element `index`, from steps `h` and `2 h`.
  func derivative(
    of parameter: Parameter, scalars: [Float], at index: Int, step h: Double,
    _ body: () -> Variable
  ) -> Double {
    let near = quotient(parameter, scalars, index, h, body)
    let far = quotient(parameter, scalars, index, 2 * h, body)
    return (4 * near - far) / 3
  }

  private func quotient(
    _ parameter: Parameter, _ scalars: [Float], _ index: Int, _ h: Double,
    _ body: () -> Variable
  ) -> Double {
    let center = Double(scalars[index])
    // The step as float32 makes it, not as it was asked for.
    let (high, low) = (Float(center + h), Float(center - h))
    let upper = result(parameter, scalars, index, high, body)
    let lower = result(parameter, scalars, index, low, body)
    // Differences first, then the sum: results that do not depend on the element cancel exactly.
    var sum = 0.0
    for i in weights.indices {
      sum += (Double(upper[i]) - Double(lower[i])) * Double(weights[i])
    }
    return sum / (Double(high) - Double(low))
  }

  private func result(
    _ parameter: Parameter, _ scalars: [Float], _ index: Int, _ value: Float,
    _ body: () -> Variable
  ) -> [Float] {
    var changed = scalars
    changed[index] = value
    parameter.value = Tensor(changed, shape: parameter.shape)
    return withoutGradients { body().value.scalars() }
  }
}

/// `count` different positions below `total`, or all of them.
private func chosen(_ count: Int, of total: Int, using random: inout SeededRandom) -> [Int] {
  if total <= count { return Array(0..<total) }
  return Array((0..<total).shuffled(using: &random).prefix(count)).sorted()
}
