import LoRAAutograd
import LoRATensor

/// The numbers that adapters of a rank would hold, counted before any of them is made: a rank with
/// some zeros too many must not take the machine's memory first.
struct AdapterDemand {
  /// The largest rank.
  private(set) var rank = 0
  /// All numbers, or the largest `Int` if they are more.
  private(set) var numbers = 0

  /// Adds `pairs` pairs of factors, `[rank, inputs]` and `[outputs, rank]`.
  mutating func add(rank: Int, inputs: Int, outputs: Int, pairs: Int = 1) {
    self.rank = max(self.rank, rank)
    let (pair, tooLarge) = max(0, rank).multipliedReportingOverflow(by: (inputs + outputs) * pairs)
    let (sum, overflows) = numbers.addingReportingOverflow(pair)
    numbers = tooLarge || overflows ? .max : sum
  }

  /// Adds the factors that an adapter of `module` would have.
  mutating func add(rank: Int, _ module: any AdaptableModule, pairs: Int = 1) {
    if let layer = module as? any LinearLayer {
      add(rank: rank, inputs: layer.inputSize, outputs: layer.outputSize, pairs: pairs)
    } else if let embedding = module as? Embedding {
      add(
        rank: rank, inputs: embedding.weight.shape[0], outputs: embedding.weight.shape[1],
        pairs: pairs)
    }
  }

  /// Throws for a number of virtual tokens that nothing can be learned with, or that memory does not
  /// hold: `width` numbers each.
  static func check(virtualTokens count: Int, ofWidth width: Int) throws(AdapterError) {
    guard (1...1 << 20).contains(count) else {
      throw .invalidValue(parameter: "count", value: "\(count)", expected: "1 to 1048576")
    }
    var demand = AdapterDemand()
    demand.add(rank: count, inputs: width, outputs: 0)
    try demand.check(limit: nil)
  }

  /// Throws if the numbers alone take more than `limit` bytes, or than there are.
  func check(limit: Int?) throws(AdapterError) {
    // What is certainly there need not be asked for.
    if limit == nil, numbers <= 1 << 20 { return }
    guard let available = limit ?? AvailableMemory.current else { return }
    let (bytes, overflows) = numbers.multipliedReportingOverflow(by: MemoryLayout<Float>.stride)
    let needed = overflows ? Int.max : bytes
    if needed > available {
      throw .notEnoughMemory(rank: rank, needed: needed, available: available)
    }
  }
}
