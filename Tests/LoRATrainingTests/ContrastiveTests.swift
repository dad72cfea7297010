import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATesting
import LoRAText
import LoRATraining
import Testing

/// The contrastive objective, by PyTorch (Tests/Reference/contrastive.py), and training with it.
@Suite struct ContrastiveTests {
  private static let folder = Fixtures.path("sentences/mean-normalized")

  private let encoder: SentenceEncoder
  private let ids: [[Int]]
  private let labels: [Int]

  init() throws {
    let pretrained = try PretrainedModel(path: Self.folder)
    let encoder = try SentenceEncoder(pretrained)
    let tokenizer = try pretrained.tokenizer()
    let texts = try LabelledText.read(Self.folder + "/texts.jsonl")
    ids = texts.map { encoder.encode($0.text, tokenizer: tokenizer).encoding.ids }
    let names = ["delivery", "card", "balance"]
    labels = texts.map { text in names.firstIndex { text.labels == [.name($0)] } ?? -1 }
    self.encoder = encoder
  }

  private func pairs(grouped: Bool) throws -> PairDataSet {
    try PairDataSet(
      stride(from: 0, to: 12, by: 2).map {
        .init(ids[$0], ids[$0 + 1], group: grouped ? labels[$0] : nil)
      })
  }

  @Test func lossesAndGradientsArePyTorchs() throws {
    let file = try SafetensorsFile(path: Fixtures.path("sentences/contrastive.safetensors"))
    for (grouped, name) in [(false, "losses"), (true, "masked")] {
      let data = try pairs(grouped: grouped)
      let loss = MultipleNegatives().loss(encoder, data.batch(of: Array(0..<6)), scale: 1)
      let expected = try file.tensor(named: name).sum()
      #expect(abs(Double(loss.value.item()) - expected) < 1e-4, "\(name)")
    }
    let model = encoder.model
    model.setTrainable(true)
    let batch = try pairs(grouped: false).batch(of: Array(0..<6))
    let gradients = MultipleNegatives().loss(encoder, batch, scale: 1 / 6).gradients()
    for name in file.names where name.hasPrefix("gradient.") {
      let path = "bert." + name.dropFirst("gradient.".count)
      let parameter = try #require(model.namedParameters().first { $0.path == path }?.parameter)
      let found = try #require(gradients[parameter])
      #expect(largestDifference(found, try file.tensor(named: name)) < 1e-4, "\(path)")
    }
  }

  @Test func pairsOfLabels() throws {
    let data = try PairDataSet(sequences: ids + [[7]], labels: labels + [9], seed: 4)
    #expect(data.exampleCount == 12, "a label of one sequence has no pair")
    for (example, (sequence, label)) in zip(data.examples, zip(ids, labels)) {
      #expect(example.first == sequence && example.second != sequence && example.group == label)
    }
    let again = try PairDataSet(sequences: ids, labels: labels, seed: 4)
    #expect(again.fingerprint == data.fingerprint)
    let other = try PairDataSet(sequences: ids, labels: labels, seed: 5)
    #expect(other.fingerprint != data.fingerprint)
    #expect(throws: TrainingError.emptyData(source: "f")) {
      try PairDataSet(sequences: [[1], [2]], labels: [0, 1], source: "f")
    }
  }

  @Test func oneOfAKindTeachesNothing() throws {
    #expect(throws: TrainingError.nothingToTellApart(source: "a")) {
      try PairDataSet([.init(ids[0], ids[1])], source: "a")
    }
    #expect(throws: TrainingError.nothingToTellApart(source: "a")) {
      try PairDataSet(sequences: Array(ids[0..<3]), labels: [4, 4, 4], source: "a")
    }
    let data = try pairs(grouped: false)
    let error = #expect(throws: TrainingError.self) {
      try Trainer(encoder, training: .full, on: data, options: TrainingOptions(batchSize: 1))
    }
    guard case .invalidOption("the batch size", "1", _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func recall() {
    let vectors = Tensor([1, 0, 2, 0.1, 0, 1, -1, 0.2, 0.1, 3] as [Float], shape: [5, 2])
    // By the cosine 0 and 1 are nearest to each other, and 2 and 4; 3 is nearest to 2.
    #expect(Retrieval.recallAtOne(of: vectors, labels: [0, 0, 1, 2, 1]) == 1)
    #expect(Retrieval.recallAtOne(of: vectors, labels: [0, 0, 1, 1, 1]) == 1)
    #expect(Retrieval.recallAtOne(of: vectors, labels: [0, 0, 1, 0, 1]) == 0.8)
    #expect(Retrieval.recallAtOne(of: vectors, labels: [0, 1, 2, 3, 4]) == nil)
  }

  @Test func trainingBringsLabelsTogether() async throws {
    let data = try PairDataSet(sequences: ids, labels: labels)
    try encoder.model.inject(LoRA(rank: 2, alpha: 4), named: "a", into: .allLinear)
    let result = try await Trainer(
      encoder, training: .adapter("a"), on: data,
      options: TrainingOptions(duration: .epochs(40), batchSize: 6, learningRate: 5e-3)
    ).run()
    #expect((result.losses.last ?? 9) < 0.3 * (result.losses.first ?? 0))
    let vectors = Tensor.concatenated(
      ids.map { ids in withoutGradients { encoder(TokenBatch(sequences: [ids])).value } })
    #expect(try #require(Retrieval.recallAtOne(of: vectors, labels: labels)) >= 0.8)
  }
}
