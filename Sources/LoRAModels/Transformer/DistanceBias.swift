import LoRAAutograd
import LoRATensor

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A learned bias of attention scores for each head and bucket of distances, which the blocks of a stack
/// share.
///
/// Source: Raffel et al., *Exploring the limits of transfer learning with a unified text-to-text
/// transformer*, 2020.
///
/// Adapters can't replace the table: it is the same for all items of a batch.
final class DistanceBias: Module {
  /// `[buckets, heads]`.
  let weight: Parameter
  /// Whether keys behind the query are told from those before it; if not, nobody sees them.
  private let isBidirectional: Bool
  /// The distance from which on all share a bucket.
  private let maximumDistance: Int

  init(weight: Parameter, isBidirectional: Bool, maximumDistance: Int) {
    self.weight = weight
    self.isBidirectional = isBidirectional
    self.maximumDistance = maximumDistance
  }

  var parameters: Named<Parameter> { ["weight": weight] }

  /// The bias of every distance that queries, the last of which is at the last key's position, have from
  /// keys: `[heads, keys + queries - 1]`, from -(keys - 1) on.
  func callAsFunction(queries: Int, keys: Int) -> Variable {
    let buckets = (1 - keys..<queries).map { Int64(bucket(of: $0)) }
    return Variable(weight)
      .gathered(Tensor(buckets, shape: [buckets.count])).transposed()
  }

  /// The bucket of a key at this distance from the query, negative before it.
  func bucket(of distance: Int) -> Int {
    let buckets = isBidirectional ? weight.shape[0] / 2 : weight.shape[0]
    let first = isBidirectional && distance > 0 ? buckets : 0
    let length = isBidirectional ? abs(distance) : max(0, -distance)
    let exact = buckets / 2
    if length < exact { return first + length }
    // In float32, as the models' own code has it, which decides where a quotient is a whole number.
    let share =
      logf(Float(length) / Float(exact)) / Float(log(Double(maximumDistance) / Double(exact)))
    return first + min(buckets - 1, exact + Int(share * Float(buckets - exact)))
  }
}
