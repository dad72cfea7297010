/// Reads a number digit by digit and knows how its beginning compares with the bounds of a range.
struct NumberScanner {
  enum Part: Hashable { case start, minus, zero, whole, point, fraction, mark, sign, exponent }

  /// All that what may follow depends on.
  struct State: Hashable {
    var part = Part.start
    var isNegative = false
    /// Digits of this part so far.
    var digits = 0
    /// How they compare with the magnitudes of the bounds so far: -1, 0 or 1.
    var least = 0
    var most = 0
    var remainder = 0
  }

  /// A bound of the magnitude; the negative numbers of a range have other ones than the positive.
  private struct Magnitudes {
    var least: NumberBound?
    var most: NumberBound?
  }

  private let range: NumberRange
  private let wholeDigits: Int
  private let fractionDigits: Int
  /// nil where no number of the range has the sign.
  private let positive: Magnitudes?
  private let negative: Magnitudes?

  init(_ range: NumberRange, fractionDigits: Int) {
    self.range = range
    self.fractionDigits = range.factor > 1 ? 0 : fractionDigits
    wholeDigits = range.wholeDigits
    let (lower, upper) = (range.lower, range.upper)
    func isBelowZero(_ bound: NumberBound) -> Bool { bound.value.isNegative && !bound.value.isZero }
    if let upper, isBelowZero(upper) {
      positive = nil
    } else {
      positive = Magnitudes(least: lower.flatMap { isBelowZero($0) ? nil : $0 }, most: upper)
    }
    if let lower, !isBelowZero(lower) {
      negative = nil
    } else {
      // Below an exclusive zero, "-0" is none of the numbers either.
      negative = Magnitudes(
        least: upper.flatMap { isBelowZero($0) || $0.isExclusive && $0.value.isZero ? $0 : nil },
        most: lower)
    }
  }

  private var hasExponent: Bool {
    range.lower == nil && range.upper == nil && range.factor == 1 && !range.isInteger
  }

  private func magnitudes(_ state: State) -> Magnitudes? {
    state.isNegative ? negative : positive
  }

  /// How one comes out of the digits before the point: they decide by their number first.
  private func atPoint(_ state: State) -> State {
    guard state.part == .zero || state.part == .whole, let magnitudes = magnitudes(state) else {
      return state
    }
    func order(_ bound: NumberBound?, _ soFar: Int) -> Int {
      guard let bound else { return 0 }
      let count = bound.value.whole.count
      return state.digits == count ? soFar : state.digits < count ? -1 : 1
    }
    var state = state
    state.least = order(magnitudes.least, state.least)
    state.most = order(magnitudes.most, state.most)
    state.digits = 0
    return state
  }

  /// Whether the number may end here.
  func accepts(_ state: State) -> Bool {
    switch state.part {
    case .zero, .whole, .fraction: break
    case .exponent: return true
    default: return false
    }
    guard let magnitudes = magnitudes(state), state.remainder == 0 else { return false }
    let digits = state.part == .fraction ? state.digits : 0
    let state = atPoint(state)
    func order(_ bound: NumberBound, _ soFar: Int) -> Int {
      soFar == 0 && digits < bound.value.fraction.count ? -1 : soFar
    }
    if let least = magnitudes.least {
      let order = order(least, state.least)
      guard order > 0 || order == 0 && !least.isExclusive else { return false }
    }
    if let most = magnitudes.most {
      let order = order(most, state.most)
      guard order < 0 || order == 0 && !most.isExclusive else { return false }
    }
    return true
  }

  /// Where a byte leads; nil if it cannot follow.
  func next(_ state: State, _ byte: UInt8) -> State? {
    var next = state
    switch byte {
    case UInt8(ascii: "-"):
      if state.part == .mark { return State(part: .sign) }
      guard state.part == .start, negative != nil else { return nil }
      next.part = .minus
      next.isNegative = true
      return next
    case UInt8(ascii: "+"): return state.part == .mark ? State(part: .sign) : nil
    case UInt8(ascii: "."):
      guard state.part == .zero || state.part == .whole, fractionDigits > 0 else { return nil }
      next = atPoint(state)
      next.part = .point
      return next
    case UInt8(ascii: "e"), UInt8(ascii: "E"):
      guard hasExponent, [.zero, .whole, .fraction].contains(state.part) else { return nil }
      return State(part: .mark)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): return digit(state, byte - 0x30)
    default: return nil
    }
  }

  private func digit(_ state: State, _ digit: UInt8) -> State? {
    var next = state
    switch state.part {
    case .start, .minus, .whole:
      guard let magnitudes = magnitudes(state), state.digits < wholeDigits else { return nil }
      next.part = state.part == .whole || digit > 0 ? .whole : .zero
      next.least = compared(magnitudes.least?.value.whole, state.least, state.digits, digit)
      next.most = compared(magnitudes.most?.value.whole, state.most, state.digits, digit)
      next.remainder = (state.remainder * 10 + Int(digit)) % range.factor
    case .point, .fraction:
      guard let magnitudes = magnitudes(state), state.digits < fractionDigits else { return nil }
      next.part = .fraction
      next.least = compared(magnitudes.least?.value.fraction, state.least, state.digits, digit)
      next.most = compared(magnitudes.most?.value.fraction, state.most, state.digits, digit)
    case .mark, .sign, .exponent:
      guard state.digits < 2 else { return nil }
      return State(part: .exponent, digits: state.digits + 1)
    case .zero: return nil
    }
    next.digits += 1
    return next
  }

  /// The comparison with a bound's digits, after one more. Beyond the bound's digits are zeros.
  private func compared(_ digits: [UInt8]?, _ soFar: Int, _ place: Int, _ digit: UInt8) -> Int {
    guard let digits, soFar == 0 else { return soFar }
    let other = place < digits.count ? digits[place] : 0
    return digit == other ? 0 : digit < other ? -1 : 1
  }
}
