import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

/// Laws that go beyond one small case of an operation.
@Suite struct LayerTests {
  private func tensor(_ shape: Shape, _ name: String, _ deviation: Float = 1) -> Tensor {
    var random = SeededRandom(seed: 12, path: name)
    return random.normal(shape, standardDeviation: deviation)
  }

  private func ids(_ shape: Shape, below limit: Int, ignoring every: Int = .max) -> Tensor {
    var random = SeededRandom(seed: 13, path: "ids")
    return Tensor(
      (0..<shape.elementCount).map { index -> Int64 in
        let id = Int64(random.next() % UInt64(limit))
        return (index + 1) % every == 0 ? ignoredTarget : id
      }, shape: shape)
  }

  // MARK: Checkpointing

  /// Recomputing changes no bit of the value or of any gradient, dropout included.
  @Test func checkpointingChangesNoBit() {
    let x = Parameter(tensor([6, 8], "x"))
    let (w, v) = (Parameter(tensor([8, 8], "w", 0.3)), Parameter(tensor([8], "v")))
    let random = SeededRandom(seed: 4, path: "dropout")
    @Sendable func block(_ x: Variable) -> Variable {
      let h = x.rmsNorm(weight: Variable(v), epsilon: 1e-5).linear(weight: Variable(w))
      return h.dropout(rate: 0.3, random: random).gated(.silu, by: x) + x
    }
    func run(_ isCheckpointed: Bool) -> (Tensor, [Tensor?]) {
      var y = Variable(x)
      for _ in 0..<3 { y = isCheckpointed ? checkpointed(y, block) : block(y) }
      let loss = (y * y).sum()
      let gradients = loss.gradients()
      return (loss.value, [gradients[x], gradients[w], gradients[v]])
    }
    let (plain, again) = (run(false), run(true))
    #expect(plain.0 == again.0)
    #expect(plain.1[0] == again.1[0], "the input's gradient")
    // The sums over the three blocks are added in another order at most.
    for (a, b) in zip(plain.1, again.1) {
      guard let a, let b else {
        Issue.record("a gradient is missing")
        continue
      }
      #expect(compare(b, to: a).isWithin(roundings: 4))
    }
    // One block: the same order, the same bits.
    let seed = tensor([6, 8], "seed")
    let one = block(Variable(x)).gradients(from: seed)
    let two = checkpointed(Variable(x), block).gradients(from: seed)
    for parameter in [x, w, v] { #expect(one[parameter] == two[parameter]) }
  }

  @Test func checkpointingWithoutARecordedInput() {
    let w = Parameter(tensor([4, 4], "w"))
    let x = Variable(tensor([3, 4], "x"))
    let plain = x.linear(weight: Variable(w)).sum().gradients()
    let again = checkpointed(x) { $0.linear(weight: Variable(w)) }.sum().gradients()
    #expect(plain[w] == again[w] && plain[w] != nil)
    withoutGradients { #expect(!checkpointed(x) { $0 * Variable(w).sum() }.requiresGradient) }
  }

  @Test func checkpointsNest() {
    let report = checkGradients(at: [tensor([3, 4], "x"), tensor([4, 4], "w")]) { v in
      let w = v[1]
      return checkpointed(v[0]) { x in checkpointed(x(.tanh)) { $0 * $0 } + x }.linear(weight: w)
    }
    #expect(report.isCorrect, "\(report)")
  }

  @Test func checkpointsForgetWhatHappenedInside() {
    let p = Parameter(tensor([32], "p"))
    final class Box: @unchecked Sendable { weak var storage: Storage? }  // one task alone uses it
    let box = Box()
    let y = checkpointed(Variable(p)) { x in
      let h = x(.sigmoid)
      box.storage = h.value.storage
      return h * h
    }
    #expect(box.storage == nil)
    #expect(y.sum().gradients()[p] != nil)
  }

  // MARK: Losses

  /// The chunked loss of a head is the loss of its logits, whatever the number of chunks.
  @Test(arguments: [(rows: 1, vocabulary: 7), (40, 11), (150, 70_000), (37, 300_000)])
  func linearCrossEntropyIsCrossEntropyOfLinear(rows: Int, vocabulary: Int) throws {
    let x = Parameter(tensor([rows, 3], "x"))
    let w = Parameter(tensor([vocabulary, 3], "w"))
    let targets = ids([rows], below: vocabulary, ignoring: 5)
    let count = targets.scalars(as: Int64.self).filter { $0 >= 0 }.count
    let scale = 1 / Float(count)
    let whole = Variable(x).linear(weight: Variable(w)).crossEntropy(targets: targets)
    let chunked = Variable(x).linearCrossEntropy(
      weight: Variable(w), targets: targets, scale: scale)
    #expect(compare(chunked.value, to: whole.value).isWithin(relative: 1e-6))
    let (a, b) = (
      whole.scaled(by: 3).gradients(), chunked.scaled(by: 3).gradients()
    )
    for parameter in [x, w] {
      let (p, q) = (try #require(a[parameter]), try #require(b[parameter]))
      let comparison = compare(q, to: p)
      #expect(comparison.isWithin(relative: 5e-6), "\(comparison)")
    }
    let losses = withoutGradients { Variable(x).tokenLosses(weight: w.value, targets: targets) }
    #expect(abs(losses.sum() * Double(scale) - Double(whole.value.item())) < 1e-4)
    for (loss, id) in zip(losses.scalars(), targets.scalars(as: Int64.self)) where id < 0 {
      #expect(loss == 0)
    }
    let evaluated = withoutGradients {
      Variable(x).linearCrossEntropy(weight: Variable(w), targets: targets, scale: scale)
    }
    #expect(evaluated.value == chunked.value && !evaluated.requiresGradient)
  }

  @Test func linearCrossEntropyAgreesWithFiniteDifferences() {
    let targets = ids([2, 3], below: 7, ignoring: 4)
    let report = checkGradients(at: [tensor([2, 3, 4], "x"), tensor([7, 4], "w")]) {
      $0[0].linearCrossEntropy(weight: $0[1], targets: targets, scale: 0.5)
    }
    #expect(report.isCorrect, "\(report)")
  }

  @Test func aFrozenHeadOfEveryTypePassesTheGradientOn() throws {
    let targets = ids([5], below: 9)
    for type in [DType.bfloat16, .float16] {
      let narrow = tensor([9, 4], "w").converted(to: type)
      let x = Parameter(tensor([5, 4], "x"))
      func gradient(_ w: Tensor) -> Tensor? {
        Variable(x).linearCrossEntropy(weight: Variable(w), targets: targets, scale: 1)
          .gradients()[x]
      }
      let (a, b) = (
        try #require(gradient(narrow)), try #require(gradient(narrow.converted(to: .float32)))
      )
      #expect(compare(a, to: b).isWithin(relative: 2e-6))
    }
  }

  @Test func aLossWithoutTargetsIsZero() {
    let x = Parameter(tensor([2, 5], "x"))
    let none = Tensor([ignoredTarget, ignoredTarget])
    let loss = Variable(x).crossEntropy(targets: none)
    #expect(loss.value.item() == 0)
    #expect(loss.gradients()[x] == .zeros([2, 5]))
  }

  // MARK: Dropout

  @Test func dropoutDropsTheRightShareAndScalesTheRest() {
    let n = 100_000
    let x = Parameter(Tensor([Float](repeating: 1, count: n)))
    let random = SeededRandom(seed: 1, path: "dropout")
    for rate: Float in [0.1, 0.5, 0.9] {
      let y = Variable(x).dropout(rate: rate, random: random)
      let kept = y.value.scalars().filter { $0 != 0 }
      #expect(kept.allSatisfy { abs($0 * (1 - rate) - 1) < 1e-6 })
      // Five standard deviations of a binomial.
      let limit = 5 * (Float(n) * rate * (1 - rate)).squareRoot()
      #expect(abs(Float(kept.count) - Float(n) * (1 - rate)) < limit)
      // The backward pass draws the same: the gradient of a one is what became of it.
      #expect(y.sum().gradients()[x] == y.value)
      #expect(Variable(x).dropout(rate: rate, random: random).value == y.value)
      let other = SeededRandom(seed: 2, path: "dropout")
      #expect(Variable(x).dropout(rate: rate, random: other).value != y.value)
    }
    #expect(Variable(x).dropout(rate: 0, random: random).value == x.value)
  }

  // MARK: Weights of 16 bits

  /// A narrow weight gives what its widened copy gives: forward and for the input's gradient.
  @Test(arguments: [DType.bfloat16, .float16], [1, 3, 5, 40])
  func narrowWeightsComputeAsTheirFloat32Values(type: DType, rows: Int) throws {
    let x = Parameter(tensor([rows, 67], "x"))
    let narrow = tensor([300, 67], "w").converted(to: type)
    let bias = tensor([300], "bias").converted(to: type)
    let seed = tensor([rows, 300], "seed")
    func run(_ w: Tensor, _ b: Tensor) throws -> (Tensor, Tensor) {
      let y = Variable(x).linear(weight: Variable(w), bias: Variable(b))
      return (y.value, try #require(y.gradients(from: seed)[x]))
    }
    let (y, dx) = try run(narrow, bias)
    let (wideY, wideDx) = try run(narrow.converted(to: .float32), bias.converted(to: .float32))
    #expect(compare(y, to: wideY).isWithin(relative: 2e-6))
    #expect(compare(dx, to: wideDx).isWithin(relative: 2e-6))
    let ids = self.ids([rows], below: 300)
    #expect(
      Variable(narrow).gathered(ids).value
        == Variable(narrow.converted(to: .float32)).gathered(ids).value)
  }

  /// A low-rank term is what forming `W + scale b a` gives, and leaves W without a gradient.
  @Test func lowRankTermsAreTheirProduct() throws {
    let (x, w) = (tensor([70, 33], "x"), tensor([65, 33], "w"))
    let (a, b) = (tensor([4, 33], "a"), tensor([65, 4], "b"))
    let dense = w + b.matrixProduct(with: a).scaled(by: 0.75)
    let expected = Variable(x).linear(weight: Variable(dense)).value
    let (up, down) = (Parameter(b), Parameter(a))
    let term = LowRankTerm(a: Variable(down), b: Variable(up), scale: 0.75)
    let frozen = Parameter(w, isTrainable: false)
    let y = Variable(x).linear(weight: Variable(frozen), lowRank: [term])
    #expect(compare(y.value, to: expected).isWithin(relative: 2e-6))
    let gradients = y.sum().gradients()
    #expect(gradients[up] != nil && gradients[down] != nil && gradients[frozen] == nil)
  }

  // MARK: Attention

  /// The queries after a prefix see what they see in the whole sequence.
  @Test(arguments: [nil, 3, 70] as [Int?])
  func attentionOfTheLastQueriesIsPartOfTheWhole(window: Int?) {
    let (q, k, v) = (
      tensor([2, 90, 4, 8], "q"), tensor([2, 90, 2, 8], "k"), tensor([2, 90, 2, 8], "v")
    )
    func attend(_ q: Tensor, _ count: Int) -> Tensor {
      Variable(q).attention(
        keys: Variable(k.sliced(axis: 1, 0..<count)),
        values: Variable(v.sliced(axis: 1, 0..<count)),
        window: window
      ).value
    }
    let whole = attend(q, 90)
    for range in [0..<1, 0..<30, 29..<30, 40..<90, 63..<66, 89..<90] {
      let part = attend(q.sliced(axis: 1, range), range.upperBound)
      let comparison = compare(part, to: whole.sliced(axis: 1, range))
      #expect(comparison.isWithin(relative: 2e-6), "\(range): \(comparison)")
    }
  }
}

/// The number of threads is the process's: one test at a time.
@Suite(.serialized) struct ThreadCountTests {
  /// Shapes large enough to be cut into tiles, everywhere.
  @Test func bitsDoNotDependOnTheNumberOfThreads() {
    let count = Threads.count
    defer { Threads.count = count }
    Threads.count = 1
    let one = step()
    #expect(one.count == 9)
    for threads in [2, 3] {
      Threads.count = threads
      let several = step()
      for (index, pair) in zip(one, several).enumerated() {
        #expect(pair.0 == pair.1, "tensor \(index) with \(threads) threads")
      }
    }
  }

  @Test(arguments: AttentionMaskTests.cases)
  func noMaskDependsOnTheNumberOfThreads(attention: AttentionCase) throws {
    let count = Threads.count
    defer { Threads.count = count }
    let (q, k, v, dy) = attention.inputs()
    func run(_ threads: Int) throws -> [Tensor] {
      Threads.count = threads
      return try attention.computed(q, k, v, dy)
    }
    #expect(try run(1) == run(3))
  }

  private func step() -> [Tensor] {
    var random = SeededRandom(seed: 9, path: "step")
    let (batch, time, heads, size) = (2, 150, 4, 32)
    let width = heads * size
    let x = Parameter(random.normal([batch, time, width]))
    let table = Parameter(random.normal([500, width]))
    let norm = Parameter(random.uniform([width], in: 0.5..<1.5))
    let (scale, shift) = (Parameter(random.normal([width])), Parameter(random.normal([width])))
    let w = random.normal([width, width], standardDeviation: 0.1).converted(to: .bfloat16)
    let v = Parameter(random.normal([width, width], standardDeviation: 0.1))
    let (a, b) = (Parameter(random.normal([4, width])), Parameter(random.normal([width, 4])))
    let ids = (0..<batch * time).map { Int64(($0 * 37) % 500) }
    let tokens = Tensor(ids, shape: [batch, time])
    let angles = RotaryAngles(
      positions: 0..<time, frequencies: (0..<size / 2).map { 1 / Float(1 + $0) })

    let h = (Variable(x) + Variable(table).gathered(tokens))
      .rmsNorm(weight: Variable(norm), epsilon: 1e-6)
    let term = LowRankTerm(
      a: Variable(a), b: Variable(b), scale: 0.5,
      input: h.dropout(rate: 0.1, random: SeededRandom(seed: 3, path: "drop")))
    let q = h.linear(weight: Variable(w), lowRank: [term])
    let split = q.reshaped(to: [batch, time, heads, size]).rotated(by: angles)
    let o = split.attention(keys: split, values: split, window: 100)
      .reshaped(to: [batch, time, width])
    let y = o.linear(weight: Variable(v)).gated(.silu, by: h)
      .layerNorm(weight: Variable(scale), bias: Variable(shift), epsilon: 1e-5)
    let loss = y.linearCrossEntropy(weight: Variable(table), targets: tokens, scale: 0.01)
    let gradients = loss.gradients()
    let parameters = [x, table, norm, scale, shift, v, a, b]
    return [loss.value] + parameters.compactMap { gradients[$0] }
  }

  /// PyTorch 2.15: binary_cross_entropy_with_logits(x, y) and its gradient.
  @Test func binaryCrossEntropyIsPyTorchs() {
    let x = Parameter(Tensor([0, 2, -3, 100, -100, 0.5] as [Float], shape: [2, 3]))
    let y = Tensor([1, 0, 1, 0, 1, 0.25] as [Float], shape: [2, 3])
    let loss = Variable(x).binaryCrossEntropy(targets: y)
    #expect(abs(loss.value.item() - 34.45295715) < 1e-5)
    let gradient = loss.gradients()[x]?.scalars(as: Float.self) ?? []
    let expected: [Float] = [
      -0.08333334, 0.14679952, -0.15876235, 0.16666667, -0.16666667, 0.06207657,
    ]
    #expect(zip(gradient, expected).allSatisfy { abs($0 - $1) < 1e-6 } && gradient.count == 6)
    let sum = Variable(x).binaryCrossEntropy(targets: y, reduction: .sum)
    #expect(abs(sum.value.item() - 6 * loss.value.item()) < 1e-4)
  }
}
