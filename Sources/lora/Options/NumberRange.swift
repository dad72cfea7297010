import ArgumentParser

// Every option that takes a number is parsed unconditionally, so that `--temperature -1` is a number
// and not a missing value, and says by `demand` which numbers it takes.

/// The numbers that an option takes.
struct NumberRange<Number: Comparable> {
  let contains: (Number) -> Bool
  /// As in "it must be 0 or more".
  let words: String
}

extension NumberRange where Number: Numeric {
  static func atLeast(_ low: Number) -> Self {
    Self(contains: { $0 >= low }, words: "\(low) or more")
  }

  static func from(_ low: Number, to high: Number) -> Self {
    Self(contains: { $0 >= low && $0 <= high }, words: "\(low) to \(high)")
  }

  static func from(_ low: Number, below high: Number) -> Self {
    Self(contains: { $0 >= low && $0 < high }, words: "at least \(low) and below \(high)")
  }

  static func above(_ low: Number) -> Self {
    Self(contains: { $0 > low }, words: "above \(low)")
  }

  /// Any finite number.
  static var any: Self { Self(contains: { _ in true }, words: "finite") }

  static func above(_ low: Number, to high: Number) -> Self {
    Self(contains: { $0 > low && $0 <= high }, words: "above \(low) and at most \(high)")
  }
}

extension NumberRange<Double> {
  /// 0, or a positive number that float32 holds with all its digits.
  static var zeroOrFloat32: Self {
    let (least, most) = (Float.leastNormalMagnitude, Float.greatestFiniteMagnitude)
    return Self(
      contains: { $0 == 0 || (Double(least)...Double(most)).contains($0) },
      words: "0.0 or more, and if not 0 from \(least) to \(most)")
  }
}

/// Throws wrong usage unless `value`, where there is one, is in `range`.
func demand<Number>(
  _ option: String, _ value: Number?, _ range: NumberRange<Number>
) throws(ValidationError) {
  guard let value, !range.contains(value) else { return }
  throw ValidationError("\(option) is \(value); it must be \(range.words)")
}

/// Throws wrong usage unless `value`, where there is one, is finite and in `range`.
func demand<Number: BinaryFloatingPoint>(
  _ option: String, _ value: Number?, _ range: NumberRange<Number>
) throws(ValidationError) {
  guard let value, !(value.isFinite && range.contains(value)) else { return }
  throw ValidationError("\(option) is \(value); it must be a number, \(range.words)")
}

/// The seed that an argument is; for `Option(transform:)`.
func parsedSeed(_ argument: String) throws(ValidationError) -> UInt64 {
  guard let seed = UInt64(argument) else {
    throw ValidationError("it must be a whole number, 0 to \(UInt64.max)")
  }
  return seed
}
