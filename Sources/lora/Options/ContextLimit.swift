import LoRAKit

/// Throws if `context`, the option's value, is more than `model` can see.
func demand(context: Int?, of model: any LanguageModel) throws(CommandError) {
  let positions = model.maximumPositions
  if let context, context > positions {
    throw CommandError(
      "--context is \(context); the model has \(positions) positions, and sees no more")
  }
}
