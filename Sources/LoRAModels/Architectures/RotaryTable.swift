import LoRAAutograd
import LoRAFormats
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The rotary angles of a model's positions, computed when a sequence first gets that far.
final class RotaryTable: Sendable {
  private let frequencies: [Float]
  private let angles: Locked<RotaryAngles>

  init(_ configuration: RotaryConfiguration, headSize: Int) {
    frequencies = configuration.frequencies(headSize: headSize)
    angles = Locked(RotaryAngles(positions: 0..<0, frequencies: frequencies))
  }

  /// The angles of `positions`. Shares the table's memory.
  func callAsFunction(_ positions: Range<Int>) -> RotaryAngles {
    angles.withLock { angles in
      if angles.count < positions.upperBound {
        var count = 256
        while count < positions.upperBound { count *= 2 }
        angles = RotaryAngles(positions: 0..<count, frequencies: frequencies)
      }
      return angles[positions]
    }
  }
}

extension RotaryConfiguration {
  /// The angle a position adds for each pair of a head's elements, `[headSize / 2]`.
  func frequencies(headSize: Int) -> [Float] {
    (0..<headSize / 2).map { pair in
      let plain = Double(Float(1 / pow(base, Double(Float(2 * pair) / Float(headSize)))))
      return Float(scaled(plain))
    }
  }

  private func scaled(_ frequency: Double) -> Double {
    switch scaling {
    case .none:
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
