import LoRAJSON
public import LoRATensor

/// An adapter as data, in no file format's dialect: what it does to each layer, exactly, and what it
/// replaces of the base's own parameters.
///
/// Every reader makes one and every writer takes one, so any format converts to any other. Factors
/// keep their numbers bit for bit, widened to float32; scales are the true ones, whatever a format
/// calls alpha.
public struct AdapterDescription: Sendable {
  /// What an adapter does to one layer.
  public struct Layer: Sendable {
    /// The layer's path in the base model, as in "model.layers.0.self_attn.q_proj".
    public var path: String
    /// The factors and how they combine.
    public var change: any LayerChange
    /// The type that the factors had in their file.
    public var storedType: DType

    /// Creates the description of one layer.
    public init(path: String, change: any LayerChange, storedType: DType = .float32) {
      self.path = path
      self.change = change
      self.storedType = storedType
    }

    /// Whether the layer computes the same without the adapter. DoRA's and IA3's changes need the
    /// base to tell: of those only a change by nothing at all is known here.
    package var hasNoEffect: Bool { change.hasNoEffect }

    /// The factors of a low-rank change; nil for other kinds.
    package var lowRank: LowRankChange? { change as? LowRankChange }

    /// The number of numbers that were trained.
    package var parameterCount: Int { change.tensors.reduce(0) { $0 + $1.tensor.elementCount } }
  }

  /// A parameter of the base that the adapter brings a whole new value of: a module that PEFT saved
  /// (`modules_to_save`), a bias.
  public struct Replacement: Sendable {
    /// The parameter's path in the base model, as in "lm_head.weight".
    public var path: String
    /// The new value, of the parameter's shape, float32.
    public var value: Tensor
    /// The type that it had in its file.
    public var storedType: DType

    /// Creates a replacement.
    public init(path: String, value: Tensor, storedType: DType = .float32) {
      self.path = path
      self.value = value
      self.storedType = storedType
    }
  }

  /// New vectors of some tokens of an embedding (`trainable_token_indices`).
  public struct ReplacedTokens: Sendable {
    /// The embedding's path in the base model, as in "model.embed_tokens".
    public var path: String
    /// The tokens whose vectors are new.
    public var ids: [Int]
    /// The vectors, [ids, size], float32; they replace the table's rows.
    public var vectors: Tensor
    /// The type that they had in their file.
    public var storedType: DType

    /// Creates a replacement. Traps unless there is one vector for each token.
    public init(path: String, ids: [Int], vectors: Tensor, storedType: DType = .float32) {
      require(
        vectors.shape.count == 2 && vectors.shape[0] == ids.count,
        "vectors \(vectors.shape) of \(path) for \(ids.count) tokens")
      self.path = path
      self.ids = ids
      self.vectors = vectors
      self.storedType = storedType
    }
  }

  /// The adapted layers, ordered by path, numbers in it by their value.
  public var layers: [Layer]
  /// Parameters of the base that the adapter replaces, ordered by path.
  public var replacements: [Replacement]
  /// Token vectors of embeddings that the adapter replaces.
  public var replacedTokens: [ReplacedTokens]
  /// Parameters of the base that the file repeats unchanged, as PEFT does for the table of an
  /// embedding with an adapter, ordered by path. They change nothing; that they differ from the
  /// base's shows that the adapter was made for another one.
  public var baseCopies: [Replacement]
  /// What the file says about itself.
  public var metadata: [String: String]

  /// Creates a description; layers and replacements are put in order.
  public init(
    layers: [Layer], replacements: [Replacement] = [], replacedTokens: [ReplacedTokens] = [],
    baseCopies: [Replacement] = [], metadata: [String: String] = [:]
  ) {
    self.layers = layers.sorted { naturallyPrecedes($0.path, $1.path) }
    self.replacements = replacements.sorted { naturallyPrecedes($0.path, $1.path) }
    self.replacedTokens = replacedTokens
    self.baseCopies = baseCopies.sorted { naturallyPrecedes($0.path, $1.path) }
    self.metadata = metadata
  }

  /// Whether the model computes the same without the adapter, as it does before training. Reading
  /// allows that; the caller decides whether it makes sense.
  public var hasNoEffect: Bool {
    layers.allSatisfy(\.hasNoEffect) && replacements.isEmpty && replacedTokens.isEmpty
  }

  /// The number of numbers that were trained.
  public var parameterCount: Int {
    layers.reduce(0) { $0 + $1.parameterCount }
      + replacements.reduce(0) { $0 + $1.value.elementCount }
      + replacedTokens.reduce(0) { $0 + $1.vectors.elementCount }
  }
}

extension AdapterDescription {
  /// The same with what it says of its making.
  package func carrying(_ record: AdapterRecord?) -> AdapterDescription {
    var result = self
    result.metadata[AdapterRecord.metadataKey] = record?.json.encoded()
    return result
  }
}

extension AdapterDescription.Replacement {
  /// Whether the value is that of `base`, which may be stored in another type: then it is that,
  /// rounded.
  package func isCopy(of base: Tensor) -> Bool {
    value == base.converted(to: .float32)
      || !base.dtype.isQuantized && value.converted(to: base.dtype) == base
      || base.converted(to: storedType).converted(to: .float32) == value
  }
}

extension AdapterDescription.Layer {
  /// The layer with plain low-rank factors. Traps if they do not fit each other.
  public init(
    path: String, a: Tensor, b: Tensor, alpha: Double, scale: Double,
    storedType: DType = .float32
  ) {
    self.init(
      path: path, change: LowRankChange(a: a, b: b, alpha: alpha, scale: scale),
      storedType: storedType)
  }
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
