public import LoRATensor

// What adapters do to a layer's weight W [out, in]. r is a rank, s a scale. Weights of convolutions
// are [out, in, height, width], and their factors have those two extents more.

/// What an adapter does to one layer, by the kind of its factors.
public enum LayerChange: Sendable {
  /// LoRA, rsLoRA, DoRA, LoCon: W + s B A.
  case lowRank(LowRankChange)
  /// LoHa: W + s (B₁ A₁) ⊙ (B₂ A₂).
  case hadamard(HadamardChange)
  /// LoKr: W + s C₁ ⊗ C₂.
  case kronecker(KroneckerChange)
  /// IA3: inputs or outputs times a vector.
  case scaling(ScalingChange)

  /// The kind as people call it: "LoRA", "DoRA", "LoHa", "LoKr", "IA3".
  public var methodName: String {
    switch self {
    case .lowRank(let change): change.magnitude == nil ? "LoRA" : "DoRA"
    case .hadamard: "LoHa"
    case .kronecker: "LoKr"
    case .scaling: "IA3"
    }
  }

  /// The tensors with names for messages.
  public var tensors: [(name: String, tensor: Tensor)] {
    switch self {
    case .lowRank(let change):
      [("A", change.a), ("B", change.b)] + named("the middle factor", change.middle)
        + named("the bias", change.bias) + named("the magnitude", change.magnitude)
    case .hadamard(let change):
      [
        ("w1_a", change.b1), ("w1_b", change.a1), ("w2_a", change.b2), ("w2_b", change.a2),
      ] + named("t1", change.t1) + named("t2", change.t2)
    case .kronecker(let change):
      change.first.tensors("w1") + change.second.tensors("w2")
        + named("dora_scale", change.magnitude)
    case .scaling(let change): [("the scaling", change.vector)]
    }
  }

  /// See ``AdapterDescription/Layer/hasNoEffect``.
  public var hasNoEffect: Bool {
    switch self {
    case .lowRank(let change): change.hasNoEffect
    case .hadamard(let change):
      change.magnitude == nil
        && (isNothing(change.scale)
          || [change.a1, change.b1, change.a2, change.b2, change.t1, change.t2]
            .contains { $0?.isZero ?? false })
    case .kronecker(let change):
      change.magnitude == nil
        && (isNothing(change.scale) || change.first.isZero || change.second.isZero)
    case .scaling(let change):
      change.vector.withUnsafeElements(of: Float.self) { $0.allSatisfy { $0 == 1 } }
    }
  }
}

/// W + s B A, with what its relatives add.
public struct LowRankChange: Sendable {
  /// A, [r, in], float32; of a convolution [r, in, height, width]; of an embedding [r, vocabulary].
  public var a: Tensor
  /// B, [out, r], float32; of a convolution [out, r, 1, 1]; of an embedding [size, r].
  public var b: Tensor
  /// The core of a convolution in Tucker form, [r, r, height, width]; A is then [r, in, 1, 1].
  public var middle: Tensor?
  /// The alpha that the scale comes from.
  public var alpha: Double
  /// s, what the product of the factors is multiplied by.
  public var scale: Double
  /// A bias of B, [out]: s times it is added to the outputs (`lora_bias`).
  public var bias: Tensor?
  /// DoRA's magnitudes: what the norms of W + s B A are replaced by, one an output, [out]; or one an
  /// input, [1, in], as some LyCORIS files have them.
  public var magnitude: Tensor?
  /// Whether the layer is an embedding, whose table is the transpose [vocabulary, size] of W.
  public var isEmbedding: Bool

  /// Creates a change. Traps if the factors do not fit each other.
  public init(
    a: Tensor, b: Tensor, middle: Tensor? = nil, alpha: Double, scale: Double,
    bias: Tensor? = nil, magnitude: Tensor? = nil, isEmbedding: Bool = false
  ) {
    require(
      a.shape.count >= 2 && a.shape.count == b.shape.count && a.shape[0] == b.shape[1],
      "factors \(a.shape) and \(b.shape): expected [rank, in, ...] and [out, rank, ...]")
    self.a = a
    self.b = b
    self.middle = middle
    self.alpha = alpha
    self.scale = scale
    self.bias = bias
    self.magnitude = magnitude
    self.isEmbedding = isEmbedding
  }

  /// The rank.
  public var rank: Int { a.shape[0] }
  /// The extent of the layer's inputs.
  public var inputSize: Int { a.shape[1] }
  /// The extent of the layer's outputs.
  public var outputSize: Int { b.shape[0] }
  /// Whether a layer computes the same without it; false where only the base could tell.
  public var hasNoEffect: Bool {
    magnitude == nil && (bias?.isZero ?? true)
      && (isNothing(scale) || b.isZero || a.isZero || (middle?.isZero ?? false))
  }

  /// Whether nothing but A, B and the scale belongs to it.
  public var isPlain: Bool {
    middle == nil && bias == nil && magnitude == nil && !isEmbedding && a.shape.count == 2
  }
}

/// W + s (B₁ A₁) ⊙ (B₂ A₂), the product taken element by element.
///
/// Source: Hyeon-Woo et al., *FedPara*, 2022; LyCORIS calls it LoHa.
public struct HadamardChange: Sendable {
  /// B₁, [out, r] (`hada_w1_a`).
  public var b1: Tensor
  /// A₁, [r, in] (`hada_w1_b`).
  public var a1: Tensor
  /// B₂, [out, r] (`hada_w2_a`).
  public var b2: Tensor
  /// A₂, [r, in] (`hada_w2_b`).
  public var a2: Tensor
  /// The cores of a convolution in Tucker form, [r, r, height, width]; B₁ and B₂ are then [r, out].
  public var t1: Tensor?
  /// The second core.
  public var t2: Tensor?
  /// The alpha that the scale comes from.
  public var alpha: Double
  /// s.
  public var scale: Double
  /// `dora_scale`: see ``LowRankChange/magnitude``.
  public var magnitude: Tensor?

  /// Creates a change.
  public init(
    b1: Tensor, a1: Tensor, b2: Tensor, a2: Tensor, t1: Tensor? = nil, t2: Tensor? = nil,
    alpha: Double, scale: Double, magnitude: Tensor? = nil
  ) {
    self.b1 = b1
    self.a1 = a1
    self.b2 = b2
    self.a2 = a2
    self.t1 = t1
    self.t2 = t2
    self.alpha = alpha
    self.scale = scale
    self.magnitude = magnitude
  }

  /// The rank.
  public var rank: Int { a1.shape[0] }
}

/// W + s C₁ ⊗ C₂, the Kronecker product of two matrices, either of which may be a product itself.
///
/// Source: Yeh et al., *Navigating text-to-image customization* (LyCORIS), 2024.
public struct KroneckerChange: Sendable {
  /// One of the two matrices.
  public enum Factor: Sendable {
    /// As it is, [m, n].
    case whole(Tensor)
    /// A product of [m, r] and [r, n].
    case product(Tensor, Tensor)
    /// A product of [r, m], [r, n] and a core [r, r, height, width].
    case tucker(Tensor, Tensor, core: Tensor)

    var isZero: Bool {
      switch self {
      case .whole(let c): c.isZero
      case .product(let a, let b): a.isZero || b.isZero
      case .tucker(let a, let b, let core): a.isZero || b.isZero || core.isZero
      }
    }

    func tensors(_ name: String) -> [(name: String, tensor: Tensor)] {
      switch self {
      case .whole(let c): [(name, c)]
      case .product(let a, let b): [("\(name)_a", a), ("\(name)_b", b)]
      case .tucker(let a, let b, let core):
        [("\(name)_a", a), ("\(name)_b", b), ("\(name.replacing("w", with: "t"))", core)]
      }
    }
  }

  /// C₁ (`lokr_w1` or `lokr_w1_a`, `lokr_w1_b`).
  public var first: Factor
  /// C₂ (`lokr_w2`, or `lokr_w2_a`, `lokr_w2_b` and perhaps `lokr_t2`).
  public var second: Factor
  /// The rank that the file or its configuration names; nil where both factors are whole.
  public var rank: Int?
  /// The alpha that the scale comes from.
  public var alpha: Double
  /// s; 1 in LyCORIS where both factors are whole.
  public var scale: Double
  /// `dora_scale`: see ``LowRankChange/magnitude``.
  public var magnitude: Tensor?

  /// Creates a change.
  public init(
    first: Factor, second: Factor, rank: Int?, alpha: Double, scale: Double,
    magnitude: Tensor? = nil
  ) {
    self.first = first
    self.second = second
    self.rank = rank
    self.alpha = alpha
    self.scale = scale
    self.magnitude = magnitude
  }
}

/// Inputs or outputs of a layer times a vector (IA3).
///
/// Source: Liu et al., *Few-shot parameter-efficient fine-tuning is better and cheaper than
/// in-context learning*, 2022.
public struct ScalingChange: Sendable {
  /// The factors, [out], or [in] where they scale inputs.
  public var vector: Tensor
  /// Whether inputs are scaled, as IA3 does in feed-forward modules, rather than outputs.
  public var scalesInput: Bool

  /// Creates a change.
  public init(vector: Tensor, scalesInput: Bool) {
    self.vector = vector
    self.scalesInput = scalesInput
  }
}

/// Whether a scale is zero in float32, which programs multiply with.
private func isNothing(_ scale: Double) -> Bool { Float(scale) == 0 }

private func named(_ name: String, _ tensor: Tensor?) -> [(name: String, tensor: Tensor)] {
  tensor.map { [(name, $0)] } ?? []
}

extension Tensor {
  /// Whether every float32 element is zero. Stops at the first that is not.
  var isZero: Bool {
    withUnsafeElements(of: Float.self) { elements in elements.allSatisfy { $0 == 0 } }
  }
}
