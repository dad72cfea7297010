import ArgumentParser
import Foundation

/// A time as people write it: 30m, 90s, 1.5h; a number alone is seconds.
struct TimeLimit: Sendable {
  let seconds: Double

  /// Reads an option's value; the error says what it takes.
  init(option: String) throws(ValidationError) {
    let units: [(String, Double)] = [
      ("min", 60), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("", 1),
    ]
    for (unit, factor) in units where option.lowercased().hasSuffix(unit) {
      let number = option.dropLast(unit.count).trimmingCharacters(in: .whitespaces)
      if let value = Double(number), value > 0, value * factor < 1e9 {
        seconds = value * factor
        return
      }
      break
    }
    throw ValidationError("it must be a time above 0, as 90s, 30m or 1.5h")
  }
}
