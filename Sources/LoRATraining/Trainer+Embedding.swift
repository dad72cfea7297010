public import LoRAModels
public import Logging

extension Trainer where Data == PairDataSet {
  /// Creates a trainer for a sentence encoder, or for an adapter on its model, with pairs of texts that mean
  /// the same.
  ///
  /// Throws `SequenceError` for tokens that the model can't read, ``TrainingError`` for options out of range
  /// or no trainable parameters, and `AdapterError` for an adapter that is not attached.
  public init(
    _ encoder: SentenceEncoder, training target: TrainingTarget, on data: PairDataSet,
    objective: MultipleNegatives = MultipleNegatives(),
    options: TrainingOptions = TrainingOptions(), logger: Logger = .silent
  ) throws {
    guard options.batchSize >= 2 else {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(options.batchSize)",
        expected: "at least 2: a pair is told from the others of its batch")
    }
    func make(_ module: some TokenModel) throws -> Self {
      try Self(
        module, as: encoder, training: target, on: data, objective: objective, options: options,
        logger: logger)
    }
    self = try make(encoder.model)
  }
}
