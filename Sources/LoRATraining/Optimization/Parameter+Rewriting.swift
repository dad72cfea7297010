import LoRAAutograd
import LoRATensor

extension Parameter {
  /// Calls `run` with the values and with where the new ones go: the same place if nobody else holds
  /// the values, as neither a file does.
  func rewrite(
    _ run: (_ old: UnsafePointer<Float>, _ new: UnsafeMutablePointer<Float>) -> Void
  ) {
    let isDone = updateInPlace { bytes in
      if let value = bytes.baseAddress?.floats { run(value, value) }
    }
    if isDone { return }
    // Somebody holds the value, or it lies in a file: they keep theirs.
    let old = value
    value = Tensor(shape: shape) { new in
      withExtendedLifetime(old) { run(old.floats, new) }
    }
  }
}

/// Throws ``TrainingError/invalidOption(name:value:expected:)`` unless a setting of an optimizer is right.
func demand(
  _ isRight: Bool, _ name: String, _ value: Double, _ expected: String
) throws(TrainingError) {
  if !isRight { throw .invalidOption(name: name, value: "\(value)", expected: expected) }
}

/// Throws unless the decay rate `value` of a moving average is one.
func demandRate(_ name: String, _ value: Double) throws(TrainingError) {
  try demand(value >= 0 && value < 1, name, value, "at least 0, below 1")
}
