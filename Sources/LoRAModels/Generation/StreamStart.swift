/// The session behind an asynchronous sequence, which begins when the first element is asked for.
enum StreamStart<Session> {
  case notStarted(@Sendable () throws -> Session)
  case running(Session)

  /// The session; nil once the task that iterates is cancelled.
  mutating func session() async throws -> Session? {
    if Task.isCancelled { return nil }
    // Long generations must not keep other tasks of the same thread from running.
    await Task.yield()
    switch self {
    case .running(let session): return session
    case .notStarted(let start):
      let session = try start()
      self = .running(session)
      return session
    }
  }
}
