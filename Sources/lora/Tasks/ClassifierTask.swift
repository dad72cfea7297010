import Foundation
import LoRAFiles
import LoRAFormats
import LoRAKit

/// A task whose model tells labels apart, with a head that is trained beside the adapter.
protocol ClassifierTask: TrainingTask {
  /// The model and its labels.
  var classifier: OpenedClassifier { get }
}

extension ClassifierTask {
  var pretrained: PretrainedModel { classifier.pretrained }

  var headModules: [String] { pretrained.headModules }
  var hasNewHead: Bool { !pretrained.freshModules.isEmpty }

  /// Of a label among several; each of a multi-label model's is there or not.
  var chanceLoss: Double? {
    log(classifier.labels.isMultiLabel ? 2 : Double(classifier.labels.names.count))
  }

  var filesBesideAdapter: [(name: String, content: [UInt8])] {
    pretrained.labelledConfiguration().map { [("config.json", $0)] } ?? []
  }

  func complete(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    pretrained.trainingHead(recipe)
  }
}

/// A classifier whose head is in the model's files, in those of the adapter that training goes on from, or
/// fresh.
struct OpenedClassifier {
  let pretrained: PretrainedModel
  let labels: LabelSet
  let tokenizer: any Tokenizer
  /// The most tokens of an example.
  private let longest: Int
  private let longExamples: LongExamples

  /// Opens the model of `input`. `labels` are the data's, for a fresh head.
  init(
    _ input: TaskInput, kind: ClassifierKind, labels: () throws -> LabelSet
  ) throws {
    let path = input.model.path
    let known = try Self.known(path, adapter: input.initAdapter)
    if let known, known.kind != kind {
      throw CommandError(
        "\(input.initAdapter ?? path): it is \(known.summary); train it by --task "
          + "\(TaskArgument(known.kind).rawValue), or start from an encoder without a head")
    }
    self.labels =
      try known.map { LabelSet(names: $0.labels, isMultiLabel: $0.isMultiLabel) } ?? labels()
    guard self.labels.names.count > 1 || self.labels.isMultiLabel else {
      throw CommandError(
        "\(input.data.names): all examples have the label '\(self.labels.names.first ?? "")': there is nothing "
          + "to tell apart; give examples of others")
    }
    if let adapter = input.initAdapter {
      pretrained = try PretrainedModel(
        path: path, headOf: AdapterFile(path: adapter), type: input.model.dtype.type)
    } else {
      pretrained = try PretrainedModel(
        path: path, classifying: self.labels.names, of: kind,
        isMultiLabel: self.labels.isMultiLabel, type: input.model.dtype.type, seed: input.seed)
    }
    tokenizer = try pretrained.tokenizer()
    longest = try input.examples.longest(for: pretrained.model)
    longExamples = input.examples.longRows ?? .truncate
  }

  /// What the model at `path`, or the adapter's head, tells apart; nil where neither has a head.
  private static func known(_ path: String, adapter: String?) throws -> ClassifierDescription? {
    guard let base = try PretrainedModel.configuration(at: path) else { return nil }
    if let own = base.classifier { return own }
    return try adapter.flatMap { try AdapterFile(path: $0).classifier(on: base) }
  }

  /// Makes a data set of the examples in `file` by `encode`, and says what became of those that are too
  /// long.
  func dataSet<Data>(
    _ file: String,
    _ encode: (any Tokenizer, _ longest: Int, LongExamples) throws -> (data: Data, notes: [String])
  ) throws -> Data {
    let (data, notes) = try encode(tokenizer, longest, longExamples)
    for note in notes { StandardError.line("note: \(file): \(note)") }
    return data
  }
}

extension TaskArgument {
  /// The task that trains a classifier of this kind.
  fileprivate init(_ kind: ClassifierKind) {
    switch kind {
    case .sequences: self = .classification
    case .tokens: self = .tokenClassification
    }
  }
}
