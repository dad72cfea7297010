import Foundation
import LoRAJSON
import LoRAModels
import LoRATensor
import LoRATraining
import Testing

/// Scores of examples that are longer than a model's positions, against transformers.
@Suite struct ScoringTests {
  @Test func windowsGiveWhatTransformersGives() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    let expected = try JSONValue(
      parsing: Data(contentsOf: URL(filePath: Fixtures.path("training/windows.json"))))
    let ids = (expected["ids"]?.arrayValue ?? []).compactMap(\.intValue)
    let results = try #require(expected["results"]?.arrayValue)
    #expect(ids.count == 150 && results.count == 8)
    // An example before and one behind: windows of different examples share batches.
    let data = try TokenDataSet(sequences: [Array(ids.prefix(40)), ids, Array(ids.suffix(17))])
    for result in results {
      let windows = try ScoringWindows(
        length: result["window"]?.intValue ?? 0, stride: result["stride"]?.intValue)
      let wanted = (result["token_nlls"]?.arrayValue ?? []).compactMap(\.doubleValue)
      for batchSize in [1, 5] {
        let scores = try model.score(
          data, windows: windows, batchSize: batchSize, keepsLosses: true)
        #expect(scores.count == 3 && scores[1].tokens == wanted.count)
        for (a, b) in zip(scores[1].losses, wanted) { #expect(abs(Double(a) - b) < 5e-5) }
        #expect(abs(scores[1].sum - wanted.reduce(0, +)) < 1e-3)
      }
      let alone = try TokenDataSet(sequences: [ids])
      let evaluation = try model.evaluate(on: alone, windows: windows)
      #expect(evaluation.tokens == wanted.count)
      #expect(abs(evaluation.nll - wanted.reduce(0, +) / Double(wanted.count)) < 1e-5)
    }
  }

  @Test func aWindowOfEverythingIsThePlainScore() throws {
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    let data = try TokenDataSet(
      examples: [
        TrainingExample(sequence: [1, 5, 9, 30, 2], promptLength: 3),
        TrainingExample(sequence: [4, 6]),
        TrainingExample(tokens: [3, 4, 5, 6], targets: [4, -100, 6, 9]),
      ])
    let plain = try model.score(data, keepsLosses: true)
    #expect(plain.map(\.tokens) == [2, 1, 3] && plain.map(\.losses.count) == [2, 1, 3])
    let windows = try model.score(
      data, windows: try ScoringWindows(length: 64), keepsLosses: true)
    for (a, b) in zip(plain, windows) {
      for (x, y) in zip(a.losses, b.losses) { #expect(abs(x - y) < 1e-5) }
    }
    let sum = plain.reduce(0) { $0 + $1.sum }
    #expect(abs(try model.evaluate(on: data).nll - sum / 6) < 1e-6)
    // Prompts of several windows are context, not more.
    let narrow = try model.score(data, windows: try ScoringWindows(length: 3, stride: 1))
    #expect(narrow.map(\.tokens) == [2, 1, 3])
  }

  @Test func whatCannotBe() throws {
    for (length, stride) in [(1, 1), (0, 1), (8, 0), (8, 9), (8, -1)] {
      #expect(throws: TrainingError.self) { try ScoringWindows(length: length, stride: stride) }
    }
    #expect(try ScoringWindows(length: 9).stride == 4)
    let model = try PretrainedModel(path: Fixtures.path("models/llama-grouped")).languageModel
    let data = try TokenDataSet(sequences: [Array(repeating: 5, count: 70)])
    #expect(throws: TrainingError.exampleTooLong(example: 0, length: 69, limit: 64)) {
      try model.score(data)
    }
    #expect(throws: TrainingError.self) {
      try model.score(data, windows: try ScoringWindows(length: 66))
    }
    #expect(try model.score(data, windows: try ScoringWindows(length: 65))[0].tokens == 69)
  }
}
