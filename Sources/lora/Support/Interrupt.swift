import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The wish to stop, by Ctrl-C or by `kill`, caught while there is something to save.
///
/// The first signal asks; a second one ends the process at once, as signals do by default.
enum Interrupt {
  private static let requested = Atomic<Bool>(false)

  /// Whether a signal has come since ``watch()``.
  static var isRequested: Bool { requested.load(ordering: .relaxed) }

  /// Catches the next SIGINT or SIGTERM.
  static func watch() {
    requested.store(false, ordering: .relaxed)
    // Whoever started this process may have had them blocked, as threads of libdispatch have.
    var numbers = sigset_t()
    sigemptyset(&numbers)
    sigaddset(&numbers, SIGINT)
    sigaddset(&numbers, SIGTERM)
    pthread_sigmask(SIG_UNBLOCK, &numbers, nil)
    for number in [SIGINT, SIGTERM] {
      _ = signal(number) { number in
        // Only what is safe in a handler: an atomic store, and the default for the next signal.
        Interrupt.requested.store(true, ordering: .relaxed)
        _ = signal(number, SIG_DFL)
      }
    }
  }

  /// Signals end the process again.
  static func release() {
    for number in [SIGINT, SIGTERM] { _ = signal(number, SIG_DFL) }
  }
}
