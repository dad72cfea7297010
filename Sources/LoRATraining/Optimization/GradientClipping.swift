/// Clipping of gradients by their common norm.
public enum GradientClipping {
  /// What `torch.nn.utils.clip_grad_norm_` multiplies gradients of the common norm `norm` by:
  /// `limit / (norm + 1e-6)` where that is below 1, else 1. A limit of 0 is none.
  public static func coefficient(norm: Float, limit: Float) -> Float {
    guard limit > 0 else { return 1 }
    return min(1, limit / (norm + 1e-6))
  }
}
