/// Clipping of gradients by their common norm.
package enum GradientClipping {
  /// The factor of `torch.nn.utils.clip_grad_norm_` for gradients of the common norm `norm`: `limit
  /// / (norm + 1e-6)` if that is below 1, else 1. A limit of 0 turns clipping off.
  package static func coefficient(norm: Float, limit: Float) -> Float {
    guard limit > 0 else { return 1 }
    return min(1, limit / (norm + 1e-6))
  }
}
