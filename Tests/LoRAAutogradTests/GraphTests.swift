import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

/// What is recorded, what gets a gradient, and what is kept alive until then.
@Suite struct GraphTests {
  private func tensor(_ shape: Shape, _ name: String) -> Tensor {
    var random = SeededRandom(seed: 11, path: name)
    return random.normal(shape)
  }

  @Test func theExampleOfTheDocumentation() {
    let w = Parameter(Tensor([3] as [Float]))
    let y = (Variable(w) * Variable(w)).sum()
    #expect(y.gradients()[w]?.scalars() == [6])
  }

  @Test func nothingIsRecordedWithoutGradients() {
    let p = Parameter(tensor([2, 2], "p"))
    withoutGradients {
      #expect(!GradientMode.isRecording)
      #expect(!Variable(p).requiresGradient)
      #expect(!(Variable(p) * Variable(p)).sum().requiresGradient)
    }
    #expect(GradientMode.isRecording && Variable(p).requiresGradient)
    let outside = Variable(p)
    withoutGradients { #expect(!(outside * outside).requiresGradient) }
    #expect((outside * outside).requiresGradient)
  }

  @Test func theRegionBelongsToTheTask() async {
    let p = Parameter(tensor([2], "p"))
    await withoutGradients {
      #expect(!GradientMode.isRecording)
      await Task.yield()
      #expect(!Variable(p).requiresGradient)
      let detached = await Task.detached { Variable(p).requiresGradient }.value
      #expect(detached)
    }
  }

  @Test func constantsAndDetachedValuesGetNoGradient() {
    let p = Parameter(tensor([3], "p"))
    let constant = Variable(tensor([3], "c"))
    #expect(!constant.requiresGradient && !(constant * constant).requiresGradient)
    #expect(!Variable(p).detached().requiresGradient)
    let gradients = (Variable(p) * Variable(p).detached()).sum().gradients()
    #expect(gradients[p] == p.value)
    #expect(constant.sum().gradients().isEmpty)
  }

  @Test func aFrozenParameterGetsNoGradient() {
    let (x, w) = (Parameter(tensor([3, 4], "x")), Parameter(tensor([5, 4], "w")))
    w.isTrainable = false
    let gradients = Variable(x).linear(weight: Variable(w)).sum().gradients()
    #expect(gradients[w] == nil && gradients[x] != nil && gradients.parameters.count == 1)
    // Freezing between two passes takes effect on the next one.
    (x.isTrainable, w.isTrainable) = (false, true)
    let swapped = Variable(x).linear(weight: Variable(w)).sum().gradients()
    #expect(swapped[x] == nil && swapped[w] != nil)
  }

  /// Runs `operation` on an intermediate result and tells whether that result's bytes are still
  /// there when only the operation's result is.
  private func keepsItsInput(_ operation: (Variable) -> Variable) -> (kept: Bool, after: Bool) {
    let p = Parameter(tensor([4, 6], "kept"))
    weak var storage: Storage?
    func forward() -> Variable {
      let h = Variable(p).scaled(by: 2)
      storage = h.value.storage
      return operation(h)
    }
    let y = forward()
    let kept = storage != nil
    let gradients = y.gradients(from: y.value)
    #expect(gradients[p] != nil)
    return (kept, storage != nil)
  }

  @Test func aFrozenWeightKeepsNoInputAlive() {
    let frozen = Parameter(tensor([5, 6], "w"), isTrainable: false)
    let trainable = Parameter(tensor([5, 6], "w"))
    #expect(keepsItsInput { $0.linear(weight: Variable(frozen)) }.kept == false)
    #expect(
      keepsItsInput { $0 * Variable(Parameter(frozen.value[row: 0], isTrainable: false)) }.kept
        == false)
    let recorded = keepsItsInput { $0.linear(weight: Variable(trainable)) }
    #expect(recorded.kept, "the weight's gradient needs the input")
    #expect(!recorded.after, "the backward pass frees what it used")
  }

  @Test func theBackwardPassFreesWhatItUsed() {
    for activation in Activation.allCases {
      let result = keepsItsInput { $0(.sigmoid)(activation) }
      #expect(!result.after, "\(activation)")
    }
    #expect(!keepsItsInput { $0.softmax() }.after)
  }

  @Test func aDroppedGraphFreesItsMemory() {
    weak var storage: Storage?
    do {
      let p = Parameter(tensor([64], "p"))
      let h = Variable(p).scaled(by: 2)
      storage = h.value.storage
      _ = (h * h).sum()
    }
    #expect(storage == nil)
  }

  @Test func gradientsOfSharedInputsAddUp() {
    let p = Parameter(tensor([2, 3], "p"))
    let x = Variable(p)
    // p used twice in one operation, in several, and through two variables.
    let y = x * x + x.scaled(by: 3) + Variable(p) + x
    let expected = p.value.scaled(by: 2).adding(5)
    let gradient = y.sum().gradients()[p]
    #expect(gradient.map { compare($0, to: expected).isWithin(roundings: 8) } == true)
    // A gradient that two inputs share is not written to by one of them.
    let q = Parameter(tensor([2, 3], "q"))
    let sum = Variable(p) + Variable(q)
    let both = (sum + Variable(p)).sum().gradients()
    #expect(both[q] == Tensor.zeros([2, 3]).adding(1))
    #expect(both[p] == Tensor.zeros([2, 3]).adding(2))
  }

  /// Matrix products add to a gradient in place where one has arrived before.
  @Test func productsAccumulate() {
    let (x, w) = (tensor([3, 4], "x"), tensor([4, 4], "w"))
    let report = checkGradients(at: [x, w]) { v in
      let h = v[0].linear(weight: v[1])
      let term = LowRankTerm(a: v[1], b: v[1], scale: 0.5)
      return h.linear(weight: v[1], lowRank: [term, term]) + v[0] + h.matrixProduct(with: v[1])
        + v[0].gated(.silu, by: v[0])
        + v[0].rmsNorm(weight: v[1].sum(axis: 0).reshaped(to: [4]), epsilon: 1e-5)
    }
    #expect(report.isCorrect, "\(report)")
  }

  @Test func gradientsOfSeveralBatchesAdd() {
    let (p, q) = (Parameter(tensor([3], "p")), Parameter(tensor([3], "q")))
    var total = Gradients()
    #expect(total.isEmpty && total.norm(over: [p]) == 0)
    total.add(Variable(p).scaled(by: 2).sum().gradients())
    total.add((Variable(p) + Variable(q)).sum().gradients())
    #expect(total[p]?.scalars() == [3, 3, 3] && total[q]?.scalars() == [1, 1, 1])
    #expect(total.parameters.count == 2)
    #expect(abs(total.norm(over: [p, q]) - Float(30).squareRoot()) < 1e-6)
    #expect(abs(total.norm(over: [q]) - Float(3).squareRoot()) < 1e-6)
    total[p] = nil
    #expect(total[p] == nil && total.parameters.count == 1)
  }

  @Test func unusedResultsCostNothing() {
    let p = Parameter(tensor([3], "p"))
    let x = Variable(p)
    _ = (x * x)(.exp)
    let y = Variable.concatenated([x, x.scaled(by: 2)])
    #expect(y.gradients(from: Tensor([1, 1, 1, 1, 0, 0] as [Float]))[p]?.scalars() == [3, 1, 1])
  }

  @Test func anOwnOperation() throws {
    @Sendable func cubed(_ x: Variable) -> Variable {
      let value = x.value
      return .record(value * value * value, inputs: [x]) { dy, inputs in
        #expect(!GradientMode.isRecording)
        inputs.add((dy * value * value).scaled(by: 3), to: 0)
      }
    }
    let report = checkGradients(at: [tensor([2, 3], "x")]) { cubed($0[0])(.tanh) }
    #expect(report.isCorrect, "\(report)")
    // One input is wanted, the other is not: its work can be skipped.
    let p = Parameter(tensor([3], "p"))
    let y = Variable.record(p.value, inputs: [Variable(p.value), Variable(p)]) { dy, inputs in
      #expect(!inputs.isNeeded(0) && inputs.isNeeded(1))
      inputs.add(dy, to: 0)
      inputs.add(dy, to: 1)
    }
    #expect(y.sum().gradients()[p]?.scalars() == [1, 1, 1])
    #expect(!Variable.record(p.value, inputs: [Variable(p.value)]) { _, _ in }.requiresGradient)
  }

  /// As deep as recurrent models get: nothing recurses along the graph, not even freeing it.
  @Test func longChainsAreDifferentiatedAndFreed() {
    let p = Parameter(Tensor([1] as [Float]))
    var y = Variable(p)
    for _ in 0..<100_000 { y = y.scaled(by: 1) }
    #expect(y.gradients()[p]?.scalars() == [1])
  }

  @Test func aParameterIsOneValueAtATime() {
    let p = Parameter(Tensor([1, 2] as [Float]))
    let before = Variable(p)
    p.value = Tensor([5, 6] as [Float])
    #expect(before.value.scalars() == [1, 2] && Variable(p).value.scalars() == [5, 6])
    #expect((before * before).sum().gradients()[p]?.scalars() == [2, 4])
  }
}
