/// What happens in a training and is worth remembering: a line of a log, a point of a curve.
///
/// As JSON it is an object with one key, which says what it is.
public enum TrainingEvent: Sendable, Hashable {
  /// A step was made.
  case step(StepReport)
  /// The model was measured.
  case measurement(TrainingMeasurement)
  /// The model continued a prompt.
  case sample(TrainingSample)
  /// Something looked wrong.
  case warning(step: Int, text: String)

  /// The number of steps that had been made.
  public var step: Int {
    switch self {
    case .step(let report): report.step
    case .measurement(let measurement): measurement.step
    case .sample(let sample): sample.step
    case .warning(let step, _): step
    }
  }
}

/// How good a model was after a step, on data that it does not learn from.
public struct TrainingMeasurement: Sendable, Hashable, Codable {
  /// A number with its names.
  public struct Value: Sendable, Hashable, Codable {
    /// The name in data, such as `nll`.
    public var key: String
    /// The name in sentences, such as `NLL`.
    public var name: String
    /// The number.
    public var number: Double

    /// Creates a value.
    public init(key: String, name: String, number: Double) {
      self.key = key
      self.name = name
      self.number = number
    }
  }

  /// The number of steps made.
  public var step: Int
  /// The numbers; of a loss the key is `nll` or `loss`.
  public var values: [Value]

  /// Creates a measurement.
  public init(step: Int, values: [Value]) {
    self.step = step
    self.values = values
  }
}

/// How a model continued a prompt after a step.
public struct TrainingSample: Sendable, Hashable, Codable {
  /// The number of steps made.
  public var step: Int
  /// The number of the prompt, from 0: the same prompt has the same number in every step.
  public var prompt: Int
  /// What was asked, for people.
  public var question: String
  /// What was expected, where that is known.
  public var expected: String?
  /// What the model said.
  public var text: String

  /// Creates a sample.
  public init(step: Int, prompt: Int, question: String, expected: String? = nil, text: String) {
    self.step = step
    self.prompt = prompt
    self.question = question
    self.expected = expected
    self.text = text
  }
}

// MARK: - Storing

extension TrainingEvent: Codable {
  private enum CodingKeys: String, CodingKey { case step, measurement, sample, warning }

  private struct Warning: Codable {
    var step: Int
    var text: String
  }

  /// Decodes an event; throws `DecodingError` for an object without one of the keys.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    if let report = try values.decodeIfPresent(StepReport.self, forKey: .step) {
      self = .step(report)
    } else if let point = try values.decodeIfPresent(
      TrainingMeasurement.self, forKey: .measurement)
    {
      self = .measurement(point)
    } else if let sample = try values.decodeIfPresent(TrainingSample.self, forKey: .sample) {
      self = .sample(sample)
    } else {
      let warning = try values.decode(Warning.self, forKey: .warning)
      self = .warning(step: warning.step, text: warning.text)
    }
  }

  /// Encodes the event under the key that says what it is.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .step(let report): try values.encode(report, forKey: .step)
    case .measurement(let measurement): try values.encode(measurement, forKey: .measurement)
    case .sample(let sample): try values.encode(sample, forKey: .sample)
    case .warning(let step, let text):
      try values.encode(Warning(step: step, text: text), forKey: .warning)
    }
  }
}
