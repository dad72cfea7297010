import Foundation
import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAModels
import LoRATensor
import LoRATesting
import Testing

/// Embeddings of sentence-transformers' folders, by transformers (Tests/Reference/sentences.py).
@Suite struct SentenceEncoderTests {
  static let names = ["mean-normalized", "cls", "mean-root", "last"]

  private func texts(_ name: String) throws -> [String] {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("sentences/\(name)/texts.json")))
    return try JSONDecoder().decode([String].self, from: data)
  }

  @Test(arguments: names) func embeddings(name: String) throws {
    let folder = Fixtures.path("sentences/\(name)")
    let pretrained = try PretrainedModel(path: folder)
    let encoder = try SentenceEncoder(pretrained)
    let expected = try SafetensorsFile(path: folder + "/expected.safetensors")
      .tensor(named: "embeddings")
    for size in [1, 3, 32] {
      let found = try encoder.embed(
        try texts(name), tokenizer: pretrained.tokenizer(), batchSize: size)
      #expect(largestDifference(found, expected) < 1e-5, "\(size) at a time")
    }
    #expect(encoder.isNormalized == (name == "mean-normalized"))
  }

  @Test func gradientsReachTheModel() throws {
    let model = try TinyModels.configuration(.bert).randomModel(standardDeviation: 0.3, seed: 4)
    let batch = TokenBatch(sequences: [[3, 7, 1, 9], [4, 2]])
    let weight = try #require(
      model.namedParameters().first { $0.path.hasSuffix("layer.0.output.dense.weight") })
    for pooling in [SentenceEncoder.Pooling.mean, .last, .meanBySquareRoot] {
      let encoder = SentenceEncoder(model, pooling: pooling, isNormalized: true)
      let target = Tensor((0..<2 * encoder(batch).shape[1]).map { Float($0 % 5) - 2 })
      let report = checkGradients(of: [weight.parameter], tolerance: 5e-3, maximumElements: 6) {
        let y = encoder(batch)
        return (y * Variable(target.reshaped(to: y.shape))).sum()
      }
      #expect(report.isCorrect, "\(report)")
    }
  }

  @Test func whatIsNotComputedIsRefused() throws {
    func problem(_ file: String, _ old: String, _ new: String) throws -> String {
      let folder = try Fixtures.temporaryFolder() + "/m"
      try FileManager.default.copyItem(
        atPath: Fixtures.path("sentences/mean-normalized"), toPath: folder)
      let url = URL(filePath: "\(folder)/\(file)")
      let text = try String(contentsOf: url, encoding: .utf8)
      #expect(text.contains(old))
      try text.replacing(old, with: new).write(to: url, atomically: true, encoding: .utf8)
      let pretrained = try PretrainedModel(path: folder)
      return
        "\(try #require(#expect(throws: FormatError.self) { try SentenceEncoder(pretrained) }))"
    }
    #expect(
      try problem("modules.json", "models.Normalize", "models.Dense")
        .contains("the module 'sentence_transformers.models.Dense'"))
    #expect(try problem("modules.json", "models.Pooling", "models.Other").contains("models.Other"))
    #expect(
      try problem(
        "1_Pooling/config.json", "\"pooling_mode_max_tokens\": false",
        "\"pooling_mode_max_tokens\": true"
      )
      .contains("max_tokens"))
    #expect(
      try problem("1_Pooling/config.json", "\"pooling_mode_mean_tokens\": true", "\"x\": true")
        .contains("no way of pooling is on"))
    #expect(
      try problem("modules.json", "\"path\": \"\"", "\"path\": \"0\"").contains("the model in '0'"))
  }

  /// Without these files it is the mean, as in sentence-transformers.
  @Test func plainEncoders() throws {
    let pretrained = try PretrainedModel(path: Fixtures.path("encoders/bert-body"))
    let encoder = try SentenceEncoder(pretrained)
    #expect(encoder.pooling == .mean && !encoder.isNormalized)
    #expect(encoder.longestText == pretrained.model.maximumPositions)
  }
}
