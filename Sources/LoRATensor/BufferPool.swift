import CLoRASystem

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The memory pool of the library's tensors: the memory of freed buffers is kept and reused, whatever their
/// sizes, so that a training step allocates nothing large after the first steps.
///
/// The counts are exact and repeatable for the same work on one task, so benchmarks can check them,
/// unlike times.
public final class BufferPool: Sendable {
  /// The pool that every tensor uses.
  public static let shared = BufferPool()

  /// The counts of a pool.
  public struct Statistics: Sendable, Hashable {
    /// The number of buffers requested from the system, or partly made of memory that the system has given
    /// for them.
    public var systemAllocations = 0
    /// The number of buffers made of memory that others had before.
    public var reuses = 0
    /// The number of bytes in use by tensors.
    public var liveBytes = 0
    /// The largest `liveBytes` since the last ``BufferPool/resetPeak()``.
    public var peakLiveBytes = 0
    /// The number of bytes kept for reuse.
    public var cachedBytes = 0
  }

  fileprivate struct State {
    var arena = Arena()
    var statistics = Statistics()
    var cacheLimit = 2 << 30
    var exhaustionHandler: (@Sendable (String) -> Never)?
  }

  private let state = Locked(State())

  /// Buffers below this size go straight to the system's allocator, which is as fast for them. Under
  /// AddressSanitizer all do: it watches the bounds of what it has given itself.
  private static let smallest = lora_is_address_sanitized() ? Int.max : 4096
  static let alignment = 64

  /// Creates a pool.
  init() {}

  deinit { trim() }

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
      state.withLock { state in
        state.cacheLimit = newValue
        state.release(toAtMost: newValue)
      }
    }
  }

  /// Returns what is kept for reuse to the system, but for parts of pages that are in use.
  public func trim() { state.withLock { $0.release(toAtMost: 0) } }

  /// The bytes of a buffer for `byteCount`.
  package static func rounded(_ byteCount: Int) -> Int {
    // A request beyond all memory fails later, and must not overflow here.
    byteCount > Int.max - alignment
      ? byteCount : (max(byteCount, 1) + alignment - 1) & ~(alignment - 1)
  }

  func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
    let size = Self.rounded(byteCount)
    if let pointer = request(size) { return pointer }
    // What is kept for reuse may be what is missing.
    trim()
    if let pointer = request(size) { return pointer }
    exhausted(size)
  }

  private func request(_ size: Int) -> UnsafeMutableRawPointer? {
    guard size < Self.smallest else {
      return state.withLock { state in
        guard let (address, isReused) = state.arena.allocate(size) else { return nil }
        state.count(size, isReused: isReused)
        return UnsafeMutableRawPointer(bitPattern: address)
      }
    }
    var pointer: UnsafeMutableRawPointer?
    guard posix_memalign(&pointer, Self.alignment, size) == 0 else { return nil }
    state.withLock { $0.count(size, isReused: false) }
    return pointer
  }

  /// Ends the program: there is no memory for a tensor.
  private func exhausted(_ size: Int) -> Never {
    let (live, handler) = state.withLock {
      ($0.statistics.liveBytes, $0.exhaustionHandler)
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
    let size = Self.rounded(byteCount)
    state.withLock { state in
      state.statistics.liveBytes -= size
      guard size >= Self.smallest else { return }
      state.arena.deallocate(Int(bitPattern: pointer), size)
      state.statistics.cachedBytes += size
      state.release(toAtMost: state.cacheLimit)
    }
    if size < Self.smallest { free(pointer) }
  }
}

extension BufferPool.State {
  /// Counts a buffer that is given.
  fileprivate mutating func count(_ size: Int, isReused: Bool) {
    if isReused { statistics.reuses += 1 } else { statistics.systemAllocations += 1 }
    statistics.liveBytes += size
    statistics.peakLiveBytes = max(statistics.peakLiveBytes, statistics.liveBytes)
    statistics.cachedBytes = arena.freeBytes
  }

  fileprivate mutating func release(toAtMost limit: Int) {
    guard statistics.cachedBytes > limit else { return }
    arena.release(toAtMost: limit)
    statistics.cachedBytes = arena.freeBytes
  }
}

/// A number of bytes as people read it.
package func mebibytes(_ bytes: Int) -> String {
  bytes < 1 << 20 ? "\(bytes) bytes" : "\((bytes >> 20)) MiB"
}
