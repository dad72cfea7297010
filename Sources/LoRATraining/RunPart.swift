/// The part in which a saved run and the run to resume can differ.
public enum RunPart: String, Sendable, Hashable, CaseIterable {
  /// The model, or the base of the adapter.
  case model
  /// The adapter: its layers, shapes, settings or frozen parameters.
  case adapter
  /// Trained parameters without a module.
  case parameters
  /// The examples, or their padding.
  case data
  /// The loss.
  case objective
  /// The optimizer or one of its settings.
  case optimizer
  /// An option that changes results.
  case options
}
