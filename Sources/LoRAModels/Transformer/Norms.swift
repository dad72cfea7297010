import CLoRAKernels
import LoRAAutograd
import LoRATensor

/// A normalization of a transformer's hidden states.
protocol Norm: AdaptableModule {
  /// Normalizes the last dimension.
  func callAsFunction(_ x: Variable) -> Variable
  /// The same of `x`, `[rows, C]`, without adapters and gradients.
  func apply(to x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>)
  /// The buffers that are kept for the backward pass, each in numbers a token.
  var keptWidths: [Int] { get }
  /// Whether no adapter changes it in this pass.
  var isUnchanged: Bool { get }
}

extension Norm {
  var isUnchanged: Bool { slot.isUnused }
}

extension RMSNorm: Norm {
  /// The input, and the inverse of its root mean square.
  var keptWidths: [Int] { [weight.shape[0], 1] }

  func apply(to x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>) {
    let w = factors(weight.value.converted(to: .float32))
    withExtendedLifetime(w) {
      lk_rmsnorm(rows, w.elementCount, x, w.floats, epsilon, y, nil)
    }
  }
}

extension LayerNorm: Norm {
  /// The input, its mean, and the inverse of its deviation.
  var keptWidths: [Int] { [weight.shape[0], 1, 1] }

  func apply(to x: UnsafePointer<Float>, rows: Int, into y: UnsafeMutablePointer<Float>) {
    let w = weight.value.converted(to: .float32)
    let b = bias?.value.converted(to: .float32)
    withExtendedLifetime((w, b)) {
      lk_layernorm(rows, w.elementCount, x, w.floats, b?.floats, epsilon, y, nil, nil)
    }
  }
}
