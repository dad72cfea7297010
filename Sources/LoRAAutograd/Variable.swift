public import LoRATensor
import Synchronization

/// A tensor in a computation that may be differentiated: a value and, if a gradient will be wanted,
/// how it was computed.
///
/// ```swift
/// let w = Parameter(Tensor([3], shape: [1]))
/// let y = (Variable(w) * Variable(w)).sum()
/// let gradients = y.gradients()
/// gradients[w]?.scalars()  // [6]
/// ```
///
/// Operations on variables record themselves only where a trainable parameter is involved and
/// recording is on; see ``withoutGradients(_:)``. A constant costs nothing.
public struct Variable: Sendable {
  /// The numbers.
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

  /// A parameter's current value. Its gradient will be reported under the parameter if it is
  /// trainable now.
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

  /// Whether a gradient will flow to or through this variable.
  public var requiresGradient: Bool { node != nil }

  /// The same value as a constant: gradients stop here.
  public func detached() -> Variable { Variable(value) }
}

/// Whether operations record how to differentiate them. Belongs to the task, not to the process.
public enum GradientMode {
  @TaskLocal static var recording = true

  /// Whether operations record themselves in this task now.
  public static var isRecording: Bool { recording }
}

/// Runs `body` without recording anything: for inference and evaluation.
public func withoutGradients<R>(_ body: () throws -> R) rethrows -> R {
  try GradientMode.$recording.withValue(false, operation: body)
}

/// Runs the asynchronous `body` without recording anything.
public func withoutGradients<R>(
  isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> R
) async rethrows -> R {
  try await GradientMode.$recording.withValue(false, operation: body)
}

/// Runs `body` with recording on, inside a region without gradients: what recomputation needs.
package func withGradients<R>(_ body: () throws -> R) rethrows -> R {
  try GradientMode.$recording.withValue(true, operation: body)
}
