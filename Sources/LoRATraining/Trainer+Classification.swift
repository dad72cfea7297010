public import LoRAModels
public import Logging

extension Trainer where Data == LabelledDataSet {
  /// Creates a trainer for a classifier, or for an adapter on it, with the labels of sequences.
  ///
  /// Throws ``TrainingError`` and `SequenceError` for examples that the model can't read, options
  /// out of range or no trainable parameters, and `AdapterError` for an adapter that is not
  /// attached.
  public init(
    _ model: any SequenceClassifier, training target: TrainingTarget, on data: LabelledDataSet,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    func make(_ module: some SequenceClassifier) throws -> Self {
      try Self(
        module, as: model, training: target, on: data, objective: SequenceClassification(),
        options: options, logger: logger)
    }
    self = try make(model)
  }
}

extension Trainer where Data == TaggedDataSet {
  /// Creates a trainer for a classifier, or for an adapter on it, with the labels of tokens.
  ///
  /// Throws ``TrainingError`` and `SequenceError` for examples that the model can't read, options
  /// out of range or no trainable parameters, and `AdapterError` for an adapter that is not
  /// attached.
  public init(
    _ model: any TokenClassifier, training target: TrainingTarget, on data: TaggedDataSet,
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    func make(_ module: some TokenClassifier) throws -> Self {
      try Self(
        module, as: model, training: target, on: data, objective: TokenClassification(),
        options: options, logger: logger)
    }
    self = try make(model)
  }
}
