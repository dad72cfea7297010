import CLoRAKernels
import LoRATensor

/// The tokens that may be drawn, in the order of their ids, each with its unnormalized probability:
/// temperature, then top-k, top-p, min-p and typical-p, as transformers orders them.
///
/// Never sorts the vocabulary: top-k finds its threshold by selection, and top-p sorts only as many
/// of the most likely tokens as it keeps, or a few times that.
struct Candidates {
  private(set) var ids: [Int]
  private(set) var weights: [Double]

  init(_ logits: UnsafeBufferPointer<Float>, _ options: GenerationOptions) {
    ids = Array(logits.indices)
    if options.topK > 0, options.topK < logits.count {
      // Tokens as likely as the last one that is kept are kept as well.
      let threshold = logits.largest(options.topK)
      ids = ids.filter { logits[$0] >= threshold }
    }
    weights = Self.weights(ids, logits, temperature: options.temperature)
    if options.topP < 1 { keepMostLikely(untilSumOf: Double(options.topP), logits) }
    if options.minP > 0 { keep(from: Double(options.minP)) }
    if options.typicalP < 1 { keepMostTypical(untilSumOf: Double(options.typicalP)) }
  }

  /// `exp((logit - largest) / temperature)`, tile by tile: a vocabulary is long.
  private static func weights(
    _ ids: [Int], _ logits: UnsafeBufferPointer<Float>, temperature: Float
  ) -> [Double] {
    guard let base = logits.baseAddress else { return [] }
    let largest = Double(logits[lk_argmax(logits.count, base)])
    let scale = 1 / Double(temperature)
    return Array(unsafeUninitializedCapacity: ids.count) { weights, count in
      count = ids.count
      guard let target = weights.baseAddress else { return }
      ids.withUnsafeBufferPointer { ids in
        parallelTiles(ids.count, tile: 1 << 12) { range in
          for index in range {
            let exponent = (Double(logits[ids[index]]) - largest) * scale
            (target + index).initialize(to: exponential(exponent))
          }
        }
      }
    }
  }

  /// Keeps the fewest most likely candidates whose weights reach `share` of the sum of all; of
  /// equally likely ones those with lower ids.
  private mutating func keepMostLikely(
    untilSumOf share: Double, _ logits: UnsafeBufferPointer<Float>
  ) {
    let wanted = share * weights.reduce(0, +)
    let values = ids.map { logits[$0] }
    var examined = 64
    while true {
      let threshold =
        examined < values.count ? values.withUnsafeBufferPointer { $0.largest(examined) } : nil
      var order =
        threshold.map { t in values.indices.filter { values[$0] >= t } }
        ?? Array(values.indices)
      order.sort { (values[$0], $1) > (values[$1], $0) }
      var sum = 0.0
      let last = order.firstIndex { index in
        sum += weights[index]
        return sum >= wanted
      }
      if let last {
        order.removeLast(order.count - 1 - last)
      } else if order.count < values.count {
        examined *= 8
        continue
      }
      keep(order.sorted())
      return
    }
  }

  /// Keeps the candidates that are at least `share` as likely as the likeliest.
  private mutating func keep(from share: Double) {
    let least = share * (weights.max() ?? 0)
    keep(weights.indices.filter { weights[$0] >= least })
  }

  /// Keeps the fewest candidates whose information is nearest to the expected one, the entropy, and whose
  /// weights reach `share` of the sum of all. Those as near as the last one are kept as well.
  ///
  /// Source: Meister et al., *Locally typical sampling*, 2022.
  private mutating func keepMostTypical(untilSumOf share: Double) {
    let sum = weights.reduce(0, +)
    let information = weights.map { -logarithm($0 / sum) }
    // A candidate that can't be drawn adds nothing.
    let entropy = zip(weights, information).reduce(0) { $1.0 > 0 ? $0 + $1.0 / sum * $1.1 : $0 }
    let distances = information.map { abs($0 - entropy) }
    var reached = 0.0
    let last = distances.indices.sorted { (distances[$0], $0) < (distances[$1], $1) }.first {
      reached += weights[$0]
      return reached >= share * sum
    }
    guard let last else { return }
    keep(distances.indices.filter { distances[$0] <= distances[last] })
  }

  private mutating func keep(_ kept: [Int]) {
    ids = kept.map { ids[$0] }
    weights = kept.map { weights[$0] }
  }

  /// The candidate that a uniform number in 0..<1 stands for.
  func token(at uniform: Double) -> Int {
    var target = uniform * weights.reduce(0, +)
    for (id, weight) in zip(ids, weights) {
      target -= weight
      if target < 0 { return id }
    }
    // Rounding has left a little: the last candidate that can be drawn at all.
    return zip(ids, weights).reversed().first { $1 > 0 }?.0 ?? ids.last ?? 0
  }
}

extension UnsafeBufferPointer<Float> {
  /// The value that `rank - 1` others are not below: what stands at `rank - 1` once the values are
  /// sorted, largest first. Reads them a few times and sorts nothing; `rank` is in `1...count`.
  func largest(_ rank: Int) -> Float {
    // Selection by digits, of 11, 11 and 10 bits, of the bits in an order that is the floats' own.
    var keys = map(\.orderedBits)
    var rank = rank
    var shift = 32
    for digits in [11, 11, 10] {
      shift -= digits
      let mask = UInt32(1 << digits - 1)
      var counts = Array(repeating: 0, count: 1 << digits)
      for key in keys { counts[Int(key >> shift & mask)] += 1 }
      var digit = counts.count - 1
      while digit > 0, counts[digit] < rank {
        rank -= counts[digit]
        digit -= 1
      }
      keys.removeAll { $0 >> shift & mask != digit }
    }
    return Float(orderedBits: keys[0])
  }
}

extension Float {
  /// The bits as a number that is in the order of the floats (minus zero below zero).
  fileprivate var orderedBits: UInt32 {
    bitPattern & 0x8000_0000 == 0 ? bitPattern | 0x8000_0000 : ~bitPattern
  }

  fileprivate init(orderedBits bits: UInt32) {
    self.init(bitPattern: bits & 0x8000_0000 == 0 ? ~bits : bits & 0x7fff_ffff)
  }
}
