import Foundation
import LoRAKit

/// Tells what customers want: an encoder, and an adapter that has learned the intents from examples.
public struct IntentClassifier: Sendable {
  /// What a question is about.
  public struct Answer: Sendable, Hashable {
    /// The likeliest intent.
    public let intent: String
    /// Its probability.
    public let probability: Double
  }

  private let model: any PretrainedSequenceClassifier
  private let tokenizer: any Tokenizer

  /// Opens the encoder at `encoder` with the adapter in the folder `adapter`, which brings the head.
  public init(encoder: String, adapter: String) throws {
    let file = try AdapterFile(path: adapter)
    let pretrained = try PretrainedModel(path: encoder, headOf: file)
    try pretrained.model.loadAdapter(file, named: "intents")
    model = try pretrained.sequenceClassifier
    tokenizer = try pretrained.tokenizer()
  }

  /// What each question is about, in their order.
  public func intents(of questions: [String]) throws -> [Answer] {
    try model.classify(questions.map { tokenizer.encode($0) }).map { found in
      Answer(
        intent: model.labels[found.labels[0]], probability: found.probabilities[found.labels[0]])
    }
  }

  /// The intents that it knows.
  public var intents: [String] { model.labels }

  /// Learns the intents of `data`, records of a `text` and its `label`, beside the encoder at `encoder`,
  /// which stays as it is, and saves what was learned in the folder `adapter`.
  ///
  /// - Parameters:
  ///   - held: examples that are not learned from; the accuracy on them is returned.
  ///   - options: of training; the rate fits a real encoder.
  public static func train(
    encoder: String, data: String, held: String, adapter: String,
    options: TrainingOptions = TrainingOptions(
      duration: .epochs(3), batchSize: 32, learningRate: 2e-3)
  ) async throws -> Double {
    let texts = try LabelledText.read(data)
    let labels = try LabelSet(of: texts, file: data)
    let pretrained = try PretrainedModel(path: encoder, classifying: labels.names)
    let model = try pretrained.sequenceClassifier
    let tokenizer = try pretrained.tokenizer()
    func encoded(_ texts: [LabelledText], _ file: String) throws -> LabelledDataSet {
      try LabelledDataSet.encoding(
        texts, labels: labels, tokenizer: tokenizer, longest: model.maximumPositions, source: file
      ).data
    }

    let recipe = pretrained.trainingHead(
      PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .allLinear))
    try model.inject(recipe, named: "intents")
    var options = options
    options.groupsByLength = true
    _ = try await Trainer(
      model, training: .adapter("intents"), on: try encoded(texts, data), options: options
    ).run()

    let accuracy = try model.evaluate(on: encoded(LabelledText.read(held), held)).accuracy
    // PEFT opens the folder too; the labels lie beside the adapter.
    try model.saveAdapter(
      "intents", to: adapter, configuration: recipe, baseModelName: encoder,
      otherFiles: pretrained.labelledConfiguration().map { [("config.json", $0)] } ?? [])
    return accuracy
  }
}

/// What this package carries: an encoder of 13,000 random numbers that stands for a real one, and twelve
/// questions.
public enum Demonstration {
  /// The folder of the encoder.
  public static var encoder: String { resource("Model") }
  /// The questions and their intents.
  public static var questions: String { resource("questions.jsonl") }
  /// Training that teaches even random numbers.
  public static var options: TrainingOptions {
    TrainingOptions(duration: .epochs(30), batchSize: 4, learningRate: 0.01)
  }

  private static func resource(_ name: String) -> String {
    Bundle.module.bundleURL.appending(path: name).path
  }
}
