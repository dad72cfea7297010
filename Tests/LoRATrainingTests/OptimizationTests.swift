import LoRAAutograd
import LoRATensor
import LoRATraining
import Testing

/// Agreement with PyTorch's optimizer and clipping and with transformers' schedules; see
/// Tests/Reference/training.py.
@Suite struct OptimizationTests {
  private struct AdamWCase: Decodable {
    let `case`: String
    let betas: [Double]
    let eps: Double
    let learning_rate: Double
    let weight_decay: Double
  }

  @Test func adamWFollowsPyTorch() throws {
    let reference = try ReferenceFile("adamw.safetensors")
    let cases = try reference.metadata("cases", as: [AdamWCase].self)
    #expect(cases.count >= 5)
    for item in cases {
      let parameter = Parameter(try reference.tensor("\(item.case)/initial"))
      let gradients = try reference.tensor("\(item.case)/gradients")
      let expected = try reference.tensor("\(item.case)/parameters")
      let optimizer = AdamW(beta1: item.betas[0], beta2: item.betas[1], epsilon: item.eps)
      let group = ParameterGroup(
        [("p", parameter)], learningRate: item.learning_rate, weightDecay: item.weight_decay)
      var state = OptimizerState()
      for step in 0..<gradients.shape[0] {
        let before = parameter.value
        let kept = before.scalars()
        var found = Gradients()
        // Twice the gradient at half the scale: the clipping coefficient is exact here.
        found[parameter] = gradients[row: step].scaled(by: 2)
        optimizer.step(found, groups: [group], gradientScale: 0.5, state: &state)
        let difference = largestDifference(parameter.value, expected[row: step])
        // One unit in the last place of numbers between 2 and 4 a step.
        #expect(difference < 2.5e-7 * Float(step + 1), "\(item.case), step \(step)")
        #expect(before.scalars() == kept, "values are replaced, not written to")
      }
    }
  }

  @Test func aParameterWithoutGradientStays() {
    let (a, b) = (Parameter(Tensor([1, 2])), Parameter(Tensor([3])))
    let group = ParameterGroup([("a", a), ("b", b)], learningRate: 1, weightDecay: 1)
    var state = OptimizerState()
    var gradients = Gradients()
    gradients[a] = Tensor([1, 1])
    AdamW().step(gradients, groups: [group], state: &state)
    #expect(a.value != Tensor([1, 2]) && b.value == Tensor([3]))
    #expect(state["a"]?.updates == 1 && state["b"] == nil)
  }

  @Test func groupsHaveTheirOwnRates() {
    let (a, b) = (Parameter(Tensor([0])), Parameter(Tensor([0])))
    let groups = [
      ParameterGroup([("a", a)], learningRate: 0.5), ParameterGroup([("b", b)], learningRate: 2),
    ]
    var state = OptimizerState()
    var gradients = Gradients()
    gradients[a] = Tensor([3])
    gradients[b] = Tensor([3])
    AdamW().step(gradients, groups: groups, factor: 0.5, state: &state)
    // Adam's first step is its learning rate, whatever the gradient.
    #expect(abs(a.value.item() + 0.25) < 1e-6 && abs(b.value.item() + 1) < 1e-6)
  }

  /// Large enough for several tiles.
  @Test func aLargeParameterEqualsItsParts() {
    var random = SeededRandom(seed: 3)
    let values = random.normal([100_003])
    let gradient = random.normal([100_003])
    func updated(_ range: Range<Int>) -> Tensor {
      let parameter = Parameter(values[rows: range])
      let group = ParameterGroup([("p", parameter)], learningRate: 0.1, weightDecay: 0.1)
      var state = OptimizerState()
      var gradients = Gradients()
      gradients[parameter] = gradient[rows: range]
      for _ in 0..<3 {
        AdamW().step(gradients, groups: [group], gradientScale: 0.3, state: &state)
      }
      return parameter.value
    }
    let parts = [updated(0..<40_000), updated(40_000..<100_003)]
    #expect(updated(0..<100_003) == .concatenated(parts))
  }

  /// A state is a value: going on from a copy leaves the original as it was.
  @Test func aStateIsAValue() throws {
    let parameter = Parameter(Tensor([1, 2]))
    let group = ParameterGroup([("p", parameter)], learningRate: 0.1)
    var gradients = Gradients()
    gradients[parameter] = Tensor([1, -3])
    var state = OptimizerState()
    AdamW().step(gradients, groups: [group], state: &state)
    let kept = state
    let mean = try #require(kept["p"]?.tensors["exp_avg"]).scalars()
    AdamW().step(gradients, groups: [group], state: &state)
    #expect(kept["p"]?.updates == 1 && kept["p"]?.tensors["exp_avg"]?.scalars() == mean)
    #expect(state["p"]?.updates == 2 && state != kept)
    #expect(AdamW().stateShapes(of: [3, 2]) == ["exp_avg": [3, 2], "exp_avg_sq": [3, 2]])
  }

  /// torch.optim.SGD's documented algorithm, number by number in double.
  @Test(arguments: [(0.0, false, 0.0), (0.9, false, 0), (0.9, true, 0.1), (0, false, 0.2)])
  func sgdIsTheDocumentedAlgorithm(momentum: Double, isNesterov: Bool, decay: Double) {
    var random = SeededRandom(seed: 8)
    let parameter = Parameter(random.normal([40]))
    let group = ParameterGroup([("p", parameter)], learningRate: 0.05, weightDecay: decay)
    let optimizer = SGD(momentum: momentum, isNesterov: isNesterov)
    var state = OptimizerState()
    var expected = parameter.value.scalars().map { Double($0) }
    var buffer: [Double]?
    for _ in 0..<6 {
      let gradient = random.normal([40])
      var gradients = Gradients()
      gradients[parameter] = gradient
      optimizer.step(gradients, groups: [group], factor: 0.5, gradientScale: 0.25, state: &state)
      var direction = zip(gradient.scalars(), expected).map { Double($0) * 0.25 + decay * $1 }
      if momentum != 0 {
        let next = buffer.map { zip($0, direction).map { momentum * $0 + $1 } } ?? direction
        direction = isNesterov ? zip(direction, next).map { $0 + momentum * $1 } : next
        buffer = next
      }
      expected = zip(expected, direction).map { $0 - 0.025 * $1 }
      let difference = zip(parameter.value.scalars(), expected).map { abs(Double($0) - $1) }.max()
      #expect((difference ?? 1) < 1e-6)
    }
    #expect(state["p"]?.tensors.keys.sorted() == (momentum == 0 ? [] : ["momentum_buffer"]))
  }

  @Test func settingsOutOfRangeAreErrors() {
    let optimizers: [any Optimizer] = [
      AdamW(beta1: 1), AdamW(beta2: -0.1), AdamW(epsilon: 0), SGD(momentum: 1),
      SGD(momentum: .nan),
    ]
    for optimizer in optimizers {
      #expect(throws: TrainingError.self, "\(optimizer)") { try optimizer.check() }
    }
    #expect(throws: Never.self) { try SGD(momentum: 0.9).check() }
    #expect(AdamW().identifier == "AdamW(beta1: 0.9, beta2: 0.999, epsilon: 1e-08)")
  }

  private struct ClipCase: Decodable {
    let `case`: String
    let max_norm: Float
    let gradients: Int
  }

  @Test func clippingFollowsPyTorch() throws {
    let reference = try ReferenceFile("clip.safetensors")
    for item in try reference.metadata("cases", as: [ClipCase].self) {
      var gradients = Gradients()
      var parameters: [Parameter] = []
      for index in 0..<item.gradients {
        let gradient = try reference.tensor("\(item.case)/gradient\(index)")
        let parameter = Parameter(.zeros(gradient.shape))
        gradients[parameter] = gradient
        parameters.append(parameter)
      }
      let norm = gradients.norm(over: parameters)
      let expected = try reference.tensor("\(item.case)/norm").item()
      #expect(abs(norm - expected) <= 1e-6 * expected, "\(item.case)")
      let coefficient = GradientClipping.coefficient(norm: norm, limit: item.max_norm)
      for (index, parameter) in parameters.enumerated() {
        let clipped = try #require(gradients[parameter]).scaled(by: coefficient)
        let wanted = try reference.tensor("\(item.case)/clipped\(index)")
        #expect(largestDifference(clipped, wanted) < 1e-6, "\(item.case)")
      }
    }
    #expect(GradientClipping.coefficient(norm: 1e9, limit: 0) == 1, "0 is off")
  }

  private struct ScheduleCase: Decodable {
    let `case`: String
    let schedule: LearningRateSchedule
    let warmup: Int
    let total: Int
  }

  @Test func schedulesFollowTransformers() throws {
    let reference = try ReferenceFile("schedules.safetensors")
    let cases = try reference.metadata("cases", as: [ScheduleCase].self)
    // That of `.stable` is in OptimizerTests.
    #expect(Set(cases.map(\.schedule)) == Set(LearningRateSchedule.allCases).subtracting([.stable]))
    for item in cases {
      for (step, expected) in try reference.numbers(item.case).enumerated() {
        let factor = item.schedule.factor(step: step, warmup: item.warmup, total: item.total)
        #expect(abs(factor - expected) < 1e-7, "\(item.case), step \(step)")
      }
    }
  }
}
