import Foundation
import Intents
import Testing

@Suite struct IntentsTests {
  @Test func learnsAndIsOpenedAgain() async throws {
    let adapter = FileManager.default.temporaryDirectory.appending(path: "intents-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: adapter) }
    let accuracy = try await IntentClassifier.train(
      encoder: Demonstration.encoder, data: Demonstration.questions, held: Demonstration.questions,
      adapter: adapter, options: Demonstration.options)
    #expect(accuracy == 1)
    let classifier = try IntentClassifier(encoder: Demonstration.encoder, adapter: adapter)
    #expect(classifier.intents == ["balance", "card", "delivery"])
    let answers = try classifier.intents(of: ["where is my parcel", "i lost my card"])
    #expect(answers.map(\.intent) == ["delivery", "card"])
    #expect(answers.allSatisfy { $0.probability > 0.5 && $0.probability <= 1 })
    let files = try FileManager.default.contentsOfDirectory(atPath: adapter).sorted()
    #expect(files == ["adapter_config.json", "adapter_model.safetensors", "config.json"])
  }
}
