import LoRAAutograd
import LoRATensor

/// The keys and values of the positions that sequences have passed through, layer by layer. A layer with
/// a window keeps only what the next position sees, and a little more.
///
/// Belongs to the generations that fill it, and to the adapters that were active when it was filled:
/// continuing it under others would mix two models. Not Sendable.
///
/// Each item of a batch is a sequence with a length of its own. ``init(joining:)`` makes a batch of
/// sequences that began apart, and they may part again.
public final class KeyValueCache {
  /// The most positions that can be held of a sequence.
  public var capacity: Int { sequences.map(\.capacity).min() ?? 0 }
  /// The number of positions held of each sequence.
  public var counts: [Int] { sequences.map(\.count) }
  /// The number of positions held. Traps if sequences differ in that: see ``counts``.
  public var count: Int {
    let first = sequences.first?.count ?? 0
    require(
      sequences.allSatisfy { $0.count == first },
      "count of a cache whose sequences hold \(counts) positions; counts gives each")
    return first
  }

  let sequences: [CachedSequence]

  /// Creates an empty cache for `layerCount` layers and up to `capacity` positions of each sequence.
  public init(layerCount: Int, capacity: Int, sequenceCount: Int = 1) {
    sequences = (0..<sequenceCount).map { _ in
      CachedSequence(layerCount: layerCount, capacity: capacity)
    }
  }

  /// Creates a cache of the sequences of `caches`, in that order. It shares them: what one appends
  /// the other holds.
  public init(joining caches: [KeyValueCache]) { sequences = caches.flatMap(\.sequences) }

  /// What gets its positions.
  enum Rotated: Sendable {
    case query, key
  }

  /// The attention of new queries, keys and values, `[sequences, new, heads, size]`, with what each
  /// sequence holds, the new keys and values being appended first.
  ///
  /// - Parameters:
  ///   - keys: nil, as the values, where those of an earlier layer are read, which has appended its own.
  ///   - layer: the layer whose keys and values are read.
  ///   - mask: a causal one, since a query must not see keys that later passes bring.
  ///   - bias: makes what scores get by distance.
  ///   - rotate: gives queries or keys, `[1, new, heads, size]`, their positions.
  func attention(
    _ queries: Variable, _ keys: Variable?, _ values: Variable?, layer: Int, mask: AttentionMask,
    scale: Float? = nil, softCap: Float? = nil, slopes: [Float] = [], sinks: Variable? = nil,
    bias: ((_ queries: Int, _ keys: Int) -> Variable)? = nil,
    rotate: (Variable, _ kind: Rotated, _ positions: Range<Int>) -> Variable = { x, _, _ in x }
  ) -> Variable {
    require(
      queries.shape[0] == sequences.count,
      "attention of \(queries.shape[0]) sequences \(queries.shape) with a cache of \(sequences.count)"
    )
    mask.checkCaching()
    let new = queries.shape[1]
    let items = sequences.enumerated().map { index, sequence in
      func item(_ x: Variable) -> Variable {
        sequences.count == 1 ? x : x.sliced(axis: 0, index..<index + 1)
      }
      let positions = sequence.count..<sequence.count + new
      let (allKeys, allValues): (Tensor, Tensor)
      if let keys, let values {
        (allKeys, allValues) = sequence.append(
          keys: rotate(item(keys), .key, positions).value, values: item(values).value, layer: layer,
          window: mask.cachedPositions)
      } else {
        (allKeys, allValues) = sequence.all(behind: new, layer: layer)
      }
      return rotate(item(queries), .query, positions).attention(
        keys: Variable(allKeys), values: Variable(allValues), mask: mask, scale: scale,
        softCap: softCap, slopes: slopes, sinks: sinks, bias: bias?(new, allKeys.shape[1]))
    }
    return items.count == 1 ? items[0] : .concatenated(items)
  }

  /// Whether a sequence holds positions. Traps if another one does not: passes that begin differ from
  /// those that go on.
  var hasBegun: Bool {
    let counts = counts
    guard counts.contains(where: { $0 > 0 }) else { return false }
    require(
      !counts.contains(0), "a pass of sequences of \(counts) positions: pass those that begin alone"
    )
    return true
  }

  /// The sequences of some items of the batch, shared.
  func only(_ items: [Int]) -> KeyValueCache {
    KeyValueCache(sequences: items.map { sequences[$0] })
  }

  init(sequences: [CachedSequence]) { self.sequences = sequences }

  /// Puts the keys and values of virtual tokens at the start of every sequence.
  func begin(with virtual: AppliedVirtualTokens, layerCount: Int) {
    for layer in 0..<layerCount {
      let (keys, values) = virtual.keysAndValues(layer: layer, batch: 1)
      for sequence in sequences {
        _ = sequence.append(keys: keys.value, values: values.value, layer: layer)
      }
    }
    advance(by: virtual.prefixCount)
  }

  /// Counts `positions` more of every sequence, once every layer has appended them.
  func advance(by positions: Int) {
    for sequence in sequences { sequence.count += positions }
  }
}

extension AttentionMask {
  /// Traps unless sequences may be passed in pieces under this mask.
  func checkCaching() {
    require(
      allowsCaching,
      "attention behind a cache under \(self): without a cache, pass whole sequences; with one, the "
        + "mask must be causal and the same for the whole batch")
  }
}

/// One sequence of a cache.
///
/// New positions are written in place behind those that are held. The memory grows by doubling up
/// to the capacity; that of a layer with a window up to the window and a little more, where positions
/// that no query sees any more make room.
final class CachedSequence {
  /// The fewest positions that memory is requested for, unless the capacity is lower, and how many more
  /// than its window a layer has room for.
  static let chunk = 256
  /// Positions are dropped by so many, so that sums over keys begin where they would without dropping.
  private static let step = 64

  let capacity: Int
  fileprivate(set) var count = 0
  private var layers: [Layer]
  /// The keys and values of the source, layer by layer, `[positions, heads * size]` each; empty for a
  /// model that has none, or a source without tokens.
  private var sources: [(keys: Tensor, values: Tensor)] = []

  /// What is held of a layer.
  private struct Layer {
    var keys: Tensor?
    var values: Tensor?
    /// The first position that is held.
    var start = 0
    /// How many positions a query sees; nil for all.
    var window: Int?

    /// The first position that the query at `position` sees.
    func firstSeen(from position: Int) -> Int { window.map { max(0, position - $0 + 1) } ?? 0 }
  }

  init(layerCount: Int, capacity: Int) {
    self.capacity = capacity
    layers = Array(repeating: Layer(), count: layerCount)
  }

  /// A sequence of its own that begins with the first `count` positions of `other`, which must hold what
  /// the next one sees of them.
  init(copying other: CachedSequence, count: Int, capacity: Int) {
    require(
      count <= min(other.count, capacity) && other.canGoOn(behind: count),
      "\(count) of \(other.count) positions in a cache of \(capacity)")
    self.capacity = capacity
    self.count = count
    sources = other.sources
    layers = other.layers.map { other in
      func copied(_ held: Tensor?) -> Tensor? {
        guard let held else { return nil }
        let (heads, size) = (held.shape[1], held.shape[2])
        let rows = count - other.start
        return Tensor(shape: [min(capacity, max(Self.chunk, rows)), heads, size]) { memory in
          held.withUnsafeElements(of: Float.self) { old in
            if let from = old.baseAddress { memory.update(from: from, count: rows * heads * size) }
          }
        }
      }
      var layer = other
      (layer.keys, layer.values) = (copied(other.keys), copied(other.values))
      return layer
    }
  }

  /// Whether all is held that the next position would see behind the first `count`.
  func canGoOn(behind count: Int) -> Bool {
    layers.allSatisfy { $0.start <= $0.firstSeen(from: count) }
  }

  /// Forgets the positions from `count` on. What the next one sees must be held: see
  /// ``canGoOn(behind:)``.
  func truncate(to count: Int) {
    require(count <= self.count, "\(count) positions of a sequence that holds \(self.count)")
    if count == 0 {
      for index in layers.indices { layers[index].start = 0 }
    }
    require(
      canGoOn(behind: count), "\(count) positions of a sequence that has dropped some of them")
    self.count = count
  }

  /// The memory of keys and values, in bytes.
  var byteCount: Int {
    layers.flatMap { [$0.keys, $0.values] }.reduce(0) {
      $0 + ($1?.shape.elementCount ?? 0) * MemoryLayout<Float>.size
    }
  }

  /// The keys and values of a layer's source; nil if there is none.
  func source(layer: Int) -> (keys: Tensor, values: Tensor)? {
    sources.indices.contains(layer) && sources[layer].keys.shape[0] > 0 ? sources[layer] : nil
  }

  /// Keeps the keys and values of the next layer's source.
  func appendSource(keys: Tensor, values: Tensor) { sources.append((keys, values)) }

  /// A layer's keys and values, as far as memory was requested, `[room, heads, size]` each, and the
  /// position of the first.
  func held(layer: Int) -> (keys: Tensor, values: Tensor, start: Int)? {
    guard let keys = layers[layer].keys, let values = layers[layer].values else { return nil }
    return (keys, values, layers[layer].start)
  }

  /// Appends a layer's keys and values, `[1, new, heads, size]`, and returns what the layer holds, those at
  /// the end, `[1, held + new, heads, size]`, sharing the cache's memory until the next append. `window` is
  /// how many positions a query of the layer sees; nil for all.
  func append(
    keys newKeys: Tensor, values newValues: Tensor, layer: Int, window: Int? = nil
  ) -> (Tensor, Tensor) {
    let (new, heads, size) = (newKeys.shape[1], newKeys.shape[2], newKeys.shape[3])
    withRoom(for: new, heads: heads, size: size, layer: layer, window: window) { keys, values in
      newKeys.withUnsafeElements(of: Float.self) { source in
        if let from = source.baseAddress { keys.update(from: from, count: source.count) }
      }
      newValues.withUnsafeElements(of: Float.self) { source in
        if let from = source.baseAddress { values.update(from: from, count: source.count) }
      }
    }
    return all(behind: new, layer: layer)
  }

  /// All keys and values that a layer holds which has appended `new` in this pass.
  func all(behind new: Int, layer: Int) -> (Tensor, Tensor) {
    let rows = count + new - layers[layer].start
    func all(_ held: Tensor?) -> Tensor {
      guard let held else { misuse("layer \(layer) has no memory") }
      return held[rows: 0..<rows].reshaped(to: [1, rows, held.shape[1], held.shape[2]])
    }
    return (all(layers[layer].keys), all(layers[layer].values))
  }

  /// Calls `body` with the addresses where the keys and the values of a layer's next `new` positions may be
  /// written, position after position, `[heads, size]` each.
  func withRoom<R>(
    for new: Int, heads: Int, size: Int, layer index: Int, window: Int?,
    _ body: (_ keys: UnsafeMutablePointer<Float>, _ values: UnsafeMutablePointer<Float>) -> R
  ) -> R {
    let total = count + new
    require(
      total <= capacity,
      "\(total) positions in a cache of \(capacity); make it with a larger capacity, or validate(_:) "
        + "the tokens first")
    layers[index].window = window
    let layer = layers[index]
    require(
      layer.start <= layer.firstSeen(from: count),
      "layer \(index) has dropped what a window of \(window ?? total) sees")
    // What must stay, and the most that a window asks for between passes.
    let needed = max(layer.start, layer.firstSeen(from: count) / Self.step * Self.step)
    let most = max(
      total - needed, window.map { min(capacity, $0 + Self.step + Self.chunk) } ?? capacity)
    let fits = (layer.keys?.shape[0]).map { total - layer.start <= $0 && $0 <= most } ?? false
    let start = fits ? layer.start : needed
    let moved = (from: (start - layer.start) * heads * size, count: (count - start) * heads * size)
    /// The tensor of `slot`, large enough, which nobody else holds from here on.
    func take(_ slot: inout Tensor?) -> Tensor {
      var held = slot.take()
      if let room = held?.shape[0], total - start <= room, room <= most {
        if start > layer.start {
          held?.withUnsafeMutableBytes { bytes in
            guard let memory = bytes.baseAddress?.assumingMemoryBound(to: Float.self) else {
              return
            }
            memory.update(from: memory + moved.from, count: moved.count)
          }
        }
        if let held { return held }
      }
      let room = min(most, max(Self.chunk, 2 * (total - start)))
      return Tensor(shape: [room, heads, size]) { memory in
        held?.withUnsafeElements(of: Float.self) { old in
          if let from = old.baseAddress {
            memory.update(from: from + moved.from, count: moved.count)
          }
        }
      }
    }
    var (heldKeys, heldValues) = (take(&layers[index].keys), take(&layers[index].values))
    layers[index].start = start
    defer { (layers[index].keys, layers[index].values) = (heldKeys, heldValues) }
    let next = (count - start) * heads * size
    return heldKeys.withUnsafeMutableBytes { keys in
      heldValues.withUnsafeMutableBytes { values in
        guard let keys = keys.baseAddress, let values = values.baseAddress else {
          misuse("keys of \(heads) heads of size \(size)")
        }
        return body(
          keys.assumingMemoryBound(to: Float.self) + next,
          values.assumingMemoryBound(to: Float.self) + next)
      }
    }
  }
}
