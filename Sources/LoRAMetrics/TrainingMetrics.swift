#if Metrics
  public import LoRATraining
  public import Metrics

  /// Reports how a training goes through swift-metrics, to whatever a program reports its metrics to:
  /// Prometheus, StatsD, OpenTelemetry.
  ///
  /// ```swift
  /// let metrics = TrainingMetrics(dimensions: [("model", "support")])
  /// try await trainer.run { report in
  ///   metrics.record(report)
  ///   return .continue
  /// }
  /// ```
  ///
  /// | metric | kind | what it is |
  /// | --- | --- | --- |
  /// | `lora_training_steps` | counter | steps made |
  /// | `lora_training_tokens` | counter | tokens in their batches, without padding |
  /// | `lora_training_step_duration` | timer | the time of a step |
  /// | `lora_training_loss` | gauge | the last step's loss |
  /// | `lora_training_gradient_norm` | gauge | the norm of its gradients before clipping |
  /// | `lora_training_learning_rate` | gauge | its learning rate |
  /// | `lora_training_epoch` | gauge | epochs made, such as 1.25 |
  /// | `lora_training_evaluation` | gauge | a measured value; the dimension `value` says which, as `nll` |
  ///
  /// A step costs a few calls of the program's metrics system.
  public struct TrainingMetrics: Sendable {
    private let prefix: String
    private let dimensions: [(String, String)]
    private let factory: any MetricsFactory
    private let steps: Counter
    private let tokens: Counter
    private let duration: Metrics.Timer
    private let loss: Gauge
    private let gradientNorm: Gauge
    private let learningRate: Gauge
    private let epoch: Gauge

    /// Creates the metrics of a training.
    ///
    /// - Parameters:
    ///   - prefix: what their names begin with.
    ///   - dimensions: what tells this training from others.
    ///   - factory: the metrics system; by default the one that the program has bootstrapped.
    public init(
      prefix: String = "lora_training", dimensions: [(String, String)] = [],
      factory: (any MetricsFactory)? = nil
    ) {
      let factory = factory ?? MetricsSystem.factory
      func gauge(_ name: String) -> Gauge {
        Gauge(label: "\(prefix)_\(name)", dimensions: dimensions, factory: factory)
      }
      self.prefix = prefix
      self.dimensions = dimensions
      self.factory = factory
      steps = Counter(label: "\(prefix)_steps", dimensions: dimensions, factory: factory)
      tokens = Counter(label: "\(prefix)_tokens", dimensions: dimensions, factory: factory)
      duration = Metrics.Timer(
        label: "\(prefix)_step_duration", dimensions: dimensions, factory: factory)
      loss = gauge("loss")
      gradientNorm = gauge("gradient_norm")
      learningRate = gauge("learning_rate")
      epoch = gauge("epoch")
    }

    /// Records a step.
    public func record(_ report: StepReport) {
      steps.increment()
      tokens.increment(by: report.tokens)
      if report.tokensPerSecond > 0 {
        duration.recordSeconds(Double(report.tokens) / report.tokensPerSecond)
      }
      loss.record(report.loss)
      gradientNorm.record(Double(report.gradientNorm))
      learningRate.record(report.learningRate)
      epoch.record(report.epoch)
    }

    /// Records a measurement.
    public func record(_ measurement: TrainingMeasurement) {
      for value in measurement.values {
        Gauge(
          label: "\(prefix)_evaluation", dimensions: dimensions + [("value", value.key)],
          factory: factory
        ).record(value.number)
      }
    }

    /// Records what happened, if it has numbers.
    public func record(_ event: TrainingEvent) {
      switch event {
      case .step(let report): record(report)
      case .measurement(let measurement): record(measurement)
      case .sample, .warning: break
      }
    }
  }
#endif
