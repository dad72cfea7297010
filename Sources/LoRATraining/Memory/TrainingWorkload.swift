public import LoRAArchitectures
import LoRAAutograd
public import LoRAModels
public import LoRATensor

/// What a training step of a `Transformer` computes, as far as memory depends on it.
///
/// ```swift
/// var workload = TrainingWorkload(
///   configuration, weightType: .bfloat16, training: .adapter(configuration) { _ in 16 },
///   batchSize: 1, length: 512)
/// workload.memory.total        // bytes, before any weight was read
/// workload.isCheckpointed = true
/// workload.memory.total
/// ```
public struct TrainingWorkload: Sendable, Hashable {
  /// What is trained.
  public enum Target: Sendable, Hashable {
    /// Adapters: their ranks by the paths of the adapted layers, 1 for what is not of low rank.
    case adapter(ranks: [String: Int])
    /// The model itself, in float32.
    case full

    /// An adapter of the rank that `rank` gives each linear layer but the head by its path; 0: none.
    public static func adapter(
      _ configuration: ModelConfiguration, rank: (_ path: String) -> Int
    ) -> Target {
      var ranks: [String: Int] = [:]
      if let model = try? configuration.modelOfShapes() {
        for (path, layer) in model.linearLayers()
        where layer !== model.outputHead
          && !layer.parameters.isEmpty
        {
          // Layers that stand for two others have nothing of their own.
          let rank = rank(path)
          if rank > 0 { ranks[path] = rank }
        }
      }
      return .adapter(ranks: ranks)
    }
  }

  /// The model's shape.
  public var configuration: ModelConfiguration
  /// The type of the weights in memory.
  public var weightType: DType { didSet { (otherWeightBytes, widenedBytes) = (0, 0) } }
  /// The bytes that the weights of a loaded model have beyond those of its configuration in
  /// `weightType`: biases, and in a GGUF model types that differ.
  private(set) var otherWeightBytes = 0
  /// The bytes that the quantized weights of a loaded model are widened to, a part at a time.
  private(set) var widenedBytes = 0
  /// What is trained.
  public var target: Target
  /// The number of sequences in a batch.
  public var batchSize: Int
  /// The number of positions of a sequence, padding included and virtual tokens not.
  public var length: Int
  /// How many of these are an encoder-decoder's source, which its encoder reads; nil for half of them.
  public var sourceLength: Int?
  /// The number of virtual tokens that pass through the model before each sequence: prompt tuning.
  public var promptLength = 0
  /// The number of keys and values before those of each sequence in every layer: prefix tuning.
  public var prefixLength = 0
  /// Whether blocks are computed a second time instead of being kept.
  public var isCheckpointed: Bool
  /// Whether a step adds up the gradients of several batches, so that those of the first are there while
  /// the others are computed.
  package var accumulates = false
  /// The bytes of the optimizer's state; nil for AdamW's, two numbers for each that is trained.
  package var optimizerBytes: Int?
  /// What the largest update of a parameter needs while it runs.
  package var optimizerScratch = 0
  /// How many more copies of what is trained are held, as of the best values so far.
  package var heldCopies = 0
  /// What adapters that are not of low rank keep of a token beside the rest, in numbers, by path.
  package var keptWidths: [String: Int] = [:]
  /// Which parts of blocks their own adapters change, by the blocks' paths.
  var changedParts: [String: Set<BlockEffect.Part>] = [:]
  /// What the adapter of one layer needs while it is computed, in numbers.
  package var adapterScratch = 0
  /// The numbers that are trained beside the low-rank factors of the blocks' layers: of embeddings, of
  /// the head, of modules that are replaced whole, and magnitudes.
  package var otherTrainedCount = 0
  /// Whether gradients flow down to the embedding.
  package var isEmbeddingTrained = false
  /// Whether the logits of all tokens are formed, as they are for a head that is adapted.
  package var formsLogits = false
  /// Whether a teacher's logits are formed beside the model's.
  package var hasTeacher = false

  /// Describes the training of a model that need not be loaded.
  public init(
    _ configuration: ModelConfiguration, weightType: DType, training target: Target,
    batchSize: Int, length: Int, isCheckpointed: Bool = false
  ) {
    self.configuration = configuration
    self.weightType = weightType
    self.target = target
    self.batchSize = batchSize
    self.length = length
    self.isCheckpointed = isCheckpointed
    guard case .adapter(let ranks) = target, let model = try? configuration.modelOfShapes() else {
      return
    }
    // Those of layers outside of the blocks, as an encoder's pooler.
    let factors = model.linearLayers().reduce(0) { sum, layer in
      sum + (ranks[layer.path] ?? 0) * (layer.layer.inputSize + layer.layer.outputSize)
    }
    otherTrainedCount = factors - trainedCount
  }

  /// Describes the training of `model`, or of an adapter that is attached to it.
  public init(
    _ model: any PretrainedTokenModel, training target: TrainingTarget, batchSize: Int, length: Int,
    isCheckpointed: Bool = false
  ) {
    configuration = model.configuration
    let head = model.outputHead
    weightType = head?.weight?.value.dtype ?? .float32
    switch target {
    case .full:
      self.target = .full
    case .adapter(let name):
      var ranks: [String: Int] = [:]
      let embeddings = Set(model.modules().filter { $0.module is Embedding }.map(\.path))
      // What leads from a token's vector into the first block counts as the embedding.
      let inlet = model.configuration.architecture.path(of: "project_in")
      for (path, adapter) in model.adapters(named: name) {
        if embeddings.contains(path) || path == inlet { isEmbeddingTrained = true }
        let needs = adapter.memory
        ranks[path] = max(needs.rank, ranks[path] ?? 0)
        switch withoutGradients({ adapter.effect }) {
        case .block(let effect): changedParts[path] = effect.parts
        case .virtualTokens(.embeddings(let vectors)):
          promptLength += vectors.shape[0]
          isEmbeddingTrained = true
        case .virtualTokens(.keysAndValues(let states)): prefixLength += states.shape[0]
        default: break
        }
        if needs.keptWidth > 0 { keptWidths[path, default: 0] += needs.keptWidth }
        adapterScratch = max(adapterScratch, needs.scratch)
      }
      self.target = .adapter(ranks: ranks)
    }
    self.batchSize = batchSize
    self.length = length
    self.isCheckpointed = isCheckpointed
    if case .adapter(let name) = target {
      let count = model.adapterParameters(named: name)
        .reduce(0) { $0 + $1.parameter.shape.elementCount }
      otherTrainedCount = count - trainedCount
      formsLogits = head.map { $0.slot[name] != nil || $0.bias != nil } ?? false
      let stored = model.namedParameters().reduce(0) {
        $0 + $1.parameter.value.byteCount
      }
      otherWeightBytes = stored - memory.weights
      // Each size has a buffer of its own in the pool.
      let widened = Set(
        model.namedParameters().map(\.parameter.value.widenedElementCount).filter { $0 > 0 }
          .map { BufferPool.rounded($0 * MemoryLayout<Float>.stride) })
      widenedBytes = widened.reduce(0, +)
    }
  }
}
