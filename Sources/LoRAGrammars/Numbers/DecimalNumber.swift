/// A number by its decimal digits, as it is compared with what is being written.
struct DecimalNumber: Hashable, Sendable {
  var isNegative: Bool
  /// Digits before the point, without leading zeros but at least one.
  var whole: [UInt8]
  /// Digits behind the point, without trailing zeros.
  var fraction: [UInt8]

  var isZero: Bool { whole == [0] && fraction.isEmpty }
  var isInteger: Bool { fraction.isEmpty }

  init(_ value: Int64) {
    isNegative = value < 0
    whole = String(value.magnitude).utf8.map { $0 - 0x30 }
    fraction = []
  }

  /// The shortest decimal number that is read as this double, which JSON has.
  init(_ value: Double) {
    // As in 12.5, 1e-05 or 5.0e+20.
    let text = value.magnitude.description
    let parts = text.split(separator: "e")
    let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    let digits = parts[0].split(separator: ".", omittingEmptySubsequences: false)
    var all = digits.joined().utf8.map { $0 - 0x30 }
    var point = digits[0].utf8.count + exponent
    if point < 1 {
      all.insert(contentsOf: repeatElement(0, count: 1 - point), at: 0)
      point = 1
    }
    if point > all.count { all += repeatElement(0, count: point - all.count) }
    whole = Array(all[..<point])
    fraction = Array(all[point...])
    while whole.count > 1, whole[0] == 0 { whole.removeFirst() }
    while fraction.last == 0 { fraction.removeLast() }
    isNegative = value < 0
  }

  /// How its magnitude compares with another's: -1, 0 or 1.
  private func compareMagnitude(_ other: DecimalNumber) -> Int {
    if whole.count != other.whole.count { return whole.count < other.whole.count ? -1 : 1 }
    for (a, b) in zip(whole, other.whole) where a != b { return a < b ? -1 : 1 }
    for i in 0..<max(fraction.count, other.fraction.count) {
      let a = i < fraction.count ? fraction[i] : 0
      let b = i < other.fraction.count ? other.fraction[i] : 0
      if a != b { return a < b ? -1 : 1 }
    }
    return 0
  }

  /// How it compares with another: -1, 0 or 1.
  func compare(_ other: DecimalNumber) -> Int {
    if isZero, other.isZero { return 0 }
    if isNegative != other.isNegative { return isNegative ? -1 : 1 }
    return isNegative ? -compareMagnitude(other) : compareMagnitude(other)
  }
}

/// Where a range of numbers ends.
struct NumberBound: Hashable, Sendable {
  var value: DecimalNumber
  var isExclusive: Bool
}
