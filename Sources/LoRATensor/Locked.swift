#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A value protected by a mutex.
///
/// A pthread mutex rather than the standard library's `Mutex`, because ThreadSanitizer knows the
/// former and reports races that are none with the latter when it is contended: users run it on
/// programs that embed this library.
///
/// Sendable, although its value can change: the value is reached only inside ``withLock(_:)``, which
/// holds the mutex; and a value that was not Sendable could not be put in.
package final class Locked<Value: Sendable>: @unchecked Sendable {
  private var value: Value
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>

  package init(_ value: Value) {
    self.value = value
    mutex = .allocate(capacity: 1)
    mutex.initialize(to: pthread_mutex_t())
    let code = pthread_mutex_init(mutex, nil)
    require(code == 0, "the system has no mutex left: error \(code)")
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deinitialize(count: 1)
    mutex.deallocate()
  }

  /// Calls `body` with the value while nobody else can. Not to be nested on one lock.
  package func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return try body(&value)
  }
}
