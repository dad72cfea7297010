import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATemplates
import LoRATensor
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Examples of a batch as one sequence, and targets that count more or less than others.
@Suite struct PackingTests {
  private static func model(_ name: String) throws -> any LanguageModel {
    try PretrainedModel(path: Fixtures.path("models/\(name)")).languageModel
  }

  /// Examples of unequal lengths, the first of each learned from the middle on.
  private static func data(_ model: any LanguageModel, count: Int = 7) throws -> TokenDataSet {
    var random = SeededRandom(seed: 3, path: "packing")
    return try TokenDataSet(
      examples: (0..<count).map { index in
        let length = 2 + Int(random.next() % 17)
        let ids = (0..<length).map { _ in Int(random.next() % UInt64(model.vocabularySize)) }
        return TrainingExample(sequence: ids, promptLength: index % 2 == 0 ? length / 2 : 0)
      })
  }

  /// The same losses step by step, with a last batch that is not full, with windows and with positions
  /// of every kind.
  @Test(arguments: [
    "llama-grouped", "gpt2-tied", "mistral-window", "bloom-body-v4", "gemma3-windows",
    "olmoe-grouped",
    "gpt-oss",
  ])
  func packedIsUnpacked(_ name: String) throws {
    func losses(packed: Bool) throws -> [Double] {
      let model = try Self.model(name)
      try model.inject(LoRA(rank: 2), named: "a", into: .allLinear)
      var data = try Self.data(model)
      data.isPacked = packed
      let options = TrainingOptions(
        duration: .epochs(3), batchSize: 3, accumulation: 2, learningRate: 1e-2)
      return try Trainer(model, training: .adapter("a"), on: data, options: options).run().losses
    }
    let (packed, padded) = (try losses(packed: true), try losses(packed: false))
    #expect(packed.count == 6 && padded.first != padded.last)
    #expect(largestRelativeDifference(packed, padded) < 1e-5, "\(packed), \(padded)")
  }

  @Test func aBatchIsOneSequence() throws {
    var data = try TokenDataSet(sequences: [[1, 5, 7, 2], [1, 6, 2]])
    data.isPacked = true
    let batch = data.batch(of: [0, 1])
    #expect(batch.tokens.scalars(as: Int64.self) == [1, 5, 7, 1, 6])
    #expect(batch.targets.scalars(as: Int64.self) == [5, 7, 2, 6, 2])
    #expect(batch.tokens.shape == [1, 5] && batch.packedLengths == [3, 2] && batch.weights == nil)
    data.paddingMultiple = 4
    #expect(data.batch(of: [0, 1]).tokens.scalars(as: Int64.self) == [1, 5, 7, 1, 6, 0, 0, 0])
    var padded = data
    padded.isPacked = false
    #expect(padded.fingerprint != data.fingerprint)
  }

  /// A message of the weight 2 counts as often as one that is there twice.
  @Test func weightsOfMessages() throws {
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    let format = ChatFormat(
      tokenizer: tokenizer,
      template: try ChatTemplate(
        "{% for m in messages %}{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}"))
    let model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 16, intermediateSize: 32, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: tokenizer.vocabularySize, tiesWordEmbeddings: true,
      maximumPositions: 256
    ).randomLanguageModel(standardDeviation: 0.3, seed: 5)
    func data(_ weights: [String]) throws -> TokenDataSet {
      let path = try ScratchFolder.make() + "/a.jsonl"
      let messages = weights.enumerated().map { index, weight in
        "{\"role\":\"user\",\"content\":\"q\(index)\"},"
          + "{\"role\":\"assistant\",\"content\":\"a\(index)\"\(weight)}"
      }
      let line = "{\"messages\":[\(messages.joined(separator: ","))]}\n"
      try Data((line + line).utf8).write(to: URL(filePath: path))
      return try DataReader(
        for: model, chatFormat: { format }, tokenizer: { tokenizer }
      ).read(path).data
    }
    func loss(_ weights: [String], packed: Bool = false) throws -> Double {
      var data = try data(weights)
      data.isPacked = packed
      let options = TrainingOptions(duration: .steps(1), batchSize: 2, learningRate: 1e-9)
      return try Trainer(model, training: .full, on: data, options: options).run().losses[0]
    }
    func sum(_ weights: [String]) throws -> (loss: Double, count: Double) {
      let count = Double(try data(weights).targetCount)
      return (try loss(weights) * count, count)
    }
    let (none, half) = (",\"weight\":0", ",\"weight\":0.5")
    let (first, second) = (try sum(["", none]), try sum([none, ""]))
    let mean = (first.loss * 0.5 + second.loss) / (first.count * 0.5 + second.count)
    let (weighted, all) = (try loss([half, ""]), try loss(["", ""]))
    #expect(abs(weighted - mean) < 1e-5 && abs(mean - all) > 1e-4)
    let packed = try loss([half, ""], packed: true)
    #expect(abs(packed - mean) < 1e-5)
    // Equal weights are none.
    let equal = try loss([half, half])
    #expect(abs(equal - all) < 1e-5)
    let (uneven, plain) = (try data([half, ""]), try data(["", ""]))
    #expect(uneven.targetWeight(of: [0]) == first.count / 4 + second.count / 2)
    #expect(uneven.fingerprint != plain.fingerprint)
  }

  @Test func whatCannotBePackedIsRefused() throws {
    let model = try Self.model("llama-grouped")
    try model.inject(PromptTuning(count: 2), named: "p")
    var data = try Self.data(model)
    data.isPacked = true
    let error = #expect(throws: TrainingError.self) {
      try Trainer(model, training: .adapter("p"), on: data, options: TrainingOptions())
    }
    #expect("\(try #require(error))".contains("packing"))
  }
}
