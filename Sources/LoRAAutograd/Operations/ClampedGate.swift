import CLoRAKernels
import LoRATensor

extension Variable {
  /// gpt-oss's gate: of gates and ups in turn along the last dimension, `(up + 1) gate sigmoid(alpha gate)`,
  /// half as many, the gate being at most `limit` and the up within `-limit...limit`.
  package func clampedGate(alpha: Float, limit: Float) -> Variable {
    let size = shape.innermost
    require(size % 2 == 0, "gates and ups in turn of \(shape)")
    let half = shape.replacingInnermost(with: size / 2)
    @Sendable func product(_ z: Tensor) -> Tensor {
      Tensor(shape: half) { y in
        withExtendedLifetime(z) {
          parallelTiles(half.elementCount, tile: elementTile) {
            let start = $0.lowerBound
            lk_clamped_gate_forward($0.count, alpha, limit, z.floats + 2 * start, y + start)
          }
        }
      }
    }
    let z = saved
    return Self.record(product(value), inputs: [self], recompute: { product(z()) }) { dy, inputs in
      let z = z()
      inputs.add(
        Tensor(shape: z.shape) { dz in
          withExtendedLifetime((z, dy)) { [dy = dy.floats] in
            parallelTiles(half.elementCount, tile: elementTile) {
              let start = $0.lowerBound
              lk_clamped_gate_backward(
                $0.count, alpha, limit, z.floats + 2 * start, dy + start, dz + 2 * start)
            }
          }
        }, to: 0)
    }
  }
}
