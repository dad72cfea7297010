#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Memory from the system that is cut into buffers, and joined again when they are freed.
///
/// A request takes the top of the highest free range that is large enough, and memory that nobody has had
/// yet only where there is none. Neighbours that are free are one range. So buffers of any sizes share
/// memory: what a long batch had serves a short one, and one expert's tokens another's. A training step
/// frees in about the reverse order of its requests, which leaves few holes: in traces of training, memory
/// exceeded what was in use at once by 0.4 to 5 %, where a list of free buffers for each size had taken
/// 7 to 740 % more. A step that asks for the same as the one before, from the same state, finds the same
/// places.
///
/// A value: it holds addresses and never reads or writes what lies there.
struct Arena: Sendable {
  /// The free ranges that were in use before, by address: where they begin, and their bytes. None touches
  /// another.
  private var starts: [Int] = []
  private var counts: [Int] = []
  /// The bytes of those.
  private(set) var freeBytes = 0
  /// What the system has given last and nobody has had: not resident, and handed out from its top.
  private var fresh = 0..<0
  /// The bytes that the system has given.
  private(set) var mappedBytes = 0

  private static let page = Int(getpagesize())
  /// What is asked of the system at least; touched or not, it counts where address space is limited.
  private static let isLimited =
    AvailableMemory.addressSpaceLimit != nil || AvailableMemory.dataLimit != nil
  private static let unit = isLimited ? 1 << 20 : 16 << 20
  private static let share = isLimited ? 64 : 4

  /// The address of `size` bytes, a multiple of 64 as all requests are, and whether somebody has had all of them before; nil if the system gives
  /// no more.
  mutating func allocate(_ size: Int) -> (address: Int, isReused: Bool)? {
    let index = counts.withUnsafeBufferPointer { counts in
      var index = counts.count - 1
      while index >= 0, counts[index] < size { index -= 1 }
      return index
    }
    if index >= 0 {
      counts[index] -= size
      freeBytes -= size
      let address = starts[index] + counts[index]
      if counts[index] == 0 { remove(at: index) }
      return (address, true)
    }
    // A free range right above the fresh memory is the top of what is handed out.
    guard extendFresh(to: size - countAboveFresh, orAnew: size) else { return nil }
    let above = countAboveFresh
    if above > 0 { remove(at: place(of: fresh.upperBound)) }
    freeBytes -= above
    fresh = fresh.lowerBound..<fresh.upperBound - (size - above)
    return (fresh.upperBound, false)
  }

  /// Takes back what ``allocate(_:)`` gave.
  mutating func deallocate(_ address: Int, _ size: Int) {
    freeBytes += size
    let index = place(of: address)
    let joinsNext = index < starts.count && starts[index] == address + size
    if index > 0, starts[index - 1] + counts[index - 1] == address {
      counts[index - 1] += size
      if joinsNext {
        counts[index - 1] += counts[index]
        remove(at: index)
      }
    } else if joinsNext {
      starts[index] = address
      counts[index] += size
    } else {
      starts.insert(address, at: index)
      counts.insert(size, at: index)
    }
  }

  /// Returns whole pages to the system, those that are taken last first, until at most `limit` bytes are
  /// free, or none is left.
  mutating func release(toAtMost limit: Int) {
    guard freeBytes > limit else { return }
    // What is above the fresh memory would lose its neighbour.
    discardFresh()
    var index = 0
    while index < starts.count, freeBytes > limit {
      let (start, end) = (starts[index], starts[index] + counts[index])
      let first = Self.pages(start)
      let last = min(end / Self.page * Self.page, first + Self.pages(freeBytes - limit))
      guard first < last, unmap(first, last - first) else {
        index += 1
        continue
      }
      if first == fresh.upperBound { fresh = last..<last }
      freeBytes -= counts[index]
      remove(at: index)
      // Parts of pages remain.
      if last < end { deallocate(last, end - last) }
      if start < first {
        deallocate(start, first - start)
        index += 1
      }
    }
  }

  // MARK: Parts

  /// The index of the first free range at or above `address`.
  private func place(of address: Int) -> Int {
    var (low, high) = (0, starts.count)
    while low < high {
      let middle = (low + high) / 2
      if starts[middle] < address { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func remove(at index: Int) {
    starts.remove(at: index)
    counts.remove(at: index)
  }

  /// The bytes of the free range right above the fresh memory.
  private var countAboveFresh: Int {
    let index = place(of: fresh.upperBound)
    return index < starts.count && starts[index] == fresh.upperBound ? counts[index] : 0
  }

  // MARK: The system

  private static func pages(_ count: Int) -> Int { (count + page - 1) / page * page }

  /// Makes the fresh memory at least `count` bytes long; or, where the system has no place below it, `size`
  /// elsewhere. False if it has none.
  private mutating func extendFresh(to count: Int, orAnew size: Int) -> Bool {
    guard fresh.count < count else { return true }
    guard size < Int.max / 2 else { return false }
    let missing = Self.pages(count - fresh.count)
    return extendFresh(
      by: max(missing, Self.unit, Self.pages(mappedBytes / Self.share)), orAnew: size)
      || extendFresh(by: missing, orAnew: size)
  }

  private mutating func extendFresh(by count: Int, orAnew size: Int) -> Bool {
    let isFirst = fresh.lowerBound == 0
    let wanted = fresh.lowerBound - count
    guard let address = isFirst ? Self.mapFirst(count) : Self.map(count, at: max(0, wanted))
    else { return false }
    mappedBytes += count
    if address == wanted {
      fresh = address..<fresh.upperBound
      return true
    }
    if count >= size {
      discardFresh()
      fresh = address..<address + count
      return true
    }
    unmap(address, count)
    guard let other = Self.map(Self.pages(size), at: 0) else { return false }
    discardFresh()
    mappedBytes += Self.pages(size)
    fresh = other..<other + Self.pages(size)
    return true
  }

  /// Returns the fresh memory to the system; of a page that is partly in use the rest is free.
  private mutating func discardFresh() {
    let (start, top) = (fresh.lowerBound, fresh.upperBound)
    let end = top / Self.page * Self.page
    if end > start { unmap(start, end - start) }
    fresh = end..<end
    if top > end { deallocate(end, top - end) }
  }

  /// Memory far below what the system hands out, so that nothing else comes to lie between it and what
  /// follows.
  private static func mapFirst(_ count: Int) -> Int? {
    guard let address = map(count, at: 0) else { return nil }
    guard address > 2 << 40, let other = map(count, at: address - 1 << 40) else { return address }
    munmap(UnsafeMutableRawPointer(bitPattern: address), count)
    return other
  }

  /// Memory at `address`, if it is free there, or elsewhere.
  private static func map(_ count: Int, at address: Int) -> Int? {
    #if os(Linux)
      // MAP_FIXED_NOREPLACE, which fails where something is: without it, kernels since 6.7 want room for
      // a huge page beside what they place, and never place it next to what is there.
      if address > 0, let place = map(count, at: address, flags: 0x10_0000) {
        // Kernels before 4.17 know the address as a hint alone.
        return place
      }
      return map(count, at: 0, flags: 0)
    #else
      return map(count, at: address, flags: 0)
    #endif
  }

  private static func map(_ count: Int, at address: Int, flags: Int32) -> Int? {
    let memory = mmap(
      UnsafeMutableRawPointer(bitPattern: address), count, PROT_READ | PROT_WRITE,
      MAP_PRIVATE | MAP_ANON | flags, -1, 0)
    return memory == MAP_FAILED ? nil : memory.map { Int(bitPattern: $0) }
  }

  @discardableResult
  private mutating func unmap(_ address: Int, _ count: Int) -> Bool {
    guard munmap(UnsafeMutableRawPointer(bitPattern: address), count) == 0 else { return false }
    mappedBytes -= count
    return true
  }
}
