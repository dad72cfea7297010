import LoRATensor

/// The keys and values of the positions that a sequence has passed through, layer by layer.
///
/// Belongs to one sequence of one generation, and to the adapters that were active when it was
/// filled: continuing it under others would mix two models. Not Sendable.
public final class KeyValueCache {
  /// The most positions that can be held.
  public let capacity: Int
  /// The number of positions held.
  public private(set) var count = 0
  private var keys: [Tensor?]
  private var values: [Tensor?]
  private var allocated = 0

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
    let total = count + newKeys.shape[1]
    precondition(total <= capacity, "\(total) positions in a cache of \(capacity)")
    if total > allocated { allocated = min(capacity, max(64, 2 * total)) }
    let room = allocated
    func write(_ new: Tensor, to slot: inout Tensor?) -> Tensor {
      let rowBytes = new.byteCount / max(new.shape[1], 1)
      var held =
        slot.take()
        ?? .zeros([room, new.shape[2], new.shape[3]])
      if held.shape[0] < total {
        let grown = Tensor.zeros([room - held.shape[0], new.shape[2], new.shape[3]])
        held = .concatenated([held, grown])
      }
      held.withUnsafeMutableBytes { bytes in
        new.withUnsafeBytes { source in
          UnsafeMutableRawBufferPointer(rebasing: bytes[(count * rowBytes)...])
            .copyMemory(from: source)
        }
      }
      slot = held
      return held[rows: 0..<total].reshaped(to: [1, total, new.shape[2], new.shape[3]])
    }
    return (write(newKeys, to: &keys[layer]), write(newValues, to: &values[layer]))
  }

  /// Counts `positions` more, once every layer has appended them.
  func advance(by positions: Int) { count += positions }
}
