/// A set of numbers: all, or integers, in a range, or multiples of an integer.
struct NumberRange: Hashable, Sendable {
  /// The most digits before the point and behind it, so that a number comes to an end. (A bound
  /// with more gives more.)
  static let mostDigits = 20
  /// More states than this are refused.
  static let mostStates = 200_000

  var isInteger = false
  var lower: NumberBound?
  var upper: NumberBound?
  /// What the number is a multiple of.
  var factor = 1

  mutating func restrict(lower bound: NumberBound) {
    guard let old = lower else {
      lower = bound
      return
    }
    let order = bound.value.compare(old.value)
    if order > 0 || order == 0 && bound.isExclusive { lower = bound }
  }

  mutating func restrict(upper bound: NumberBound) {
    guard let old = upper else {
      upper = bound
      return
    }
    let order = bound.value.compare(old.value)
    if order < 0 || order == 0 && bound.isExclusive { upper = bound }
  }

  /// How many digits may stand before the point.
  var wholeDigits: Int {
    max(Self.mostDigits, lower?.value.whole.count ?? 0, upper?.value.whole.count ?? 0)
  }

  /// How many digits may stand behind the point; nil if an exclusive bound has more digits than can
  /// be told apart.
  ///
  /// Readers round to doubles. Decimals of up to 15 digits stay different, so that what is
  /// written beyond an exclusive bound is also read as beyond it.
  var fractionDigits: Int? {
    if isInteger { return 0 }
    var most = Self.mostDigits
    for bound in [lower, upper] {
      guard let bound, bound.isExclusive else { continue }
      most = min(most, 15 - bound.value.whole.count)
      guard most >= max(1, bound.value.fraction.count) else { return nil }
    }
    return most
  }

  /// Whether the value is one of the set.
  func contains(_ value: DecimalNumber) -> Bool {
    if isInteger || factor > 1, !value.isInteger { return false }
    if let lower {
      let order = value.compare(lower.value)
      guard order > 0 || order == 0 && !lower.isExclusive else { return false }
    }
    if let upper {
      let order = value.compare(upper.value)
      guard order < 0 || order == 0 && !upper.isExclusive else { return false }
    }
    return factor == 1 || value.whole.reduce(0) { ($0 * 10 + Int($1)) % factor } == 0
  }
}
