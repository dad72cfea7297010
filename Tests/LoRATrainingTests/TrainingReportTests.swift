import Foundation
import LoRAModels
import LoRATensor
import LoRATesting
import LoRAText
import Testing

@testable import LoRATraining

/// What a report shows, and what its parts are made of.
@Suite struct TrainingReportTests {
  private static let hostile = "<script>alert('x')</script>\u{0}\"&"

  /// A step as a run reports it.
  private func step(_ number: Int, of count: Int = 4, loss: Double) throws -> StepReport {
    let text = """
      {"step": \(number), "stepCount": \(count), "loss": \(loss), "gradientNorm": 0.5,
       "learningRate": 0.01, "tokens": 20, "tokensPerSecond": 10, "epoch": 1}
      """
    return try JSONDecoder().decode(StepReport.self, from: Data(text.utf8))
  }

  /// Averages with the weights 0.95^k, which add up to one from the first step on.
  @Test func theSmoothedLossIsCorrectedForItsBeginning() throws {
    var history = TrainingHistory()
    let losses = [4.0, 2, 3]
    for (index, loss) in losses.enumerated() {
      history.add(.step(try step(index + 1, loss: loss)))
    }
    let weights = [0.95 * 0.95, 0.95, 1]
    let last = zip(losses, weights).reduce(0) { $0 + $1.0 * $1.1 } / weights.reduce(0, +)
    #expect(history.smoothedLosses[0] == 4)
    #expect(abs(history.smoothedLosses[2] - last) < 1e-12)
    #expect(history.tokens == 60 && history.seconds == 6)
  }

  @Test func eventsAreReadAsTheyWereWritten() throws {
    let events: [TrainingEvent] = [
      .step(try step(3, loss: 1.5)),
      .measurement(.init(step: 3, values: [.init(key: "nll", name: "NLL", number: 2.5)])),
      .sample(.init(step: 3, prompt: 1, question: "a\nb", expected: nil, text: Self.hostile)),
      .warning(step: 3, text: "it diverges"),
    ]
    for event in events {
      let data = try JSONEncoder().encode(event)
      #expect(try JSONDecoder().decode(TrainingEvent.self, from: data) == event)
      #expect(event.step == 3)
    }
    #expect(throws: DecodingError.self) {
      try JSONDecoder().decode(TrainingEvent.self, from: Data("{\"other\": 1}".utf8))
    }
  }

  /// The losses of examples are those of scoring, spread evenly, and the texts those of the tokenizer.
  @Test func exampleLossesAreThoseOfScoring() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    let examples = (0..<12).map { index in
      TrainingExample(
        sequence: (0..<(4 + index % 3)).map { (7 * index + 3 * $0) % 60 }, promptLength: index % 3)
    }
    let data = try TokenDataSet(examples: examples)
    let scores = try model.score(data)
    let all = try model.exampleLosses(of: data, tokenizer: nil, worst: 3)
    #expect(all.exampleCount == 12 && all.examples.count == 12)
    for (example, score) in zip(all.examples, scores) {
      #expect(abs(example.loss - score.nll) < 1e-6 && example.targetCount == score.tokens)
    }
    let sum = scores.reduce(0) { $0 + $1.sum } / Double(scores.reduce(0) { $0 + $1.tokens })
    #expect(abs(all.loss - sum) < 1e-6)
    #expect(
      all.worst.map(\.example.loss) == all.examples.map(\.loss).sorted(by: >).prefix(3).map { $0 })
    // Learned is what has a target, and each token's loss belongs to it.
    let worst = try #require(all.worst.first)
    let index = try #require(all.examples.firstIndex(of: worst.example))
    let sequence = examples[index].sequence
    #expect(worst.pieces.map(\.text) == sequence.map { "\($0) " })
    #expect(
      worst.pieces.map { $0.loss != nil } == [false] + examples[index].targets.map { $0 >= 0 })
    let losses = worst.pieces.compactMap(\.loss).reduce(0, +)
    #expect(abs(Double(losses) - scores[index].sum) < 1e-5)
    // A budget of tokens leaves examples out, evenly.
    let some = try model.exampleLosses(of: data, tokenizer: nil, mostTokens: 20)
    #expect((1...6).contains(some.examples.count) && some.exampleCount == 12)
    #expect(some.examples[0] == all.examples[0])
    let one = try model.exampleLosses(of: data, tokenizer: nil, mostTokens: 0, shownTokens: 2)
    #expect(one.examples.count == 1)
    #expect(
      one.worst[0].pieces.count == 2 && one.worst[0].leftOutBefore + one.worst[0].leftOutAfter == 2)
  }

  /// A text of bytes alone, cut within a character: a decoder would keep it all back to its end.
  @Test func spelledTextsAreShown() throws {
    struct Spelling: Tokenizer {
      let vocabularySize = 257
      let beginningOfSequence: Int? = nil
      let endOfSequence: Int? = nil
      func encode(_ text: String, addSpecialTokens: Bool) -> [Int] { text.utf8.map(Int.init) }
      func decode(_ ids: [Int], skipSpecialTokens: Bool) -> String {
        ids.map { $0 == 256 ? "A" : "�" }.joined()
      }
      func id(of token: String) -> Int? { nil }
      func token(of id: Int) -> String? {
        let digits = String(id, radix: 16, uppercase: true)
        return id == 256 ? "A" : "<0x\(digits.count < 2 ? "0" : "")\(digits)>"
      }
    }
    let ids = [256] + Array("日é".utf8).map(Int.init) + [256, 0xE6, 0x97]
    #expect(
      ExampleLosses.MarkedText.texts(of: ids, Spelling()) == [
        "A", "", "", "日", "", "é", "A", "", "�",
      ])
    // A byte that begins a character ends one that was not finished.
    #expect(
      ExampleLosses.MarkedText.texts(of: [0xE6, 0x41, 0x80, 256], Spelling()) == [
        "", "�A", "", "�A",
      ])
  }

  /// Nothing that is said becomes a part of the page, whatever it is.
  @Test func hostileTextsStayTexts() throws {
    let text = Self.hostile
    var report = TrainingReport(title: text)
    report.subtitle = text
    report.ending = .failed(text)
    for number in 1...4 { report.history.add(.step(try step(number, loss: 5 - Double(number)))) }
    report.history.add(
      .measurement(.init(step: 4, values: [.init(key: text, name: text, number: 2.5)])))
    for step in [0, 2, 4] {
      report.history.add(
        .sample(.init(step: step, prompt: 0, question: text, expected: text, text: text)))
    }
    report.history.add(.warning(step: 1, text: text))
    report.notes = [text]
    report.data = [
      DataSummary(
        try TokenDataSet(sequences: [[1, 2, 3], [1, 2]]), source: text, notes: [text])
    ]
    let example = ExampleLosses.Example(place: text, loss: 3, targetCount: 1)
    report.examples = ExampleLosses(
      exampleCount: 9, examples: [example],
      worst: [
        .init(
          example: example,
          pieces: [.init(text: text, loss: nil), .init(text: text, loss: 6)], leftOutBefore: 3,
          leftOutAfter: 0)
      ])
    report.settings = [.init(text, text)]
    report.command = text
    report.environment = [.init(text, text)]
    let html = report.html()
    #expect(!html.contains("<script") && !html.contains("\u{0}") && !html.contains("'x'"))
    // The title twice, and each of the others once at least.
    #expect(html.components(separatedBy: "&lt;script&gt;").count > 20)
    for part in ["http:", "https:", "url("] { #expect(!html.contains(part), "\(part)") }
  }

  /// What is there is shown with its numbers, and what is not has no heading.
  @Test func aPageHasWhatIsKnown() throws {
    var report = TrainingReport(title: "a")
    let empty = report.html()
    #expect(!empty.contains("<h2>") && empty.hasPrefix("<!DOCTYPE html>"))
    #expect(empty.contains(TrainingReport.generator))
    for number in 1...3 { report.history.add(.step(try step(number, loss: 5 - Double(number)))) }
    for (step, loss) in [(0, 3.25), (2, 2.5), (3, 2.75)] {
      report.history.add(
        .measurement(.init(step: step, values: [.init(key: "nll", name: "NLL", number: loss)])))
    }
    report.bestStep = 2
    report.ending = .early("2 evaluations in a row were no better")
    report.predictedBytes = 3 << 20
    report.peakBytes = 2 << 20
    report.history.add(
      .sample(.init(step: 0, prompt: 0, question: "Who?", expected: "Me.", text: "")))
    report.history.add(.sample(.init(step: 3, prompt: 0, question: "Who?", text: "Me!")))
    let html = report.html()
    // The result is that of the best step, of 3 of 4 steps.
    #expect(html.contains("3.25 → 2.5") && html.contains("3 of 4") && html.contains("class=\"ring"))
    #expect(html.contains("Ended early: 2 evaluations"))
    #expect(html.contains("3 MiB") && html.contains("2 MiB"))
    #expect(html.contains("before the training") && html.contains("after step 3"))
    #expect(html.contains("(nothing)") && html.contains("Me!") && html.contains("expected"))
    #expect(!html.contains("Losses of single examples") && !html.contains("<h2>Data</h2>"))
  }

  @Test func dataAreCounted() throws {
    let examples = [[1, 2, 3], [1, 2, 4], [1, 2, 3, 4, 5]].map {
      TrainingExample(sequence: $0, promptLength: 2)
    }
    let summary = DataSummary(try TokenDataSet(examples: examples), source: "a", notes: ["b"])
    #expect(summary.exampleCount == 3 && summary.tokenCount == 8 && summary.targetCount == 5)
    #expect(summary.lengths.least == 2 && summary.lengths.greatest == 4)
    #expect(summary.notes == ["b"])
  }
}
