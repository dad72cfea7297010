import LoRAAutograd
import LoRATensor
import LoRATesting
import Testing

@Suite struct GradientCheckTests {
  let x = Tensor([0.5, -1, 2, 0.25, 1.5, -0.75] as [Float], shape: [2, 3])

  @Test func aRightGradientPasses() {
    let report = checkGradients(at: [x, x]) { $0[0] * $0[1](.sigmoid) }
    #expect(report.isCorrect && report.count == 12, "\(report)")
    #expect(report.error < 1e-4, "\(report)")
  }

  /// `x²`, whose backward step forgets the factor 2 in one element.
  @Test func aWrongElementIsFoundAndNamed() throws {
    let report = checkGradients(at: [x]) { variables in
      let value = variables[0].value
      return .record(value * value, inputs: [variables[0]]) { dy, inputs in
        var gradient = (dy * value).scaled(by: 2).scalars()
        gradient[4] /= 2
        inputs.add(Tensor(gradient, shape: value.shape), to: 0)
      }
    }
    #expect(!report.isCorrect)
    let worst = try #require(report.worst)
    #expect(worst.input == 0 && worst.index == [1, 1])
    #expect(abs(worst.numeric / worst.analytic - 2) < 1e-3)
    #expect(report.description.contains("[1, 1]"))
  }

  @Test func aMissingGradientIsWrong() {
    let report = checkGradients(at: [x]) { $0[0].detached() + $0[0].scaled(by: 0) }
    #expect(!report.isWithin(0.5))
  }

  @Test func aGradientThatIsNotFiniteIsWrong() {
    let report = checkGradients(at: [x]) { variables in
      .record(variables[0].value, inputs: [variables[0]]) { dy, inputs in
        inputs.add(dy.scaled(by: .nan), to: 0)
      }
    }
    #expect(report.error == .infinity)
  }

  @Test func parametersAreLeftAsTheyWere() {
    let parameter = Parameter(x)
    let report = checkGradients(of: [parameter]) { Variable(parameter)(.tanh).sum() }
    #expect(report.isCorrect, "\(report)")
    #expect(parameter.value == x)
  }

  @Test func largeInputsAreSampled() {
    let report = checkGradients(at: [.zeros([40, 40])], maximumElements: 10) { $0[0].adding(1) }
    #expect(report.count == 10 && report.isCorrect)
  }
}
