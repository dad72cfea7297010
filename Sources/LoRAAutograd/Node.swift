package import LoRATensor
import Synchronization

/// What is recorded of one operation: where its inputs came from and how to hand a gradient back.
///
/// Nodes are numbered as they are made. An operation's inputs exist before it does, so descending
/// numbers are an order in which every node's gradient is complete before it is used.
package final class Node: Sendable {
  private static let counter = Atomic<UInt64>(0)

  let id: UInt64
  /// Where the inputs came from.
  var inputs: [Node?] { links.withLock { $0.inputs } }
  /// The parameter that this node stands for; nil inside the graph.
  let parameter: Parameter?
  /// How others get this operation's value again; forgotten when the backward step begins.
  private let recomputation: Recomputation?
  private let links: Locked<Links>

  private struct Links: Sendable {
    var inputs: [Node?] = []
    var backward: Backward?
  }

  /// What `Variable.record` is given. The gradient belongs to the step, which may write into it.
  package typealias Backward =
    @Sendable (_ gradient: inout Tensor, _ inputs: InputGradients) -> Void

  init(leafOf parameter: Parameter?) {
    id = Self.counter.add(1, ordering: .relaxed).newValue
    self.parameter = parameter
    recomputation = nil
    links = Locked(Links())
  }

  init(
    inputs: [Node?], recomputation: Recomputation? = nil, backward: @escaping Backward
  ) {
    id = Self.counter.add(1, ordering: .relaxed).newValue
    parameter = nil
    self.recomputation = recomputation
    links = Locked(Links(inputs: inputs, backward: backward))
  }

  /// Frees the nodes that only this one holds, and those that only they hold, one after the other:
  /// freeing them from within each other would need a stack as deep as the graph.
  deinit {
    var orphans = takeInputs()
    while var node = orphans.popLast() {
      if isKnownUniquelyReferenced(&node) { orphans += node.takeInputs() }
    }
  }

  private func takeInputs() -> [Node] {
    links.withLock { links in
      defer { links.inputs = [] }
      return links.inputs.compactMap { $0 }
    }
  }

  /// Frees what was computed again for operations that came later: all of them have run.
  func releaseValue() { recomputation?.release() }

  /// Hands over the backward step and forgets it, so that what it captured is freed once it ran.
  func takeBackward() -> Backward? {
    recomputation?.discard()
    return links.withLock { links in
      defer { links.backward = nil }
      return links.backward
    }
  }
}
