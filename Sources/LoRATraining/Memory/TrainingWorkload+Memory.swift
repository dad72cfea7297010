import LoRAArchitectures
import LoRAAutograd
import LoRAModels
import LoRATensor

// A sum of what the modules say that they keep; the tests compare it with the pool's counts.

extension TrainingWorkload {
  /// The memory of a training run at its peak, to within 10 % of what the operating system reports.
  ///
  /// Time: microseconds a layer. Longer batches than described need more, shorter ones less.
  public var memory: TrainingMemory {
    let plan = WorkloadLayout(self)
    var memory = TrainingMemory(
      weights: plan.weightBytes, trained: plan.trainedBytes, activations: plan.activationBytes,
      loss: plan.lossBytes, scratch: plan.scratchBytes, shared: plan.sharedBytes,
      // Code and libraries about 30, and what `lora` reads settings, tokenizers and data with.
      process: 36 << 20)
    // While parameters are updated there are no activations, and the peak may be then.
    let updating = memory.weights + memory.trained + optimizerScratch + memory.process
    memory.scratch += max(0, updating - memory.total)
    return memory
  }

  /// The number of parameters that are trained.
  package var trainedCount: Int { WorkloadLayout(self).trainedCount }
}

/// A workload and the layers that it runs through, without their numbers.
private struct WorkloadLayout {
  let workload: TrainingWorkload
  private let blocks: [Block]
  private let blockInputs: BlockInputs?
  /// How many of the blocks, the first ones, are an encoder's beside a decoder.
  private let encoderCount: Int
  private let isLanguageModel: Bool
  /// The blocks of which something is trained that is no linear layer, as a norm.
  private var otherBlocks: Set<Int> = []
  private let parameterCount: Int
  private let training: TrainedLayers
  /// The numbers of the low-rank factors of the blocks' layers.
  private let factorCount: Int

  init(_ workload: TrainingWorkload) {
    self.workload = workload
    // A configuration that makes no model has nothing that could be trained.
    let model = try? workload.configuration.modelOfShapes()
    parameterCount = model?.parameterCount ?? 0
    isLanguageModel = model is any LanguageModel
    blocks = model?.allBlocks ?? []
    blockInputs = model?.body.blockInputs
    encoderCount = model?.encoder?.blocks.count ?? 0
    var layers: [ObjectIdentifier: TrainedLayers.Layer] = [:]
    var changes: [ObjectIdentifier: TrainedLayers.Change] = [:]
    var count = 0
    if case .adapter(let ranks) = workload.target, let model {
      let inBlocks = Set(blocks.flatMap { $0.linearLayers.map { ObjectIdentifier($0) } })
      for (path, layer) in model.linearLayers() where inBlocks.contains(ObjectIdentifier(layer)) {
        let rank = ranks[path] ?? 0
        let kept = workload.keptWidths[path] ?? 0
        layers[ObjectIdentifier(layer)] = .init(rank: rank, keptWidth: kept)
        count += rank * (layer.inputSize + layer.outputSize)
      }
      let linear = Set(model.linearLayers().map(\.path))
      let places = Dictionary(
        uniqueKeysWithValues: blocks.enumerated().map { (ObjectIdentifier($1), $0) })
      for (path, module) in model.modules() {
        guard let index = places[ObjectIdentifier(module)] else { continue }
        if ranks.keys.contains(where: { $0.hasPrefix(path + ".") && !linear.contains($0) }) {
          otherBlocks.insert(index)
        }
        if let parts = workload.changedParts[path] {
          changes[ObjectIdentifier(module)] = TrainedLayers.Change(
            parts: parts, keptWidth: workload.keptWidths[path] ?? 0)
        }
      }
    }
    training = TrainedLayers(
      isFull: workload.target == .full, layers: layers, blocks: changes,
      hasPrefix: workload.prefixLength > 0)
    factorCount = count
  }

  private var c: ModelConfiguration { workload.configuration }
  /// The positions of a sequence, those of virtual tokens that pass through the model too.
  private var positions: Int { workload.length + workload.promptLength }
  private var tokens: Int { workload.batchSize * positions }

  /// The tokens that an encoder beside a decoder reads.
  private var sourceTokens: Int {
    encoderCount == 0
      ? 0 : workload.batchSize * min(workload.length, workload.sourceLength ?? workload.length / 2)
  }

  /// The tokens that pass through a block.
  private func tokens(ofBlock index: Int) -> Int {
    index < encoderCount ? sourceTokens : tokens - sourceTokens
  }

  /// A buffer of `width` float32 numbers for each of so many tokens, or all, as the pool rounds it.
  private func buffer(_ width: Int, _ count: Int? = nil) -> Int {
    let bytes = (count ?? tokens) * width * MemoryLayout<Float>.stride
    return bytes == 0 ? 0 : BufferPool.rounded(bytes)
  }

  private func buffers(_ widths: [Int], _ count: Int) -> Int {
    widths.reduce(0) { $0 + buffer($1, count) }
  }

  var weightBytes: Int {
    let type = training.isFull ? DType.float32 : workload.weightType
    return type.byteCount(ofElements: parameterCount) + workload.otherWeightBytes
  }

  var trainedCount: Int {
    training.isFull ? parameterCount : factorCount + workload.otherTrainedCount
  }

  var trainedBytes: Int {
    // The gradient, an adapter's values, what the optimizer remembers, and values that are held.
    let copies = (training.isFull ? 1 : 2) + workload.heldCopies
    let numbers = MemoryLayout<Float>.stride * trainedCount
    return copies * numbers + (workload.optimizerBytes ?? 2 * numbers)
  }

  // MARK: Activations

  private var firstTrainedBlock: Int {
    if workload.isEmbeddingTrained || training.hasPrefix { return 0 }
    return blocks.indices.first { index in
      otherBlocks.contains(index) || training.changes(blocks[index])
        || training.contains(blocks[index].linearLayers)
    } ?? blocks.count
  }

  var activationBytes: Int {
    let first = firstTrainedBlock
    let kept = blocks.indices.dropFirst(first).map { index in
      // A norm in a block counts as if the block's input was trained: at most what it reads more.
      // Of what an encoder makes of its source a decoder's first block knows nothing yet.
      let flowsIn =
        training.isFull || workload.isEmbeddingTrained
        || index > first && index != encoderCount
        || otherBlocks.contains(index)
      let sourceFlows =
        training.isFull || workload.isEmbeddingTrained || first < encoderCount
      let block = blocks[index]
      return buffers(
        block.keptWidths(flowsIn: flowsIn, sourceFlows: sourceFlows, training),
        tokens(ofBlock: index))
        + buffers(
          block.keptSourceWidths(flowsIn: flowsIn, sourceFlows: sourceFlows, training),
          sourceTokens) + prefixBytes
    }
    // The input of the last norm, of both stacks, and what all cross attention reads.
    let last =
      kept.isEmpty
      ? 0
      : buffer(c.hiddenSize) + buffer(c.hiddenSize, sourceTokens) + buffers(besideWidths, tokens)
    guard workload.isCheckpointed, kept.count > 1 else { return kept.reduce(last, +) }
    // The inputs of all, and the inside of one.
    let inputs = blocks.indices.dropFirst(first + 1).reduce(0) {
      let count = tokens(ofBlock: $1)
      return $0 + buffer(c.hiddenSize, count) + buffer(blockInputs?.size ?? 0, count)
    }
    return last + inputs + (kept.max() ?? 0) + buffers(sharedWidths, tokens)
  }

  /// What is kept of the vectors that are the blocks' own.
  private var besideWidths: [Int] { blockInputs?.keptWidths(training) ?? [] }

  /// The keys and values that blocks read of others, beside what made them.
  private var sharedWidths: [Int] {
    Set(blocks.compactMap(\.keySource)).flatMap { [blocks[$0].keyWidth, blocks[$0].keyWidth] }
  }

  /// Keys and values before those of the tokens, in one block.
  private var prefixBytes: Int {
    2 * workload.batchSize * workload.prefixLength * c.keyValueHeadCount * c.headSize
      * MemoryLayout<Float>.stride
  }

  // MARK: While something runs

  var lossBytes: Int {
    guard isLanguageModel else {
      // A sequence's logits are few; those of tokens are as many as there are, and so is their gradient.
      return buffer(c.hiddenSize) + (c.classifierKind == .tokens ? 2 * buffer(c.labels.count) : 0)
    }
    // The logits and their gradient, and the gradient of the hidden states.
    if workload.formsLogits {
      return (workload.hasTeacher ? 4 : 2) * buffer(c.vocabularySize)
        + (workload.hasTeacher ? 4 : 2) * buffer(c.hiddenSize)
    }
    // The last virtual token predicts the first of the others; nothing predicts a source.
    let predicting =
      workload.batchSize * (workload.length + (workload.promptLength > 0 ? 1 : 0)) - sourceTokens
    let chunk = lossChunkRows(rows: predicting, vocabulary: c.vocabularySize) * c.vocabularySize
    // A teacher's chunk, and its hidden states, whole and where there are targets.
    return (workload.hasTeacher ? 2 : 1) * BufferPool.rounded(chunk * MemoryLayout<Float>.stride)
      + (workload.hasTeacher ? 5 : 2) * buffer(c.hiddenSize)
  }

  /// What is needed at once is less than all of it: while there are logits, no block has been
  /// differentiated, and no gradient is there but the head's; at the end of the backward pass there are all
  /// gradients and no activations. What is needed between changes evenly from the one to the other.
  var sharedBytes: Int {
    let gradients = MemoryLayout<Float>.stride * trainedCount
    let early = workload.accumulates ? gradients : headGradientBytes
    let beginning = activationBytes + early + max(lossBytes + panelBytes, scratchBytes)
    return activationBytes + lossBytes + scratchBytes + gradients
      - max(beginning, gradients + scratchBytes)
  }

  /// The gradients that come before those of the blocks' layers: the head's, a tied one's too. Whether
  /// others outside of the blocks come before or after is not looked at.
  private var headGradientBytes: Int {
    let count =
      training.isFull
      ? (isLanguageModel ? c.vocabularySize * c.hiddenSize : 0) : workload.otherTrainedCount
    return MemoryLayout<Float>.stride * count
  }

  /// Panels of products and tiles of attention, a set for each thread, and what an adapter or a quantized
  /// weight needs while it is computed.
  private var panelBytes: Int {
    let widest = max(c.intermediateSize, c.hiddenSize)
    let panel =
      (256 + 128 * Threads.count) * widest + Threads.count * 2 * 64
      * (positions + workload.prefixLength + 1)
    return (panel + workload.adapterScratch) * MemoryLayout<Float>.stride + workload.widenedBytes
  }

  var scratchBytes: Int {
    let block =
      blocks.enumerated().map { buffers($1.scratchWidths, tokens(ofBlock: $0)) }.max() ?? 0
    // The gradients of the source and of its keys and values.
    let source = 3 * buffer(c.hiddenSize, sourceTokens)
    // Keys and values before the tokens' are copied for every sequence; their gradients are taken apart
    // again, and each layer's is one of all layers' with zeros.
    let states = blocks.count * prefixBytes / max(1, workload.batchSize)
    return block + source + 5 * prefixBytes + 3 * states + panelBytes
  }
}
