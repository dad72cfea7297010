import LoRAKit
import LoRATraining

/// How a training goes, for its line of progress.
struct TrainingPace {
  /// The smoothed losses.
  private(set) var curve = Sparkline()
  private var loss = SmoothedLoss()
  private var last: StepReport?

  /// Goes on from what happened before.
  init(_ history: TrainingHistory) {
    for step in history.steps { add(step) }
  }

  mutating func add(_ report: StepReport) {
    last = report
    loss.add(report.loss)
    curve.add(loss.value)
  }

  /// What the line says, the most important first.
  var parts: [String] {
    guard let last else { return [] }
    return [
      "loss \(decimal(last.loss, 4))", "smoothed \(decimal(loss.value, 4))",
      "\(decimal(last.tokensPerSecond, 0)) tokens/s", "\(Machine.peakResidentBytes >> 20) MiB",
      "gradient \(decimal(Double(last.gradientNorm), 3))",
    ]
  }
}
