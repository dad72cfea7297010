import CLoRAKernels
public import LoRATensor

extension Variable {
  /// The same elements under another shape.
  public func reshaped(to newShape: Shape) -> Variable {
    let shape = shape
    let x = saved
    var recompute: (@Sendable () -> Tensor)?
    if recomputation != nil { recompute = { x().reshaped(to: newShape) } }
    return Self.record(
      value.reshaped(to: newShape), inputs: [self], recompute: recompute
    ) { dy, inputs in
      inputs.add(dy.reshaped(to: shape), to: 0)
    }
  }

  /// The variable whose dimension `i` is this one's `order[i]`.
  public func permuted(_ order: [Int]) -> Variable {
    Self.record(value.permuted(order), inputs: [self]) { dy, inputs in
      var inverse = order
      for (position, axis) in order.enumerated() { inverse[axis] = position }
      inputs.add(dy.permuted(inverse), to: 0)
    }
  }

  /// The transpose of a matrix.
  public func transposed() -> Variable { permuted([1, 0]) }

  /// The slices `range` along `axis`. Negative axes count from the end.
  public func sliced(axis: Int, _ range: Range<Int>) -> Variable {
    let axis = axis < 0 ? shape.count + axis : axis
    let shape = shape
    return Self.record(value.sliced(axis: axis, range), inputs: [self]) { dy, inputs in
      // Slices of one variable add theirs to one gradient, each where it belongs.
      let run = shape.dimensions[(axis + 1)...].reduce(1, *)
      let (width, part) = (shape[axis] * run, range.count * run)
      inputs.accumulate(to: 0, shape: shape) { dx, beta in
        if beta == 0 { lk_fill(shape.elementCount, 0, dx) }
        guard part > 0 else { return }
        withExtendedLifetime(dy) {
          for row in 0..<shape.elementCount / max(width, 1) {
            lk_axpy(part, 1, dy.floats + row * part, dx + row * width + range.lowerBound * run)
          }
        }
      }
    }
  }

  /// The variables joined along `axis`. Negative axes count from the end.
  public static func concatenated(_ parts: [Variable], axis: Int = 0) -> Variable {
    require(!parts.isEmpty, "concatenating no variables; there must be at least one")
    let axis = axis < 0 ? parts[0].shape.count + axis : axis
    let extents = parts.map { $0.shape[axis] }
    return record(.concatenated(parts.map(\.value), axis: axis), inputs: parts) { dy, inputs in
      var start = 0
      for (index, extent) in extents.enumerated() {
        if inputs.isNeeded(index) {
          inputs.add(dy.sliced(axis: axis, start..<start + extent), to: index)
        }
        start += extent
      }
    }
  }
}
