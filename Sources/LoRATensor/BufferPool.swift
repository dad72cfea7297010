#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The memory pool of the library's tensors: freed buffers are kept and reused, so that a training
/// step allocates nothing large after the first steps.
///
/// The counts are exact and repeatable for the same work on one task, so benchmarks can check them,
/// unlike times.
public final class BufferPool: Sendable {
  /// The pool that every tensor uses.
  public static let shared = BufferPool()

  /// The counts of a pool.
  public struct Statistics: Sendable, Hashable {
    /// The number of buffers requested from the system.
    public var systemAllocations = 0
    /// The number of reused buffers.
    public var reuses = 0
    /// The number of bytes in use by tensors.
    public var liveBytes = 0
    /// The largest `liveBytes` since the last ``BufferPool/resetPeak()``.
    public var peakLiveBytes = 0
    /// The number of bytes kept for reuse.
    public var cachedBytes = 0
  }

  private struct State {
    // Addresses rather than pointers: a lock wants Sendable contents.
    var free: [Int: [UInt]] = [:]
    var statistics = Statistics()
    var cacheLimit = 2 << 30
    var exhaustionHandler: (@Sendable (String) -> Never)?
  }

  private let state = Locked(State())

  /// Buffers below this size go straight to the system's allocator, which is as fast for them.
  private static let smallest = 4096
  static let alignment = 64

  /// The current counts.
  public var statistics: Statistics { state.withLock { $0.statistics } }

  /// Starts a new measurement of ``Statistics/peakLiveBytes``.
  public func resetPeak() {
    state.withLock { $0.statistics.peakLiveBytes = $0.statistics.liveBytes }
  }

  /// The largest number of bytes kept for reuse (2 GiB unless set); more are returned to the
  /// system.
  public var cacheLimit: Int {
    get { state.withLock { $0.cacheLimit } }
    set {
      state.withLock { $0.cacheLimit = newValue }
      if newValue == 0 { trim() }
    }
  }

  /// Returns every cached buffer to the system.
  public func trim() {
    let addresses = state.withLock { state in
      let all = state.free.values.flatMap { $0 }
      state.free.removeAll()
      state.statistics.cachedBytes = 0
      return all
    }
    for address in addresses { free(UnsafeMutableRawPointer(bitPattern: address)) }
  }

  /// The size class of a request: steps of an eighth of a power of two, so that at most 12.5 %
  /// is wasted and similar sizes share buffers.
  package static func sizeClass(_ byteCount: Int) -> Int {
    if byteCount < smallest { return (max(byteCount, 1) + alignment - 1) & ~(alignment - 1) }
    let power = Int.bitWidth - 1 - byteCount.leadingZeroBitCount
    let step = max(1 << (power - 3), alignment)
    return (byteCount + step - 1) / step * step
  }

  func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let size = Self.sizeClass(byteCount)
    let reused: UInt? = state.withLock { state in
      let address = size >= Self.smallest ? state.free[size]?.popLast() : nil
      if address != nil {
        state.statistics.reuses += 1
        state.statistics.cachedBytes -= size
      } else {
        state.statistics.systemAllocations += 1
      }
      state.statistics.liveBytes += size
      state.statistics.peakLiveBytes = max(
        state.statistics.peakLiveBytes, state.statistics.liveBytes)
      return address
    }
    if let reused, let pointer = UnsafeMutableRawPointer(bitPattern: reused) { return pointer }
    if let pointer = Self.request(size) { return pointer }
    // What is kept for reuse may be what is missing.
    trim()
    if let pointer = Self.request(size) { return pointer }
    exhausted(size)
  }

  private static func request(_ size: Int) -> UnsafeMutableRawPointer? {
    var pointer: UnsafeMutableRawPointer?
    return posix_memalign(&pointer, alignment, size) == 0 ? pointer : nil
  }

  /// Ends the program: there is no memory for a tensor.
  private func exhausted(_ size: Int) -> Never {
    let (live, handler) = state.withLock {
      ($0.statistics.liveBytes - size, $0.exhaustionHandler)
    }
    var message =
      "out of memory: a tensor needs \(mebibytes(size)), and the system gives no more; tensors hold "
      + "\(mebibytes(live))"
    if let limit = AvailableMemory.addressSpaceLimit ?? AvailableMemory.dataLimit {
      message += ", the process may have \(mebibytes(limit)) (ulimit)"
    }
    message += "; take fewer or shorter rows, a lower rank or a smaller model, or raise the limit"
    if let handler { handler(message) }
    misuse(message)
  }

  /// The function that ends the program if the system has no memory for a tensor. Its message says
  /// how much was needed. By default it traps with the message on standard error; a program that
  /// needs its own exit status, such as `lora`, sets it. It must not create tensors.
  public var exhaustionHandler: (@Sendable (_ message: String) -> Never)? {
    get { state.withLock { $0.exhaustionHandler } }
    set { state.withLock { $0.exhaustionHandler = newValue } }
  }

  func deallocate(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let size = Self.sizeClass(byteCount)
    let isKept = state.withLock { state in
      state.statistics.liveBytes -= size
      guard size >= Self.smallest, state.statistics.cachedBytes + size <= state.cacheLimit
      else { return false }
      state.free[size, default: []].append(UInt(bitPattern: pointer))
      state.statistics.cachedBytes += size
      return true
    }
    if !isKept { free(pointer) }
  }
}

/// A number of bytes as people read it.
package func mebibytes(_ bytes: Int) -> String {
  bytes < 1 << 20 ? "\(bytes) bytes" : "\((bytes >> 20)) MiB"
}
