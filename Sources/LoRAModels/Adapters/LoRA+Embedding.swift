import LoRAAutograd
public import LoRATensor

/// A method that can also make the adapter of an embedding.
public protocol EmbeddingAdapterMethod: AdapterMethod {
  /// Makes the adapter of `embedding`, without effect until it is trained: A `[rank, vocabulary]`,
  /// B `[size, rank]`.
  func makeAdapter(
    for embedding: Embedding, using random: inout SeededRandom
  ) throws(AdapterError) -> Adapter
}

extension LoRA: EmbeddingAdapterMethod {
  /// A fresh adapter as PEFT makes it for embeddings: A zero, B normally distributed. No dropout: an
  /// embedding has no input to drop from.
  public func makeAdapter(
    for embedding: Embedding, using random: inout SeededRandom
  ) throws(AdapterError) -> LoRAAdapter {
    try check()
    guard !hasBias else {
      throw .unsupported(layer: "of the embedding", reason: "its B has no bias, as in PEFT")
    }
    guard initialization == .kaiming || initialization == .gaussian else {
      throw .unsupported(
        layer: "of the embedding", reason: "\(initialization) is for linear layers, as in PEFT")
    }
    let (vocabulary, size) = (embedding.weight.shape[0], embedding.weight.shape[1])
    return LoRAAdapter(
      a: Parameter(.zeros([rank, vocabulary])),
      b: Parameter(random.normal([size, rank], standardDeviation: 1)), scale: scale)
  }
}
