/// The report of a training: what was learned from what, how it went, and how to repeat it.
///
/// ```swift
/// var report = TrainingReport(title: "Support answers")
/// report.data = [DataSummary(data, source: "questions.jsonl")]
/// while let step = try run.step() { report.history.add(.step(step)) }
/// report.examples = try model.exampleLosses(of: data, tokenizer: tokenizer)
/// try Data(report.html().utf8).write(to: URL(filePath: "report.html"))
/// ```
///
/// ``html()`` makes one page that needs nothing else. Whatever is missing has no place in it. Texts may be
/// any, also hostile ones.
public struct TrainingReport: Sendable {
  /// How a training ended.
  public enum Ending: Sendable, Hashable {
    /// After its last step.
    case complete
    /// Before that, as measurements did not improve.
    case early(String)
    /// Before that, by somebody's will.
    case interrupted
    /// Before that, by an error.
    case failed(String)
  }

  /// A name and what it stands for.
  public struct Entry: Sendable, Hashable {
    /// The name.
    public var name: String
    /// What it stands for.
    public var value: String

    /// Creates an entry.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// What was trained, in a few words.
  public var title: String
  /// A line below the title, such as where the result lies.
  public var subtitle = ""
  /// How it ended.
  public var ending = Ending.complete
  /// What happened.
  public var history = TrainingHistory()
  /// The step whose values are the result, if that is not the last one.
  public var bestStep: Int?
  /// The number of trained parameters, counted per element.
  public var trainedParameterCount = 0
  /// The data that were learned from and those that were measured on.
  public var data: [DataSummary] = []
  /// The losses of single examples at the end.
  public var examples: ExampleLosses?
  /// The settings.
  public var settings: [Entry] = []
  /// The command that repeats the training.
  public var command: String?
  /// The memory that was predicted for the training, in bytes.
  public var predictedBytes: Int?
  /// The most memory that the process had resident, in bytes.
  public var peakBytes: Int?
  /// The machine and the versions.
  public var environment: [Entry] = []
  /// What was said beside the training: warnings and notes.
  public var notes: [String] = []

  /// Creates an empty report.
  public init(title: String) { self.title = title }

  /// What the head of a page made by ``html()`` says of its maker, by which such a page is recognized.
  public static let generator = "LoRAKit, training report"
}
