import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

/// The divergence of distributions, of logits and of a head's.
@Suite struct DivergenceTests {
  private func tensor(_ shape: Shape, _ name: String, _ deviation: Float = 1) -> Tensor {
    var random = SeededRandom(seed: 21, path: name)
    return random.normal(shape, standardDeviation: deviation)
  }

  /// PyTorch 2.15, float64: `kl_div(log_softmax(s / T), softmax(t / T), reduction="sum") * T * T`.
  @Test(arguments: [
    (
      Float(1), 1.3495870340422038,
      [
        -0.4899505636347851, -0.20561589778411016, 0.6955664614188953, -0.08707207088945776,
        0.19108312953832407, -0.10401105864886628,
      ]
    ),
    (
      2.5, 2.1078449630610123,
      [
        -0.4378055509673383, -0.38358472689295675, 0.8213902778602948, -0.18612799535561708,
        0.4649226197697658, -0.27879462441414843,
      ]
    ),
  ])
  func itIsPyTorchs(temperature: Float, loss: Double, gradient: [Double]) throws {
    let own = Parameter(Tensor([0.5, -1, 2, 1.5, 0.25, -0.75] as [Float], shape: [2, 3]))
    let teacher = Tensor([1, 0, -1, 2, -2, 0.5] as [Float], shape: [2, 3])
    let result = Variable(own).divergence(from: teacher, temperature: temperature)
    #expect(abs(Double(result.value.item()) - loss) < 1e-6)
    let found = try #require(result.scaled(by: 3).gradients()[own]).scalars(as: Float.self)
    for (value, expected) in zip(found, gradient) {
      #expect(abs(Double(value) / 3 - expected) < 1e-6)
    }
    // What is taught is not changed, and what agrees with it has nothing to learn.
    #expect(teacher.scalars(as: Float.self) == [1, 0, -1, 2, -2, 0.5])
    let same = Variable(Parameter(teacher)).divergence(from: teacher, temperature: temperature)
    #expect(abs(same.value.item()) < 1e-6)
  }

  /// Without all logits it is the same as of the logits, whatever the number of chunks.
  @Test(arguments: [(rows: 1, vocabulary: 7), (40, 11), (37, 300_000)])
  func thatOfAHeadIsThatOfItsLogits(rows: Int, vocabulary: Int) throws {
    let x = Parameter(tensor([rows, 3], "x"))
    let w = Parameter(tensor([vocabulary, 3], "w"))
    let teacher = tensor([rows, 3], "teacher")
    let logits = Variable(teacher).linear(weight: Variable(w.value)).value
    let whole = Variable(x).linear(weight: Variable(w))
      .divergence(from: logits, temperature: 2).scaled(by: 0.25)
    let chunked = Variable(x).linearDivergence(
      weight: Variable(w), from: teacher, temperature: 2, scale: 0.25)
    #expect(compare(chunked.value, to: whole.value).isWithin(relative: 1e-5))
    let (a, b) = (whole.scaled(by: 3).gradients(), chunked.scaled(by: 3).gradients())
    for parameter in [x, w] {
      let comparison = compare(try #require(b[parameter]), to: try #require(a[parameter]))
      #expect(comparison.isWithin(relative: 5e-6), "\(comparison)")
    }
  }

  @Test func itAgreesWithFiniteDifferences() {
    // The head's gradient is that of the student alone: the teacher is what it is.
    let (w, teacher) = (tensor([7, 4], "w"), tensor([2, 3, 4], "teacher"))
    let report = checkGradients(at: [tensor([2, 3, 4], "x")]) {
      $0[0].linearDivergence(weight: Variable(w), from: teacher, temperature: 1.5, scale: 0.5)
    }
    #expect(report.isCorrect, "\(report)")
  }
}
