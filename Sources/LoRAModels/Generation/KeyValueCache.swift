import LoRATensor

/// The keys and values of the positions that a sequence has passed through, layer by layer.
///
/// Belongs to one sequence of one generation, and to the adapters that were active when it was
/// filled: continuing it under others would mix two models. Not Sendable.
///
/// New positions are written in place behind those that are held. The memory grows by doubling up
/// to the capacity.
public final class KeyValueCache {
  /// The most positions that can be held.
  public let capacity: Int
  /// The number of positions held.
  public private(set) var count = 0
  private var keys: [Tensor?]
  private var values: [Tensor?]

  /// The fewest positions that memory is requested for, unless the capacity is lower.
  static let chunk = 256

  /// Creates an empty cache for `layerCount` layers and up to `capacity` positions.
  public init(layerCount: Int, capacity: Int) {
    self.capacity = capacity
    keys = Array(repeating: nil, count: layerCount)
    values = keys
  }

  /// Appends a layer's keys and values, `[1, new, heads, size]`, and returns all of that layer so
  /// far, `[1, count + new, heads, size]`, sharing the cache's memory until the next append.
  func append(keys newKeys: Tensor, values newValues: Tensor, layer: Int) -> (Tensor, Tensor) {
    precondition(newKeys.shape[0] == 1, "a cache holds one sequence, not \(newKeys.shape[0])")
    let (new, heads, size) = (newKeys.shape[1], newKeys.shape[2], newKeys.shape[3])
    withRoom(for: new, heads: heads, size: size, layer: layer) { keys, values in
      let start = count * heads * size
      newKeys.withUnsafeElements(of: Float.self) { source in
        if let from = source.baseAddress { (keys + start).update(from: from, count: source.count) }
      }
      newValues.withUnsafeElements(of: Float.self) { source in
        if let from = source.baseAddress {
          (values + start).update(from: from, count: source.count)
        }
      }
    }
    func all(_ held: Tensor?) -> Tensor {
      guard let held else { preconditionFailure("layer \(layer) has no memory") }
      return held[rows: 0..<count + new].reshaped(to: [1, count + new, heads, size])
    }
    return (all(keys[layer]), all(values[layer]))
  }

  /// Calls `body` with the addresses of a layer's first key and value, position after position,
  /// `[heads, size]` each, where the next `new` positions may be written.
  func withRoom<R>(
    for new: Int, heads: Int, size: Int, layer: Int,
    _ body: (_ keys: UnsafeMutablePointer<Float>, _ values: UnsafeMutablePointer<Float>) -> R
  ) -> R {
    let total = count + new
    precondition(total <= capacity, "\(total) positions in a cache of \(capacity)")
    /// The tensor of `slot`, large enough, which nobody else holds from here on.
    func take(_ slot: inout Tensor?) -> Tensor {
      let held = slot.take()
      if let held, held.shape[0] >= total { return held }
      let room = min(capacity, max(Self.chunk, 2 * total))
      return Tensor(shape: [room, heads, size]) { memory in
        held?.withUnsafeElements(of: Float.self) { old in
          if let from = old.baseAddress { memory.update(from: from, count: count * heads * size) }
        }
      }
    }
    var (heldKeys, heldValues) = (take(&keys[layer]), take(&values[layer]))
    defer { (keys[layer], values[layer]) = (heldKeys, heldValues) }
    return heldKeys.withUnsafeMutableBytes { keys in
      heldValues.withUnsafeMutableBytes { values in
        guard let keys = keys.baseAddress, let values = values.baseAddress else {
          preconditionFailure("keys of \(heads) heads of size \(size)")
        }
        return body(
          keys.assumingMemoryBound(to: Float.self), values.assumingMemoryBound(to: Float.self))
      }
    }
  }

  /// Counts `positions` more, once every layer has appended them.
  func advance(by positions: Int) { count += positions }
}
