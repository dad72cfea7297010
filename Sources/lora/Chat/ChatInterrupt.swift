import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Ctrl-C in a chat: it ends an answer, and does not leave.
enum ChatInterrupt {
  private static let requested = Atomic<Bool>(false)

  /// Whether Ctrl-C was pressed since the last call.
  static func take() -> Bool { requested.exchange(false, ordering: .relaxed) }

  /// Catches it until the process ends. A line that is being typed is discarded by the terminal.
  static func watch() {
    _ = signal(SIGINT) { _ in ChatInterrupt.requested.store(true, ordering: .relaxed) }
  }
}
