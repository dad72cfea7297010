/// The symbols of a word in a row, some of which have been joined with what was before them, and the
/// merges to come.
struct SymbolChain {
  private var nexts: [Int32] = []
  private var previouses: [Int32] = []
  var queue = MergeQueue()

  mutating func reset(count: Int) {
    queue.removeAll()
    nexts.removeAll(keepingCapacity: true)
    previouses.removeAll(keepingCapacity: true)
    for i in 0..<Int32(count) {
      nexts.append(i + 1)
      previouses.append(i - 1)
    }
    if count > 0 { nexts[count - 1] = -1 }
  }

  func next(_ i: Int) -> Int? { nexts[i] < 0 ? nil : Int(nexts[i]) }
  func previous(_ i: Int) -> Int? { previouses[i] < 0 ? nil : Int(previouses[i]) }

  /// Takes `right` out, which is next to `left`.
  mutating func join(_ left: Int, _ right: Int) {
    nexts[left] = nexts[right]
    if let after = next(left) { previouses[after] = Int32(left) }
  }
}

/// A binary heap of merges, the lowest rank and then the leftmost place first.
struct MergeQueue {
  /// The rank in the high half, the place in the low one.
  private var heap: [UInt64] = []

  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  mutating func insert(rank: UInt32, position: Int) {
    heap.append(UInt64(rank) << 32 | UInt64(position))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popLowest() -> (rank: UInt32, position: Int)? {
    guard let lowest = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < heap.count else { break }
        if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
        guard heap[child] < heap[parent] else { break }
        heap.swapAt(child, parent)
        parent = child
      }
    }
    return (UInt32(lowest >> 32), Int(lowest & 0xFFFF_FFFF))
  }
}
