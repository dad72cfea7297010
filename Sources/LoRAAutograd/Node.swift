package import LoRATensor
import Synchronization

/// What is recorded of one operation: where its inputs came from and how to hand a gradient back.
///
/// Nodes are numbered as they are made. An operation's inputs exist before it does, so descending
/// numbers are an order in which every node's gradient is complete before it is used.
package final class Node: Sendable {
  private static let counter = Atomic<UInt64>(0)

  let id: UInt64
  let inputs: [Node?]
  /// The parameter that this node stands for; nil inside the graph.
  let parameter: Parameter?
  private let backward: Locked<Backward?>

  /// What `Variable.record` is given.
  package typealias Backward = @Sendable (_ gradient: Tensor, _ inputs: InputGradients) -> Void

  init(leafOf parameter: Parameter?) {
    id = Self.counter.add(1, ordering: .relaxed).newValue
    inputs = []
    self.parameter = parameter
    backward = Locked(nil)
  }

  init(inputs: [Node?], backward: @escaping Backward) {
    id = Self.counter.add(1, ordering: .relaxed).newValue
    self.inputs = inputs
    parameter = nil
    self.backward = Locked(backward)
  }

  /// Hands over the backward step and forgets it, so that what it captured is freed once it ran.
  func takeBackward() -> Backward? {
    backward.withLock { backward in
      defer { backward = nil }
      return backward
    }
  }
}
