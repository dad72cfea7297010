#if Metrics
  import Foundation
  import LoRAMetrics
  import LoRATraining
  import MetricsTestKit
  import Testing

  @Suite struct TrainingMetricsTests {
    private func step(_ number: Int, loss: Double) throws -> StepReport {
      let text = """
        {"step": \(number), "stepCount": 4, "loss": \(loss), "gradientNorm": 0.5,
         "learningRate": 0.01, "tokens": 30, "tokensPerSecond": 20, "epoch": \(Double(number) / 4)}
        """
      return try JSONDecoder().decode(StepReport.self, from: Data(text.utf8))
    }

    @Test func stepsAndMeasurementsAreRecorded() throws {
      let system = TestMetrics()
      let dimensions = [("model", "support")]
      let metrics = TrainingMetrics(dimensions: dimensions, factory: system)
      metrics.record(try step(1, loss: 3))
      metrics.record(.step(try step(2, loss: 2.5)))
      metrics.record(
        .measurement(
          .init(
            step: 2,
            values: [
              .init(key: "loss", name: "loss", number: 2.25),
              .init(key: "accuracy", name: "accuracy", number: 0.75),
            ])))
      metrics.record(.warning(step: 2, text: "it diverges"))
      func counter(_ name: String) throws -> TestCounter {
        try system.expectCounter("lora_training_\(name)", dimensions)
      }
      func gauge(_ name: String, _ more: [(String, String)] = []) throws -> Double? {
        try system.expectGauge("lora_training_\(name)", dimensions + more).lastValue
      }
      #expect(try counter("steps").totalValue == 2)
      #expect(try counter("tokens").totalValue == 60)
      #expect(try gauge("loss") == 2.5)
      #expect(try gauge("gradient_norm") == 0.5)
      #expect(try gauge("learning_rate") == 0.01)
      #expect(try gauge("epoch") == 0.5)
      #expect(try gauge("evaluation", [("value", "loss")]) == 2.25)
      #expect(try gauge("evaluation", [("value", "accuracy")]) == 0.75)
      // Thirty tokens at twenty a second, in nanoseconds.
      let duration = try system.expectTimer("lora_training_step_duration", dimensions)
      #expect(duration.values == [1_500_000_000, 1_500_000_000])
    }

    @Test func namesHaveTheirPrefix() throws {
      let system = TestMetrics()
      TrainingMetrics(prefix: "night", factory: system).record(try step(1, loss: 3))
      #expect(try system.expectCounter("night_steps").totalValue == 1)
      #expect(throws: (any Error).self) { try system.expectCounter("lora_training_steps") }
    }
  }
#endif
