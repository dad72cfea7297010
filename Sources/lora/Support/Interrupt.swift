import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The wish to stop, by Ctrl-C, by `kill` or by a terminal that is closed, caught while there is
/// something to save.
///
/// The first signal asks; a second one ends the process at once, as signals do by default. A signal
/// that whoever started the process lets pass, as `nohup` does, stays without effect.
enum Interrupt {
  private static let requested = Atomic<Bool>(false)

  /// Whether a signal has come since ``watch()``.
  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  private static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// Catches the next signal.
  static func watch() {
    requested.store(false, ordering: .relaxed)
    // Whoever started this process may have had them blocked, as threads of libdispatch have.
    var numbers = sigset_t()
    sigemptyset(&numbers)
    for number in signals { sigaddset(&numbers, number) }
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
    for number in signals where !isIgnored(number) {
      _ = signal(number) { number in
        // Only what is safe in a handler: an atomic store, and the default for the next signal.
        Interrupt.requested.store(true, ordering: .relaxed)
        _ = signal(number, SIG_DFL)
      }
    }
  }

  /// Signals end the process again.
  static func release() {
    for number in signals where !isIgnored(number) { _ = signal(number, SIG_DFL) }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    sigaction(number, nil, &action)
    #if canImport(Darwin)
      return unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
    #else
      return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        == unsafeBitCast(SIG_IGN, to: Int.self)
    #endif
  }
}
