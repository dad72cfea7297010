#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension RotaryConfiguration {
  /// The angle a position adds for each pair of a head's elements, `[headSize / 2]`.
  package func frequencies(headSize: Int) -> [Float] {
    scaledFrequencies(plainFrequencies(headSize: headSize)).map { Float($0) }
  }

  /// What each of those frequencies without scaling is divided by.
  func divisors(headSize: Int) -> [Double] {
    let plain = plainFrequencies(headSize: headSize)
    return zip(plain, scaledFrequencies(plain)).map { $0 / $1 }
  }

  /// The same of Llama 3's scaling, with the roundings to float32 of llama.cpp's converter.
  func floatDivisors(headSize: Int) -> [Float] {
    guard case .llama3(let divisor, let slow, let fast, let original) = scaling else { return [] }
    let (factor, low, high) = (Float(divisor), Float(slow), Float(fast))
    let positions = Float(original)
    return (0..<headSize / 2).map { pair in
      let power = Float(pow(base, Double(Float(2 * pair) / Float(headSize))))
      let wavelength = Float(2 * Double.pi) / (1 / power)
      if wavelength < positions / high { return 1 }
      if wavelength > positions / low { return factor }
      let smooth = (positions / wavelength - low) / (high - low)
      return 1 / ((1 - smooth) / factor + smooth)
    }
  }

  private func plainFrequencies(headSize: Int) -> [Double] {
    (0..<headSize / 2).map { pair in
      Double(Float(1 / pow(base, Double(Float(2 * pair) / Float(headSize)))))
    }
  }

  private func scaledFrequencies(_ plain: [Double]) -> [Double] {
    switch scaling {
    case .yarn(let yarn): yarn.frequencies(plain, base: base)
    case .longRoPE(let long): zip(plain, long.shortFactors).map { $0 / $1 }
    case .proportional(let factor):
      plain.enumerated().map { index, frequency in
        index < Int(fraction * Double(plain.count)) ? frequency / factor : 0
      }
    case .none, .linear, .llama3, .dynamic: plain.map(scaled)
    }
  }

  private func scaled(_ frequency: Double) -> Double {
    switch scaling {
    case .none, .dynamic, .yarn, .longRoPE, .proportional:
      return frequency
    case .linear(let factor):
      return frequency / factor
    case .llama3(let factor, let low, let high, let original):
      let wavelength = 2 * Double.pi / frequency
      if wavelength > Double(original) / low { return frequency / factor }
      if wavelength < Double(original) / high { return frequency }
      let smooth = (Double(original) / wavelength - low) / (high - low)
      return (1 - smooth) * frequency / factor + smooth * frequency
    }
  }
}
