public import LoRAFormats
import LoRATensor

/// A change that adapters can be made of. A method conforms its own in its file.
package protocol AttachableChange: LayerChange {
  /// An adapter that computes this change. Throws for what can't be attached at the place.
  func makeAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter
}

/// Where an adapter that is made of a change will be attached, and what it is for.
package struct AdapterPlace {
  /// The layer's path, which errors name.
  var layer = "of the adapter"
  /// The module there; nil if there is none.
  var module: (any AdaptableModule)?
  /// All layers of the adapter.
  var layers = AdaptedLayers([])
  /// Whether the place is one of a model's, so that the change may be of another kind of layer.
  var isInModel = false
  /// Whether training can go on from here; else the numbers are frozen.
  var isTrainable = false
  /// The probability that an element of the adapter's input is dropped while training.
  var dropout: Float = 0
  /// What tells this adapter's dropout draws from another's.
  var dropoutStream: UInt64 = 0

  /// The linear layer there; throws for an adapter that must know it.
  func linearLayer(for method: String) throws(AdapterError) -> any LinearLayer {
    if let layer = module as? any LinearLayer { return layer }
    throw .unsupported(layer: layer, reason: "\(method) needs a linear layer of a model")
  }

  /// Throws if the module is an embedding, for changes that files don't have of embeddings.
  func refuseEmbedding() throws(AdapterError) {
    if module is Embedding { throw .notOfEmbeddings(layer) }
  }
}

/// The layers that one adapter is made for, and what its parts share.
public final class AdaptedLayers: Sendable {
  /// The most inputs and outputs that one has.
  public let largestSizes: (inputs: Int, outputs: Int)
  private let value = Locked<(any Sendable)?>(nil)

  init(_ layers: [any AdaptableModule]) {
    let layers = layers.compactMap { $0 as? any LinearLayer }
    largestSizes = (layers.map(\.inputSize).max() ?? 0, layers.map(\.outputSize).max() ?? 0)
  }

  /// What all layers share: `given`, or what `make` made of the largest sizes when the first one asked.
  /// Throws ``AdapterError/notEnoughMemory(rank:needed:available:)`` before factors of this rank are made
  /// that the machine has no room for.
  func shared<Value: Sendable>(
    _ given: Value?, rank: Int, _ make: (_ inputs: Int, _ outputs: Int) -> Value
  ) throws(AdapterError) -> Value {
    if let given { return given }
    var demand = AdapterDemand()
    demand.add(rank: rank, inputs: largestSizes.inputs, outputs: largestSizes.outputs)
    try demand.check(limit: nil)
    return value.withLock { value in
      if let known = value as? Value { return known }
      let made = make(largestSizes.inputs, largestSizes.outputs)
      value = made
      return made
    }
  }
}

extension AdapterError {
  static func notOfEmbeddings(_ path: String) -> AdapterError {
    .unsupported(
      layer: path, reason: "files have low-rank factors of an embedding, and no other changes")
  }
}

extension LayerChange {
  /// An adapter of a linear layer that computes this change.
  ///
  /// What only other kinds of layers can have, as the factors of a convolution, is refused by name.
  ///
  /// - Parameters:
  ///   - isTrainable: whether training can go on from here; else the factors are frozen.
  ///   - dropout: the probability that an element of the adapter's input is dropped while training,
  ///     for the methods that have that.
  ///   - dropoutStream: what tells this adapter's dropout draws from another's.
  ///   - layer: the layer's path, which errors name.
  /// - Throws: ``AdapterError/unsupported(layer:reason:)`` for what can't be attached to a linear
  ///   layer, ``AdapterError/shapeMismatch(layer:expected:found:)`` for factors that do not fit each
  ///   other.
  public func makeAdapter(
    isTrainable: Bool = false, dropout: Float = 0, dropoutStream: UInt64 = 0,
    layer: String = "of the adapter"
  ) throws(AdapterError) -> any LinearAdapter {
    try makeAnyAdapter(
      at: AdapterPlace(
        layer: layer, isTrainable: isTrainable, dropout: dropout, dropoutStream: dropoutStream))
  }

  func makeAnyAdapter(at place: AdapterPlace) throws(AdapterError) -> any LinearAdapter {
    guard let change = self as? any AttachableChange else {
      throw .unsupported(layer: place.layer, reason: "\(methodName) can't be attached to it")
    }
    return try change.makeAdapter(at: place)
  }
}

extension Float {
  /// The alpha that makes this the scale of factors of `rank`; whole where that is within a float32
  /// rounding.
  func alpha(rank: Int) -> Double {
    let alpha = Double(self) * Double(rank)
    return abs(alpha - alpha.rounded()) <= abs(alpha) * 1e-6 ? alpha.rounded() : alpha
  }
}

extension KeyedDecodingContainer {
  /// Reads the value of `key` into `value`, which keeps its default where the key is absent.
  func read<Value: Decodable>(_ value: inout Value, _ key: Key) throws {
    if let stored = try decodeIfPresent(Value.self, forKey: key) { value = stored }
  }
}
