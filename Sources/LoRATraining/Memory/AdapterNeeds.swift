import LoRAAutograd
import LoRAModels
import LoRATensor

/// What training an adapter on one layer needs of memory, as its operations keep it.
struct AdapterNeeds {
  /// The rank of low-rank factors with as many numbers.
  var rank: Int
  /// The numbers a token that are kept for the backward pass beside a low-rank adapter's.
  var keptWidth = 0
  /// The numbers that are needed while the layer is computed.
  var scratch = 0

  init(_ adapter: any LinearAdapter) {
    let count = adapter.namedParameters().reduce(0) { $0 + $1.parameter.shape.elementCount }
    switch adapter {
    case let lowRank as any LowRankAdapter:
      rank = lowRank.totalRank
    case let dora as DoRAAdapter:
      rank = dora.rank
      // The output before it is scaled; with dropout also both products that are scaled, and the
      // input that is left.
      let (inputs, outputs) = (dora.a.shape[1], dora.b.shape[0])
      keptWidth = dora.dropoutRate > 0 ? 2 * outputs + inputs : outputs
    case let loha as LoHaAdapter:
      let (inputs, outputs) = (loha.a1.shape[1], loha.b1.shape[0])
      rank = 2 * loha.a1.shape[0]
      // The change, its gradient, and the products that they come from.
      scratch = 4 * inputs * outputs
    case let lokr as LoKrAdapter:
      let (first, second) = (lokr.first.extents, lokr.second.extents)
      rank = max(1, count / max(1, first.inputs * second.inputs + first.outputs * second.outputs))
      keptWidth = second.outputs * first.inputs
      if case .product(_, let b) = lokr.second { keptWidth += first.inputs * b.shape[0] }
      if case .product(_, let b) = lokr.first { keptWidth += second.outputs * b.shape[0] }
    case let ia3 as IA3Adapter:
      rank = 1
      // Outputs before they are scaled; inputs are kept, or computed again, in any case.
      keptWidth = ia3.scalesInput ? 0 : ia3.vector.shape[0]
    case is ParameterOverride, is RowOverride:
      // A product with the new values instead of the old ones: its input is kept for their gradient.
      rank = 1
    default:
      // Only the number of its parameters is known.
      rank = max(1, count / (1 << 12))
    }
  }
}
