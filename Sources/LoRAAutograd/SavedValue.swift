public import LoRATensor

/// A value for a backward pass: kept from the forward pass or, if its producer can recompute it,
/// recomputed on first use.
///
/// Capture ``Variable/saved`` instead of ``Variable/value`` in a backward closure, and call it
/// there. Values that are cheap to recompute from values that are kept anyway, such as the output
/// of a norm, then need no memory. Everyone who saved a value shares one recomputation, which is
/// held until the producer's own backward step, the last possible user, begins.
public struct SavedValue: Sendable {
  private enum Source: Sendable {
    case kept(Tensor)
    case again(Recomputation)
  }

  private let source: Source
  /// The extents of the value.
  public let shape: Shape

  init(_ variable: Variable) {
    shape = variable.shape
    source = variable.recomputation.map { .again($0) } ?? .kept(variable.value)
  }

  /// The value, the same bits as in the forward pass.
  public func callAsFunction() -> Tensor {
    switch source {
    case .kept(let value): value
    case .again(let recomputation): recomputation.value()
    }
  }
}

extension Variable {
  /// The value for a backward step; see ``SavedValue``.
  public var saved: SavedValue { SavedValue(self) }
}

/// How to compute the output of an operation again, and the output while it is wanted.
package final class Recomputation: Sendable {
  private struct State: Sendable {
    /// Nil once the operation was differentiated.
    var compute: (@Sendable () -> Tensor)?
    var value: Tensor?
  }

  private let state: Locked<State>

  init(_ compute: @escaping @Sendable () -> Tensor) { state = Locked(State(compute: compute)) }

  func value() -> Tensor {
    let (known, compute) = state.withLock { ($0.value, $0.compute) }
    if let known { return known }
    guard let compute else {
      misuse(
        "a saved value after its graph was differentiated, which forgets it; compute the value again"
      )
    }
    let value = compute()
    state.withLock { $0.value = value }
    return value
  }

  /// Forgets the value: whoever saved it has run.
  func release() { replace { State(compute: $0.compute) } }

  /// Forgets also what it would be computed from, which nobody will want any more.
  func discard() { replace { _ in State() } }

  private func replace(_ change: (State) -> State) {
    // What is forgotten is freed outside of the lock.
    let old = state.withLock { state in
      let old = state
      state = change(old)
      return old
    }
    withExtendedLifetime(old) {}
  }
}
