import Foundation
import LoRAFiles
import LoRAModels
import LoRATraining
import LoRAText
import TestSupport
import Testing

/// Answers judged by expected ones, and how sure the judgement is.
@Suite struct EvaluatingTests {
  private static let answers: [(AnswerMetric, String, String, Double)] = [
    (.exact, " 145 pounds\n", "145 pounds", 1),
    (.exact, "145 Pounds", "145 pounds", 0),
    (.contains, "It costs 145 POUNDS.", "145 pounds", 1),
    (.contains, "It costs 14.", "145", 0),
    (.f1, "It costs 145 pounds.", "145 pounds", 0.6667),
    (.f1, "The cat", "a cat!", 1),
    (.f1, "東京です", "東京", 0.6667),
    (.f1, "", "", 1),
    (.f1, "", "x", 0),
    (.f1, "b b", "b", 0.6667),
  ]

  @Test(arguments: answers)
  func answersAreScored(metric: AnswerMetric, answer: String, expected: String, score: Double) {
    #expect(abs(metric.score(answer, expected: expected) - score) < 1e-4)
  }

  /// The interval of a share is close to that of the normal distribution, and pairs cancel what is common.
  @Test func intervals() {
    let half = (0..<400).map { Double($0 % 2) }
    let interval = PairedBootstrap().interval(ofMean: half)
    #expect(abs(interval.lowerBound - 0.451) < 0.01 && abs(interval.upperBound - 0.549) < 0.01)
    #expect(PairedBootstrap().interval(ofMean: half) == interval)
    let base = CandidateScores(name: "base", scores: half)
    let better = CandidateScores(name: "a", scores: half.map { $0 + 0.1 })
    let comparison = better.compared(with: base)
    #expect(comparison.verdict == .better && abs(comparison.difference - 0.1) < 1e-9)
    #expect(better.compared(with: base, lowerIsBetter: true).verdict == .worse)
    let shuffled = CandidateScores(name: "b", scores: half.reversed())
    #expect(shuffled.compared(with: base).verdict == .unclear)
  }

  private func questions(
    _ content: String, shots: Int = 0, _ change: (inout DataOptions) -> Void = { _ in }
  ) throws -> [(prompt: String, question: Question)] {
    let path = try ScratchFolder.make() + "/a.jsonl"
    try Data(content.utf8).write(to: URL(filePath: path))
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    var options = DataOptions()
    change(&options)
    return try QuestionReader(tokenizer: tokenizer, options: options).read(path, shots: shots).map {
      (tokenizer.decode($0.prompt, skipSpecialTokens: false), $0)
    }
  }

  @Test func shotsStandBeforeQuestions() throws {
    let lines = """
      {"prompt":"a?","completion":" b"}
      {"prompt":"c?","completion":" d"}
      """
    let found = try questions(lines, shots: 1)
    #expect(found.count == 1 && found[0].prompt == "a? b\n\nc?")
    #expect(found[0].question.expected == " d" && found[0].question.line == 2)
    #expect(throws: FormatError.self) { try questions(lines, shots: 2) }
  }

  @Test func choices() throws {
    let found = try questions(
      """
      {"question":"a?","choices":["x","y"],"answer":1}
      {"prompt":"b?","choices":["x","y"],"answer":"x"}
      """)
    #expect(
      found.map(\.question.expected) == ["y", "x"] && found[0].question.choices == ["x", "y"])
    for line in [
      #"{"prompt":"a","choices":["x","y"],"answer":2}"#,
      #"{"prompt":"a","choices":["x"],"answer":0}"#,
      #"{"choices":["x","y"],"answer":0}"#, #"{"text":"a"}"#,
      #"{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#,
    ] { #expect(throws: FormatError.self, "\(line)") { try questions(line) } }
  }
}
