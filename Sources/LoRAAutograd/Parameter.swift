public import LoRATensor

/// A tensor of a model that can be trained, saved and replaced.
///
/// The value is immutable, and an optimizer replaces it. A reader therefore always has one
/// consistent value, whatever other tasks do, for as long as it keeps it.
public final class Parameter: Sendable {
  private struct State {
    var value: Tensor
    var isTrainable: Bool
  }

  private let state: Locked<State>

  /// The extents, which never change.
  public let shape: Shape
  /// The type that a file has the first value in, where that was converted; nil: the value's own.
  package let storedType: DType?

  /// Creates a parameter. Only float32 values can be trained; narrower types are for frozen
  /// weights.
  public init(_ value: Tensor, isTrainable: Bool = true) {
    shape = value.shape
    storedType = nil
    state = Locked(State(value: value, isTrainable: isTrainable))
  }

  /// Creates one of a value that a file has as `storedType`.
  package init(_ value: Tensor, isTrainable: Bool, storedType: DType?) {
    shape = value.shape
    self.storedType = storedType
    state = Locked(State(value: value, isTrainable: isTrainable))
  }

  /// The current value. Setting a value of a different shape traps.
  public var value: Tensor {
    get { state.withLock { $0.value } }
    set {
      require(
        newValue.shape == shape, "a parameter of shape \(shape) can't become \(newValue.shape)")
      state.withLock { $0.value = newValue }
    }
  }

  /// Changes the value in place if nobody else holds its bytes; otherwise returns false and does
  /// nothing. Readers wait meanwhile and see the old value or the new one.
  package func updateInPlace(_ body: (UnsafeMutableRawBufferPointer) -> Void) -> Bool {
    state.withLock { state in
      guard state.value.isUniquelyOwned else { return false }
      state.value.withUnsafeMutableBytes(body)
      return true
    }
  }

  /// Whether a gradient is computed for this parameter. A frozen parameter needs no gradient buffer
  /// and no optimizer state, and keeps no activation alive.
  public var isTrainable: Bool {
    get { state.withLock { $0.isTrainable } }
    set { state.withLock { $0.isTrainable = newValue } }
  }

  /// The value and whether it is trainable, read together.
  var snapshot: (value: Tensor, isTrainable: Bool) {
    state.withLock { ($0.value, $0.isTrainable) }
  }
}
