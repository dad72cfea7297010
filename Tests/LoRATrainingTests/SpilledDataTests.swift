import Foundation
import LoRAArchitectures
import LoRAModels
import LoRATemplates
import LoRATensor
import LoRAText
import LoRATraining
import TestSupport
import Testing

/// Data that are larger than the memory they may take: the same examples, bits and fingerprints.
@Suite struct SpilledDataTests {
  private let model: any LanguageModel

  init() throws {
    model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: 64, tiesWordEmbeddings: true, maximumPositions: 64
    ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
  }

  private func file(_ count: Int, from first: Int = 0) throws -> String {
    let path = try ScratchFolder.make() + "/ids.jsonl"
    let lines = (first..<first + count).map { line in
      "\((0..<(5 + line % 30)).map { 3 + (line * 31 + $0 * $0 * 7) % 60 })"
    }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
    return path
  }

  private func read(
    _ files: [WeightedFile], limit: Int, split: DataSplit? = nil
  ) throws -> (training: TokenDataSet, validation: TokenDataSet?) {
    var options = DataOptions(sequenceLength: 48)
    options.memoryLimit = limit
    let reader = try DataReader(for: model, options: options) {
      throw TrainingError.emptyData(source: "no tokenizer is needed")
    }
    let (training, validation, _) = try reader.read(files, split: split)
    return (training, validation)
  }

  private func expectSame(_ some: TokenDataSet, _ all: TokenDataSet) {
    #expect(some.exampleCount == all.exampleCount && some.targetCount == all.targetCount)
    #expect(some.longestExample == all.longestExample)
    #expect(some.fingerprint == all.fingerprint)
    #expect(some.examples == all.examples)
    for indexes in [[0], [some.exampleCount - 1, 3, some.exampleCount / 2]] {
      let (one, other) = (some.batch(of: indexes), all.batch(of: indexes))
      #expect(one.tokens.scalars(as: Int64.self) == other.tokens.scalars(as: Int64.self))
      #expect(one.targets.scalars(as: Int64.self) == other.targets.scalars(as: Int64.self))
      #expect(some.targetWeight(of: indexes) == all.targetWeight(of: indexes))
    }
  }

  @Test func aFileIsTheSame() throws {
    let files = [try WeightedFile(file(700))]
    let all = try read(files, limit: .max).training
    #expect(all.targetCount > 10_000)
    for limit in [0, 4096, 65536] {
      expectSame(try read(files, limit: limit).training, all)
    }
  }

  @Test func splitsAndWeightsAreTheSame() throws {
    let files = [try WeightedFile(file(300)), try WeightedFile(file(200, from: 300), weight: 1.5)]
    let split = try DataSplit("20%")
    let all = try read(files, limit: .max, split: split)
    let some = try read(files, limit: 2048, split: split)
    expectSame(some.training, all.training)
    expectSame(try #require(some.validation), try #require(all.validation))
    #expect(some.training.place(of: 400) == all.training.place(of: 400))
  }

  /// Targets that do not follow from the tokens, and weights of messages.
  @Test func explicitTargetsAreTheSame() throws {
    let tokenizer = try TokenizerPipeline(contentsOf: Fixtures.path("text/qwen.json"))
    let model = try ModelConfiguration(
      architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
      keyValueHeadCount: 1, vocabularySize: tokenizer.vocabularySize, tiesWordEmbeddings: true,
      maximumPositions: 128
    ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
    let path = try ScratchFolder.make() + "/chats.jsonl"
    let lines = (0..<60).map { number in
      #"{"messages": [{"role": "user", "content": "What is \#(number)?"}, {"role": "assistant", "content": "A number\#(number)", "weight": \#(number > 20 ? 0.5 : 1)}]}"#
    }
    try Data((lines.joined(separator: "\n") + "\n").utf8).write(to: URL(filePath: path))
    func read(limit: Int) throws -> TokenDataSet {
      var options = DataOptions(sequenceLength: 100)
      options.memoryLimit = limit
      let format = ChatFormat(
        tokenizer: tokenizer,
        template: try ChatTemplate(
          "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        ))
      return try DataReader(
        for: model, options: options, chatFormat: { format }, tokenizer: { tokenizer }
      ).read(path).data
    }
    let (some, all) = (try read(limit: 1024), try read(limit: .max))
    expectSame(some, all)
    let weights = [some, all].map { $0.batch(of: [3, 40]).weights?.scalars(as: Float.self) }
    #expect(weights[0] == weights[1] && weights[0]?.contains(0.5) == true)
    let parts = try [some, all].map { try $0.divided(by: DataSplit("30%")).validation }
    expectSame(parts[0], parts[1])
  }

  @Test func trainingHasTheSameBits() async throws {
    let files = [try WeightedFile(file(60))]
    func losses(limit: Int) async throws -> [Double] {
      let trained = try ModelConfiguration(
        architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
        keyValueHeadCount: 1, vocabularySize: 64, tiesWordEmbeddings: true, maximumPositions: 64
      ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
      let trainer = try Trainer(
        trained, training: .full, on: try read(files, limit: limit).training,
        options: TrainingOptions(duration: .steps(12), batchSize: 4, learningRate: 1e-2))
      return try await trainer.run().losses
    }
    let all = try await losses(limit: .max)
    #expect(try await losses(limit: 1024) == all && all.count == 12)
  }

  /// A run over weighted files of which some examples are kept, stopped and saved: what goes on from there
  /// reads its data again, with another limit, and ends in the same state, bytes and all.
  @Test(arguments: [false, true]) func aResumedRunEndsInTheSameBytes(packed: Bool) throws {
    let folder = try ScratchFolder.make()
    let files = [
      try WeightedFile(file(60)), try WeightedFile(file(50, from: 60), weight: 0.5),
      try WeightedFile(file(20, from: 110), weight: 2.5),
    ]
    let split = try DataSplit("5%")
    var measured: [TokenDataSet] = []
    func trainer(limit: Int) throws -> Trainer<TokenDataSet> {
      let trained = try ModelConfiguration(
        architecture: .llama, hiddenSize: 8, intermediateSize: 16, layerCount: 1, headCount: 2,
        keyValueHeadCount: 1, vocabularySize: 64, tiesWordEmbeddings: true, maximumPositions: 64
      ).randomLanguageModel(standardDeviation: 0.1, seed: 5)
      try trained.inject(LoRA(rank: 4, alpha: 8, dropout: 0.2), named: "a", seed: 3)
      var (training, validation) = try read(files, limit: limit, split: split)
      training.isPacked = packed
      measured.append(try #require(validation))
      return try Trainer(
        trained, training: .adapter("a"), on: training,
        options: TrainingOptions(
          duration: .epochs(2), batchSize: 5, accumulation: 2, learningRate: 1e-2,
          schedule: .cosine, seed: 3))
    }
    var whole = try TrainingRun(trainer(limit: .max))
    while try whole.step() != nil {}
    try whole.state().save(to: folder + "/whole")
    let cases: [(stop: Int, limits: (Int, Int))] = [
      (0, (512, 512)), (3, (512, .max)), (9, (.max, 512)), (14, (0, 4096)),
    ]
    for (stop, limits) in cases {
      var first = try TrainingRun(trainer(limit: limits.0))
      for _ in 0..<stop { #expect(try first.step() != nil) }
      try first.state().save(to: folder + "/state")
      var rest = try TrainingRun(
        trainer(limit: limits.1), from: TrainingState(path: folder + "/state"))
      while try rest.step() != nil {}
      try rest.state().save(to: folder + "/rest")
      #expect(rest.result.losses == whole.result.losses, "stopped after step \(stop)")
      #expect(
        FileManager.default.contentsEqual(atPath: folder + "/rest", andPath: folder + "/whole"),
        "stopped after step \(stop)")
    }
    #expect(whole.result.steps > 14)
    for other in measured.dropFirst() {
      #expect(other.examples == measured[0].examples)
      #expect(other.fingerprint == measured[0].fingerprint)
    }
  }
}
