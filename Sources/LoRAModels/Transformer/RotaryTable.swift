import LoRAArchitectures
import LoRAAutograd
import LoRATensor

/// The rotary angles of a model's positions, computed when a sequence first gets that far.
final class RotaryTable: Sendable {
  private let frequencies: [Float]
  private let isAdjacent: Bool
  private let amplitude: Double
  /// What the angles of a position are multiplied by beside; nil: nothing.
  private let scaling: RotaryConfiguration.QueryScaling?
  private let angles: Locked<RotaryAngles>

  /// - Parameters:
  ///   - isAdjacent: whether the pairs of elements that are turned lie side by side.
  ///   - scaling: how queries are scaled by their position, which turning them then does as well; nil for
  ///     keys.
  init(
    _ configuration: RotaryConfiguration, headSize: Int, isAdjacent: Bool = false,
    scaling: RotaryConfiguration.QueryScaling? = nil
  ) {
    self.scaling = scaling
    frequencies = configuration.frequencies(headSize: headSize)
    self.isAdjacent = isAdjacent
    amplitude = configuration.amplitude
    angles = Locked(
      RotaryAngles(positions: 0..<0, frequencies: frequencies, isAdjacent: isAdjacent))
  }

  /// The angles of `positions`. Shares the table's memory.
  func callAsFunction(_ positions: Range<Int>) -> RotaryAngles {
    angles.withLock { angles in
      if angles.count < positions.upperBound {
        var count = 256
        while count < positions.upperBound { count *= 2 }
        angles = RotaryAngles(
          positions: 0..<count, frequencies: frequencies, amplitude: amplitude,
          isAdjacent: isAdjacent)
        if let scaling { angles = angles.scaled { scaling.factor(at: $0) } }
      }
      return angles[positions]
    }
  }

  /// The angles of `positions` in any order.
  func callAsFunction(_ positions: [Int]) -> RotaryAngles {
    let angles = self(0..<(positions.max() ?? 0) + 1)
    return RotaryAngles(
      cosines: angles.cosines.gatheringRows(positions),
      sines: angles.sines.gatheringRows(positions), isAdjacent: angles.isAdjacent)
  }
}
