#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Floating-point numbers in decimal, rounded exactly, as C's `printf` and Python write them.
enum DecimalText {
  /// The most digits that a format may ask for.
  static let greatestPrecision = 400

  /// `%.3f`, `%.3e` or `%.3g`, `#` to keep the point.
  static func text(
    _ value: Double, _ letter: Character, precision: Int, isAlternate: Bool = false
  ) -> String {
    if !value.isFinite {
      let word = value.isNaN ? "nan" : value < 0 ? "-inf" : "inf"
      return letter.isUppercase ? word.uppercased() : word
    }
    let format = (isAlternate ? "%#." : "%.") + "\(min(precision, greatestPrecision))\(letter)"
    var buffer = [CChar](repeating: 0, count: 1200)
    let count = withVaList([value]) { vsnprintf(&buffer, buffer.count, format, $0) }
    return String(
      decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Python's `round(value, digits)`: to the nearest, exactly, and from the middle to the even one.
  static func rounded(_ value: Double, digits: Int) -> Double {
    guard value.isFinite, digits < 324 else { return value }
    if digits >= 0 { return Double(text(value, "f", precision: digits)) ?? value }
    guard digits > -309 else { return 0 * value }
    let unit = pow(10, Double(-digits))
    return (value / unit).rounded(.toNearestOrEven) * unit
  }
}
