import Foundation
import Intents

/// Learns intents from examples, and asks for those of new questions.
///
///     intents-demo                                             on what the package carries
///     intents-demo ENCODER TRAIN.jsonl HELD.jsonl QUESTION...  on a real encoder
@main
struct IntentsDemo {
  static func main() async throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let adapter = FileManager.default.temporaryDirectory.appending(path: "intents-\(UUID())").path
    defer { try? FileManager.default.removeItem(atPath: adapter) }
    let isReal = arguments.count > 3
    let encoder = isReal ? arguments[0] : Demonstration.encoder
    let accuracy =
      isReal
      ? try await IntentClassifier.train(
        encoder: encoder, data: arguments[1], held: arguments[2], adapter: adapter)
      : try await IntentClassifier.train(
        encoder: encoder, data: Demonstration.questions, held: Demonstration.questions,
        adapter: adapter, options: Demonstration.options)
    print("accuracy \(accuracy)")
    let classifier = try IntentClassifier(encoder: encoder, adapter: adapter)
    print("intents: \(classifier.intents.joined(separator: ", "))")
    let questions =
      isReal ? Array(arguments[3...]) : ["when will my package arrive", "my card was stolen"]
    for (question, answer) in zip(questions, try classifier.intents(of: questions)) {
      print("\(question): \(answer.intent) (\((answer.probability * 1000).rounded() / 1000))")
    }
  }
}
