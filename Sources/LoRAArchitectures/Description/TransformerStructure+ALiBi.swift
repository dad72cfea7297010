#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension TransformerStructure.Attention {
  /// ALiBi's slope of each head: `2^(-8 k / n)` of head k, counted from 1, of n heads; where n is no power of
  /// two, those of the next smaller one, and then every second one of the next larger.
  ///
  /// Source: Press et al., *Train short, test long: attention with linear biases enables input length
  /// extrapolation*, 2022, and the authors' code.
  static func alibiSlopes(heads: Int) -> [Float] {
    var power = 1
    while 2 * power <= heads { power *= 2 }
    func slope(_ place: Int, of count: Int) -> Float {
      Float(pow(2, -8 * Double(place) / Double(count)))
    }
    return (1...power).map { slope($0, of: power) }
      + (0..<heads - power).map { slope(2 * $0 + 1, of: 2 * power) }
  }
}
