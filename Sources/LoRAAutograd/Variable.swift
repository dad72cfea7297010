public import LoRATensor
import Synchronization

/// A tensor in a differentiable computation: a value and, if it needs a gradient, how it was
/// computed.
///
/// ```swift
/// let w = Parameter(Tensor([3], shape: [1]))
/// let y = (Variable(w) * Variable(w)).sum()
/// let gradients = y.gradients()
/// gradients[w]?.scalars()  // [6]
/// ```
///
/// Operations record themselves only if a trainable parameter is involved and recording is on; see
/// ``withoutGradients(_:)``. A constant costs nothing.
public struct Variable: Sendable {
  /// The value.
  public let value: Tensor
  /// How the value was computed; nil for what needs no gradient.
  package let node: Node?
  /// How to compute the value again, if that is cheaper than keeping it; see ``saved``.
  let recomputation: Recomputation?

  package init(value: Tensor, node: Node?) {
    self.init(value: value, node: node, recomputation: nil)
  }

  init(value: Tensor, node: Node?, recomputation: Recomputation?) {
    self.value = value
    self.node = node
    self.recomputation = recomputation
  }

  /// A constant.
  public init(_ value: Tensor) {
    self.init(value: value, node: nil)
  }

  /// The current value of a parameter. If the parameter is trainable now, its gradient is reported
  /// under it.
  public init(_ parameter: Parameter) {
    let (value, isTrainable) = parameter.snapshot
    guard isTrainable, GradientMode.isRecording else {
      self.init(value)
      return
    }
    require(
      value.dtype == .float32,
      "a trainable parameter of shape \(value.shape) is \(value.dtype); only float32 can be trained: freeze "
        + "it (isTrainable = false), or call prepareForFullTraining() on its module")
    self.init(value: value, node: Node(leafOf: parameter))
  }

  /// The extents of the value.
  public var shape: Shape { value.shape }

  /// Whether this variable needs a gradient.
  public var requiresGradient: Bool { node != nil }

  /// The same value as a constant: gradients stop here.
  public func detached() -> Variable { Variable(value) }
}

/// Whether operations record their backward pass. Belongs to the task, not to the process.
public enum GradientMode {
  @TaskLocal static var recording = true

  /// Whether operations currently record themselves in this task.
  public static var isRecording: Bool { recording }
}

/// Runs `body` without recording gradients, for inference and evaluation.
public func withoutGradients<R>(_ body: () throws -> R) rethrows -> R {
  try GradientMode.$recording.withValue(false, operation: body)
}

/// Runs the asynchronous `body` without recording gradients.
public func withoutGradients<R>(
  isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async rethrows -> R {
  try await GradientMode.$recording.withValue(false, operation: body)
}

/// Runs `body` with recording on, inside a region without gradients: what recomputation needs.
package func withGradients<R>(_ body: () throws -> R) rethrows -> R {
  try GradientMode.$recording.withValue(true, operation: body)
}
