import LoRATensor

// Arithmetic of tensors of one shape that were learnt for different tasks. Every element is its own,
// so all of it runs in tiles; sums are over the tasks, in their order.

extension Tensor {
  /// Σ weightᵢ tensorᵢ.
  static func weightedSum(of tensors: [Tensor], weights: [Float]) -> Tensor {
    var sum = tensors[0].scaled(by: weights[0])
    for (tensor, weight) in zip(tensors, weights).dropFirst() { sum.add(tensor, times: weight) }
    return sum
  }

  /// The mean, element by element, of those weighted numbers whose own sign is the elected one;
  /// zero where none has it. Signs are elected before weighting. A zero has no sign; of a tie the
  /// positive one wins.
  static func disjointMean(
    of tensors: [Tensor], weights: [Float], electing: AdapterCombination.MajoritySign
  ) -> Tensor {
    withExtendedLifetime(tensors) {
      let sources = tensors.map(\.floats)
      return Tensor(shape: tensors[0].shape) { result in
        parallelTiles(tensors[0].elementCount, tile: elementTile) { range in
          for index in range {
            var vote: Float = 0
            for source in sources {
              let x = source[index]
              switch electing {
              case .total: vote += x
              case .frequency: vote += x > 0 ? 1 : (x < 0 ? -1 : 0)
              }
            }
            var sum: Float = 0
            var count: Float = 0
            for (source, weight) in zip(sources, weights) {
              let x = source[index]
              if vote >= 0 ? x > 0 : x < 0 {
                sum += x * weight
                count += 1
              }
            }
            result[index] = count > 0 ? sum / count : 0
          }
        }
      }
    }
  }

  /// The largest magnitudes, ⌊share · count⌋ of them; zeros elsewhere. Of equal magnitudes at the
  /// limit the first are kept.
  func keepingLargest(share: Double) -> Tensor {
    let count = elementCount
    let kept = min(count, Int(share * Double(count)))
    if kept == count { return self }
    if kept == 0 { return .zeros(shape) }
    return withUnsafeElements(of: Float.self) { x in
      // Magnitudes are ordered as their bits are. The limit is the one with `kept` at or above it:
      // its upper half first, then, among those with that half, its lower one.
      func limit(_ rest: inout Int, _ half: (UInt32) -> Int?) -> UInt32 {
        var counts = [Int](repeating: 0, count: 1 << 16)
        for value in x {
          if let place = half(value.magnitude.bitPattern) { counts[place] += 1 }
        }
        var place = counts.count - 1
        while place > 0, rest > counts[place] {
          rest -= counts[place]
          place -= 1
        }
        return UInt32(place)
      }
      var rest = kept
      let upper = limit(&rest) { Int($0 >> 16) }
      let lower = limit(&rest) { $0 >> 16 == upper ? Int($0 & 0xFFFF) : nil }
      let bound = upper << 16 | lower
      return Tensor(shape: shape) { y in
        for (index, value) in x.enumerated() {
          let bits = value.magnitude.bitPattern
          let isAtBound = bits == bound && rest > 0
          if isAtBound { rest -= 1 }
          y[index] = bits > bound || isAtBound ? value : 0
        }
      }
    }
  }

  /// Each number with probability `share`, divided by it; zeros elsewhere.
  func keepingRandom(share: Double, using random: inout SeededRandom) -> Tensor {
    let draws = random.uniform(shape, in: 0..<1)
    let share = Float(share)
    return withUnsafeElements(of: Float.self) { x in
      draws.withUnsafeElements(of: Float.self) { draws in
        Tensor(shape: shape) { y in
          for index in x.indices { y[index] = draws[index] < share ? x[index] / share : 0 }
        }
      }
    }
  }
}
