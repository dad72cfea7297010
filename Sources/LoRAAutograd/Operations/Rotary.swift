import CLoRAKernels
public import LoRATensor

/// The angles of a rotary position embedding, for consecutive positions.
public struct RotaryAngles: Sendable {
  /// Cosines and sines, `[positions, rotated / 2]`, float32.
  public let cosines: Tensor
  /// `[positions, rotary / 2]`, as the cosines.
  public let sines: Tensor
  /// Whether pairs are adjacent elements, `(2i, 2i + 1)`, rather than `(i, i + rotated / 2)`.
  public let isAdjacent: Bool

  /// The angles `position * frequency` of `positions` for each of `frequencies`, with cosines and
  /// sines multiplied by `amplitude`. Frequencies and products are rounded to float32, as in the
  /// models' training; later values are rounded once.
  public init(
    positions: Range<Int>, frequencies: [Float], amplitude: Double = 1, isAdjacent: Bool = false
  ) {
    var cosines: [Float] = []
    var sines: [Float] = []
    cosines.reserveCapacity(positions.count * frequencies.count)
    sines.reserveCapacity(positions.count * frequencies.count)
    for position in positions {
      for frequency in frequencies {
        let angle = Double(Float(position) * frequency)
        cosines.append(Float(cosine(angle) * amplitude))
        sines.append(Float(sine(angle) * amplitude))
      }
    }
    self.cosines = Tensor(cosines, shape: [positions.count, frequencies.count])
    self.sines = Tensor(sines, shape: [positions.count, frequencies.count])
    self.isAdjacent = isAdjacent
  }

  /// Creates angles from their cosines and sines.
  package init(cosines: Tensor, sines: Tensor, isAdjacent: Bool) {
    self.cosines = cosines
    self.sines = sines
    self.isAdjacent = isAdjacent
  }

  /// The angles of some of the positions, by index. Shares memory.
  public subscript(range: Range<Int>) -> RotaryAngles {
    RotaryAngles(cosines: cosines[rows: range], sines: sines[rows: range], isAdjacent: isAdjacent)
  }

  /// The same with cosines and sines multiplied by a factor for each position, which is given by index:
  /// what is rotated is multiplied by it, if whole heads are.
  package func scaled(by factor: (Int) -> Float) -> RotaryAngles {
    let size = cosines.shape[1]
    func scaled(_ x: Tensor) -> Tensor {
      Tensor(
        x.scalars().enumerated().map { $1 * factor($0 / size) }, shape: x.shape)
    }
    return RotaryAngles(cosines: scaled(cosines), sines: scaled(sines), isAdjacent: isAdjacent)
  }

  /// The number of positions.
  public var count: Int { cosines.shape[0] }
}

extension Variable {
  /// Rotates each head's vector by the angles of its position.
  ///
  /// The receiver is `[batch, positions, heads, size]`; `angles` has as many positions. Only the
  /// first `2 * angles.cosines.shape[1]` elements of a head are rotated.
  ///
  /// Source: Su et al., *RoFormer: enhanced transformer with rotary position embedding*, 2021.
  public func rotated(by angles: RotaryAngles) -> Variable {
    require(
      shape.count == 4 && shape[1] == angles.count && 2 * angles.cosines.shape[1] <= shape[3],
      "rotating \(shape) by angles of \(angles.count) positions")
    return Self.record(value.rotated(by: angles, inverse: false), inputs: [self]) { dy, inputs in
      inputs.add(dy.rotated(by: angles, inverse: true), to: 0)
    }
  }
}

extension Tensor {
  fileprivate func rotated(by angles: RotaryAngles, inverse: Bool) -> Tensor {
    let (batch, positions, heads, size) = (shape[0], shape[1], shape[2], shape[3])
    let half = angles.cosines.shape[1]
    let width = heads * size
    return Tensor(shape: shape) { y in
      withExtendedLifetime((self, angles)) {
        let tile = max(1, elementTile / max(1, width))
        for row in 0..<batch {
          parallelTiles(positions, tile: tile) {
            let first = $0.lowerBound
            let start = (row * positions + first) * width
            lk_rotary(
              $0.count, heads, size, 2 * half, angles.cosines.floats + first * half,
              angles.sines.floats + first * half, angles.isAdjacent, inverse, floats + start, width,
              y + start, width)
          }
        }
      }
    }
  }
}
