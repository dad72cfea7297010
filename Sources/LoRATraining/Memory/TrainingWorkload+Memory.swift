import LoRAAutograd
import LoRAFormats
import LoRATensor

// Mirrors what the operations keep; the tests compare it with the pool's counts.

extension TrainingWorkload {
  /// The memory of a training run at its peak, to within 15 % of what the operating system reports.
  ///
  /// Time: microseconds a layer. Longer batches than described need more, shorter ones less.
  public var memory: TrainingMemory {
    TrainingMemory(
      weights: weightBytes, trained: trainedBytes, activations: activationBytes,
      loss: lossBytes, scratch: scratchBytes, process: 24 << 20)
  }

  var c: ModelConfiguration { configuration }
  private var tokens: Int { rows * length }

  /// A buffer of `width` float32 numbers a token, as the pool rounds it.
  func buffer(_ width: Int) -> Int {
    width == 0 ? 0 : BufferPool.sizeClass(tokens * width * MemoryLayout<Float>.stride)
  }

  private var parameterCount: Int {
    if c.architecture == .gpt2 { return gpt2ParameterCount }
    let block = c.projections.reduce(2 * c.hiddenSize) { sum, projection in
      let (inner, outer) = projection.extents(c)
      return sum + inner * outer
    }
    let table = c.vocabularySize * c.hiddenSize
    return c.layerCount * block + table * (c.tiesWordEmbeddings ? 1 : 2) + c.hiddenSize
  }

  private var weightBytes: Int {
    (target == .full ? DType.float32 : weightType).byteCount(ofElements: parameterCount)
      + otherWeightBytes
  }

  /// The numbers that are trained.
  var trainedCount: Int {
    switch target {
    case .full: return parameterCount
    case .adapter(let ranks):
      var count = otherTrainedCount
      for index in 0..<c.layerCount {
        for projection in c.projections {
          let (inner, outer) = projection.extents(c)
          count += (ranks[projection.path(inBlock: index)] ?? 0) * (inner + outer)
        }
      }
      return count
    }
  }

  private var trainedBytes: Int {
    // Gradient and two moments, and an adapter's values.
    (target == .full ? 3 : 4) * MemoryLayout<Float>.stride * trainedCount
  }

  // MARK: Activations

  func rank(_ projection: Projection, _ block: Int) -> Int {
    guard case .adapter(let ranks) = target else { return 0 }
    return ranks[projection.path(inBlock: block)] ?? 0
  }

  /// What the adapter of a layer keeps beside what the layer does: the down-projected inputs, and
  /// what is not of low rank.
  func factorBytes(_ projection: Projection, _ block: Int) -> Int {
    buffer(rank(projection, block))
      + buffer(keptWidths[projection.path(inBlock: block)] ?? 0)
  }

  /// Whether anything in `block` is trained.
  private func isTrained(_ block: Int) -> Bool {
    target == .full || c.projections.contains { rank($0, block) > 0 }
  }

  var firstTrainedBlock: Int {
    isEmbeddingTrained ? 0 : (0..<c.layerCount).first { isTrained($0) } ?? c.layerCount
  }

  /// Whether a gradient flows through `block` into what is below it.
  func passesGradientOn(_ block: Int) -> Bool {
    target == .full || isEmbeddingTrained || block > firstTrainedBlock
  }

  private var activationBytes: Int {
    let first = firstTrainedBlock
    let blocks = (first..<c.layerCount).map { keptBytes($0) }
    // The input of the last norm.
    let last = first < c.layerCount ? buffer(c.hiddenSize) : 0
    guard isCheckpointed, blocks.count > 1 else { return blocks.reduce(last, +) }
    // The inputs of all, and the inside of one.
    return last + (blocks.count - 1) * buffer(c.hiddenSize) + (blocks.max() ?? 0)
  }

  /// What a block keeps for its backward pass; nothing below the first trained one does.
  private func keptBytes(_ block: Int) -> Int {
    if c.architecture == .gpt2 { return gpt2KeptBytes(block) }
    let (size, queries, keys) = (
      c.hiddenSize, c.headCount * c.headSize, c.keyValueHeadCount * c.headSize
    )
    let isFull = target == .full
    func isAdapted(_ projections: Projection...) -> Bool {
      isFull || projections.contains { rank($0, block) > 0 }
    }
    // The down-projected inputs.
    var bytes = c.projections.reduce(0) { $0 + factorBytes($1, block) }
    // The first norm keeps its input if a gradient flows into the block; if not, those who read its
    // output keep that.
    let flowsIn = passesGradientOn(block)
    if flowsIn || isAdapted(.query, .key, .value) { bytes += buffer(size) + buffer(1) }
    let attends = flowsIn || isAdapted(.query, .key, .value)
    if attends {
      bytes += 2 * buffer(queries) + 2 * buffer(keys) + buffer(c.headCount)
    } else if isAdapted(.output) {
      bytes += buffer(queries)
    }
    let flowsOn = attends || isAdapted(.output)
    if flowsOn || isAdapted(.gate, .up) { bytes += buffer(size) + buffer(1) }
    if flowsOn || isAdapted(.gate, .up) {
      bytes += 2 * buffer(c.intermediateSize)
    } else {
      bytes += buffer(c.intermediateSize)
    }
    return bytes
  }

  // MARK: While something runs

  private var lossBytes: Int {
    // The logits and their gradient, and the gradient of the hidden states.
    if formsLogits { return 2 * buffer(c.vocabularySize) + 2 * buffer(c.hiddenSize) }
    let chunk = lossChunkRows(rows: tokens, vocabulary: c.vocabularySize) * c.vocabularySize
    return BufferPool.sizeClass(chunk * MemoryLayout<Float>.stride) + 2 * buffer(c.hiddenSize)
  }

  private var scratchBytes: Int {
    // The widest moment of a block's backward pass: the gate's product again and its gradient; around
    // them the gradients of the residual stream, of the norms' outputs, and of the attention.
    let queries = c.headCount * c.headSize
    let keys = c.keyValueHeadCount * c.headSize
    let block =
      2 * buffer(c.intermediateSize) + 4 * buffer(c.hiddenSize) + 2 * buffer(queries)
      + 2 * buffer(keys) + (c.architecture == .gpt2 ? buffer(3 * c.hiddenSize) : 0)
    // Panels of products and tiles of attention, a set for each thread.
    let widest = max(c.intermediateSize, c.hiddenSize)
    let panel = (256 + 128 * Threads.count) * widest + Threads.count * 2 * 64 * (length + 1)
    return block + (panel + adapterScratch) * MemoryLayout<Float>.stride
  }
}
