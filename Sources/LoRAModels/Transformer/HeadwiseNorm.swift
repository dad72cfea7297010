import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// A layer norm of every head, with a weight for each: rows of one matrix, or a module a head.
final class HeadwiseNorm: Norm {
  /// Where the weights are.
  private enum Weights: Sendable {
    /// `[heads, size]`.
    case rows(Parameter)
    /// `[size]` of each head.
    case modules([LayerNorm])
  }

  private let weights: Weights
  private let heads: Int
  private let size: Int
  private let epsilon: Float
  let slot = AdapterSlot()
  let parameters: Named<Parameter>
  let children: Named<any Module>

  /// Creates a norm from its weights, `[heads, size]`.
  init(weight: Parameter, epsilon: Float) {
    (heads, size) = (weight.shape[0], weight.shape[1])
    weights = .rows(weight)
    self.epsilon = epsilon
    parameters = ["weight": weight]
    children = [:]
  }

  /// Creates a norm from that of each head, which have no biases.
  init(_ norms: [LayerNorm], epsilon: Float) {
    (heads, size) = (norms.count, norms[0].weight.shape[0])
    weights = .modules(norms)
    self.epsilon = epsilon
    parameters = [:]
    children = ["norms": ModuleGroup(Named(norms.enumerated().map { ("\($0)", $1) }))]
  }

  /// Normalizes heads, `[B, T, heads, size]`.
  func callAsFunction(_ x: Variable) -> Variable {
    slot.grouped(x) { x in
      let weight: Variable =
        switch weights {
        case .rows(let all): slot.value(of: all, named: "weight")
        case .modules(let norms):
          .concatenated(norms.map { $0.slot.value(of: $0.weight, named: "weight") })
        }
      let width = heads * size
      let plain = x.layerNorm(weight: Variable(ones), bias: nil, epsilon: epsilon)
      return plain.reshaped(to: [x.shape.elementCount / width, width])
        .scaledColumns(by: weight.reshaped(to: [width])).reshaped(to: x.shape)
    }
  }

  private var ones: Tensor { Tensor(Array(repeating: Float(1), count: size)) }

  var isUnchanged: Bool {
    guard case .modules(let norms) = weights else { return slot.isUnused }
    return slot.isUnused && norms.allSatisfy(\.slot.isUnused)
  }

  func apply(to x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>) {
    let parts: [Tensor] =
      switch weights {
      case .rows(let all):
        [all.value.converted(to: .float32).reshaped(to: [heads * size])]
      case .modules(let norms): norms.map { $0.weight.value.converted(to: .float32) }
      }
    let all = parts.count == 1 ? parts[0] : Tensor.concatenated(parts)
    withExtendedLifetime(all) {
      for row in 0..<rows {
        let start = row * size
        lk_layernorm(
          1, size, x + start, all.floats + row % heads * size, nil, epsilon, y + start, nil, nil)
      }
    }
  }

  /// The input with its mean and the inverse of its deviation, and what the weights scale.
  var keptWidths: [Int] { [heads * size, heads, heads, heads * size] }
}
