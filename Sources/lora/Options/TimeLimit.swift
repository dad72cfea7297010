import ArgumentParser

/// A length of time as people write it: 90s, 30m, 1.5h.
struct TimeLimit: Sendable {
  let seconds: Double

  /// Reads an option's value; the error says what it takes.
  init(option: String) throws(ValidationError) {
    guard let limit = TimeLimit(argument: option) else {
      throw ValidationError("it must be a time above 0, as 90s, 30m or 1.5h")
    }
    self = limit
  }

  init?(argument: String) {
    let units: [(String, Double)] = [("s", 1), ("m", 60), ("h", 3600)]
    for (unit, factor) in units where argument.lowercased().hasSuffix(unit) {
      guard let value = Double(argument.dropLast()), value > 0, value * factor < 1e9 else {
        return nil
      }
      seconds = value * factor
      return
    }
    return nil
  }
}
