import LoRAFormats
import LoRATensor

// What a GPT-2 has and keeps where it differs from the Llama family.

extension TrainingWorkload {
  /// The number of parameters: matrices and biases of a block, its two norms, the two tables.
  var gpt2ParameterCount: Int {
    let block = c.projections.reduce(4 * c.hiddenSize) { sum, projection in
      let (inner, outer) = projection.extents(c)
      return sum + (inner + 1) * outer
    }
    let table = c.vocabularySize * c.hiddenSize
    return c.layerCount * block + table * (c.tiesWordEmbeddings ? 1 : 2)
      + (c.maximumPositions + 2) * c.hiddenSize
  }

  /// What a block keeps for its backward pass; nothing below the first trained one does.
  func gpt2KeptBytes(_ block: Int) -> Int {
    let isFull = target == .full
    func isAdapted(_ projection: Projection) -> Bool { isFull || rank(projection, block) > 0 }
    // The down-projected inputs.
    var bytes = c.projections.reduce(0) { $0 + factorBytes($1, block) }
    let norm = buffer(c.hiddenSize) + 2 * buffer(1)
    let flowsIn = passesGradientOn(block)
    let attends = flowsIn || isAdapted(.fused)
    if attends {
      // The norm's input, then queries, keys, values and the attention; nobody keeps what they were
      // sliced from.
      bytes += norm + 4 * buffer(c.hiddenSize) + buffer(c.headCount)
    } else if isAdapted(.fusedOutput) {
      bytes += buffer(c.hiddenSize)
    }
    if attends || isAdapted(.fusedOutput) || isAdapted(.expand) { bytes += norm }
    return bytes + buffer(c.intermediateSize)
  }
}
