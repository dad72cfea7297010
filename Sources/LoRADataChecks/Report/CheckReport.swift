public import LoRATraining

/// What a check found in data files.
public struct CheckReport: Sendable {
  /// The files.
  public let files: [DataFile]
  /// The number of examples of all files, lines that are no records among them.
  public let exampleCount: Int
  /// The findings by their files and lines; of each kind the first ``FindingLog/kept``.
  public let findings: [Finding]
  /// The number of all findings of each kind that was found.
  public let counts: [(kind: Finding.Kind, count: Int)]
  /// The lengths of what is asked, in characters.
  public let questionLengths: Histogram
  /// The lengths of last answers, in characters.
  public let answerLengths: Histogram
  /// The lengths of the answers that preferences reject, in characters.
  public let rejectedLengths: Histogram
  /// The lengths of texts without a question, in characters.
  public let textLengths: Histogram
  /// The lengths of examples in tokens; nil without a model.
  public let tokenLengths: Histogram?
  /// The model's positions; nil without a model.
  public let positions: Int?

  private let log: FindingLog

  init(
    files: [DataFile], exampleCount: Int, log: FindingLog, questionLengths: Histogram,
    answerLengths: Histogram, rejectedLengths: Histogram, textLengths: Histogram,
    tokenLengths: Histogram?, positions: Int?
  ) {
    self.files = files
    self.exampleCount = exampleCount
    self.log = log
    findings = log.findings.sorted { ($0.example, $0.kind) < ($1.example, $1.kind) }
    counts = log.counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    self.questionLengths = questionLengths
    self.answerLengths = answerLengths
    self.rejectedLengths = rejectedLengths
    self.textLengths = textLengths
    self.tokenLengths = tokenLengths
    self.positions = positions
  }

  /// The number of all findings.
  public var findingCount: Int { counts.reduce(0) { $0 + $1.count } }

  /// What was assumed of the files, in sentences.
  public var notes: [String] {
    files.compactMap { file in
      file.recognition.map { files.count > 1 ? "\(file.path): \($0)" : $0 }
    }
  }

  /// The lengths that there are, with what they are lengths of.
  public var lengths: [(title: String, histogram: Histogram)] {
    let all: [(title: String, histogram: Histogram)] = [
      ("questions, in characters", questionLengths), ("answers, in characters", answerLengths),
      ("rejected answers, in characters", rejectedLengths), ("texts, in characters", textLengths),
      ("examples, in tokens", tokenLengths ?? Histogram()),
    ]
    return all.filter { $0.histogram.total > 0 }
  }

  /// The number of the first example of a file.
  func firstExample(of file: Int) -> Int { log.firstExample(of: file) }

  /// What an example is left out of a cleaned copy for; nil if it stays.
  public func reasonToDrop(_ example: Int) -> Finding.Kind? { log.mark(of: example) }
}
