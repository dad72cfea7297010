public import LoRAModels
public import Logging

extension Trainer where Data == PreferenceDataSet {
  /// Creates a trainer that makes a language model prefer some completions to others.
  ///
  /// The reference is the model without its adapter, so that a loss with one trains adapters alone. An
  /// adapter that training goes on from does not belong to it.
  ///
  /// Throws ``TrainingError`` for examples that the model can't read or the loss does not learn from,
  /// options out of range, full training of a loss with a reference, or no trainable parameters, and
  /// `AdapterError` for an adapter that is not attached.
  public init(
    _ model: any LanguageModel, training target: TrainingTarget, on data: PreferenceDataSet,
    loss: PreferenceLoss = PreferenceLoss(), options: TrainingOptions = TrainingOptions(),
    logger: Logger = .silent
  ) throws {
    if target == .full, loss.needsReference {
      throw TrainingError.invalidOption(
        name: "what \(loss.form.rawValue) trains", value: "\(target)",
        expected:
          "an adapter: the reference is the model without it, and to train the model itself "
          + "would need a second one in memory; orpo has no reference")
    }
    if loss.form == .kto, options.batchSize < 2 {
      throw TrainingError.invalidOption(
        name: "the batch size", value: "\(options.batchSize)",
        expected: "at least 2: kto compares prompts with the completions of others in the batch")
    }
    try self.init(
      model, training: target, on: data,
      objective: PreferenceObjective(preference: loss, reference: PreferenceReference()),
      options: options, logger: logger)
  }
}
