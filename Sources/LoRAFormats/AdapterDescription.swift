public import LoRATensor

/// A LoRA adapter as data, in no file format's dialect: the factors of each adapted layer and their
/// true scale.
public struct AdapterDescription: Sendable {
  /// The factors on one layer: its weight W [out, in] acts as W + scale · B A.
  public struct LayerFactors: Sendable {
    /// The layer's path in the base model, as in "model.layers.0.self_attn.q_proj".
    public var path: String
    /// A, [rank, in], float32.
    public var a: Tensor
    /// B, [out, rank], float32.
    public var b: Tensor
    /// The alpha that the scale comes from.
    public var alpha: Double
    /// What the product of the factors is multiplied by.
    public var scale: Double
    /// The type that the factors had in their file.
    public var storedType: DType

    /// Creates the factors of one layer. Traps if they do not fit each other.
    public init(
      path: String, a: Tensor, b: Tensor, alpha: Double, scale: Double,
      storedType: DType = .float32
    ) {
      precondition(
        a.shape.count == 2 && b.shape.count == 2 && a.shape[0] == b.shape[1],
        "factors \(a.shape) and \(b.shape) of \(path): expected [rank, in] and [out, rank]")
      self.path = path
      self.a = a
      self.b = b
      self.alpha = alpha
      self.scale = scale
      self.storedType = storedType
    }

    /// The rank.
    public var rank: Int { a.shape[0] }
    /// The extent of the layer's inputs.
    public var inputSize: Int { a.shape[1] }
    /// The extent of the layer's outputs.
    public var outputSize: Int { b.shape[0] }

    /// Whether the layer computes the same without the factors: one of them or the scale is zero.
    public var hasNoEffect: Bool { scale == 0 || b.isZero || a.isZero }
  }

  /// The adapted layers, ordered by path, numbers in it by their value.
  public var layers: [LayerFactors]
  /// What the file says about itself.
  public var metadata: [String: String]

  /// Creates a description; the layers are put in order.
  public init(layers: [LayerFactors], metadata: [String: String] = [:]) {
    self.layers = layers.sorted { naturallyPrecedes($0.path, $1.path) }
    self.metadata = metadata
  }

  /// Whether the model computes the same without the adapter, as it does before training. Reading
  /// allows that; the caller decides whether it makes sense.
  public var hasNoEffect: Bool { layers.allSatisfy(\.hasNoEffect) }
}

/// Whether path `a` comes before `b` when whole numbers between dots are ordered by value.
func naturallyPrecedes(_ a: String, _ b: String) -> Bool {
  let left = a.split(separator: ".", omittingEmptySubsequences: false)
  let right = b.split(separator: ".", omittingEmptySubsequences: false)
  for (x, y) in zip(left, right) where !x.utf8.elementsEqual(y.utf8) {
    if let m = Int(x), let n = Int(y), m != n { return m < n }
    return x.utf8.lexicographicallyPrecedes(y.utf8)
  }
  return left.count < right.count
}

extension Tensor {
  /// Whether every float32 element is zero. Stops at the first that is not.
  fileprivate var isZero: Bool {
    withUnsafeElements(of: Float.self) { elements in elements.allSatisfy { $0 == 0 } }
  }
}
