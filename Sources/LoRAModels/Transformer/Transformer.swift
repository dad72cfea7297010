public import LoRAArchitectures
public import LoRAAutograd
public import LoRATensor

/// A model of any `Architecture`, built of what its `TransformerStructure` says: ``Transformer``,
/// ``TransformerClassifier``, ``TransformerTokenClassifier`` or ``TransformerEncoder``, by its head, or
/// ``TransformerEncoderDecoder``.
package protocol TransformerModel: PretrainedTokenModel {
  /// What makes hidden states; of a model of two stacks, those of the target.
  var body: TransformerBody { get }
  /// What reads the source that the other stack sees; nil for a model of one stack.
  var encoder: TransformerBody? { get }
}

/// A transformer of one stack, which virtual tokens can be put before.
package protocol OneStackTransformer: TransformerModel, VirtualTokenModel {}

extension TransformerModel {
  /// None.
  package var encoder: TransformerBody? { nil }
  /// All blocks, those of an encoder first.
  package var allBlocks: [Block] { (encoder?.blocks ?? []) + body.blocks }
}

extension TransformerModel {
  /// The number of token ids.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// The longest sequence.
  public var maximumPositions: Int { configuration.longestSequence }
  /// The number of types of tokens.
  public var typeCount: Int { body.embedding.types?.weight.shape[0] ?? 0 }
}

extension OneStackTransformer {
  /// The longest sequence, behind the prompts that apply now.
  public var maximumPositions: Int { max(0, configuration.longestSequence - promptCount) }
  /// The hidden states after the last norm, `[batch, positions, hiddenSize]`; a sequence classifier's begin
  /// with those of a prompt's virtual tokens, unless sequences are packed.
  public func hiddenStates(_ batch: TokenBatch) -> Variable { hiddenStates(batch, cache: nil) }
}

/// A decoder with its output head.
public final class Transformer: LanguageModel, OneStackTransformer {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  package let body: TransformerBody
  /// The output head; shares the embedding's table if the configuration ties them.
  public let head: any LinearLayer
  /// What logits are capped at; nil for none.
  public let logitSoftCap: Float?
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>
  /// Where adapters are attached that put virtual tokens before the model's.
  public let slot = AdapterSlot()

  init(
    configuration: ModelConfiguration, body: TransformerBody, head: any LinearLayer,
    logitSoftCap: Float?, children: Named<any Module>
  ) {
    self.configuration = configuration
    self.body = body
    self.head = head
    self.logitSoftCap = logitSoftCap
    self.children = children
  }

  /// The number of blocks.
  public var layerCount: Int { body.blocks.count }

  /// The hidden states after the last norm, `[batch, positions, hiddenSize]`.
  public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    hiddenStates(TokenBatch(tokens), cache: cache)
  }

  /// The same of whole sequences, which may be packed or padded. Behind virtual tokens each packed
  /// sequence has those before its own, and takes as long as an item padded to the longest.
  public func hiddenStates(_ batch: TokenBatch) -> Variable { hiddenStates(batch, cache: nil) }
}

/// A transformer with a head that makes logits of labels.
package protocol ClassifyingTransformer: Classifier, OneStackTransformer {
  /// Makes the logits of hidden states.
  var head: ClassificationHead { get }
}

extension ClassifyingTransformer {
  /// What the logits stand for.
  public var labels: [String] { configuration.labels }
  /// The layer that makes the logits, which ``LayerSelector/allLinear`` leaves out.
  public var outputHead: (any LinearLayer)? { head.output }
  /// The logits of labels, from the hidden states of a batch.
  ///
  /// Of a sequence behind a prompt the hidden states begin with those of the virtual tokens.
  public func logits(of hidden: Variable, _ batch: TokenBatch) -> Variable {
    head(hidden, batch, prompts: promptCounts(items: batch.tokens.shape[0]))
  }
}

/// A transformer that tells labels of a sequence apart.
public final class TransformerClassifier: SequenceClassifier, ClassifyingTransformer {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  package let body: TransformerBody
  package let head: ClassificationHead
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>
  /// Where adapters are attached that put virtual tokens before the model's.
  public let slot = AdapterSlot()

  init(
    configuration: ModelConfiguration, body: TransformerBody, head: ClassificationHead,
    children: Named<any Module>
  ) {
    self.configuration = configuration
    self.body = body
    self.head = head
    self.children = children
  }

  /// Whether a sequence may have several labels.
  public var isMultiLabel: Bool { configuration.isMultiLabel }
}

/// A transformer that tells labels of each token apart.
public final class TransformerTokenClassifier: TokenClassifier, ClassifyingTransformer {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  package let body: TransformerBody
  package let head: ClassificationHead
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>
  /// Where adapters are attached that put virtual tokens before the model's.
  public let slot = AdapterSlot()

  init(
    configuration: ModelConfiguration, body: TransformerBody, head: ClassificationHead,
    children: Named<any Module>
  ) {
    self.configuration = configuration
    self.body = body
    self.head = head
    self.children = children
  }
}

/// A transformer without a head: hidden states are what it is for.
public final class TransformerEncoder: OneStackTransformer {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  package let body: TransformerBody
  /// The names of Hugging Face checkpoints.
  public let children: Named<any Module>
  /// Where adapters are attached that put virtual tokens before the model's.
  public let slot = AdapterSlot()

  init(configuration: ModelConfiguration, body: TransformerBody, children: Named<any Module>) {
    self.configuration = configuration
    self.body = body
    self.children = children
  }
}

/// What makes logits of labels of hidden states.
package struct ClassificationHead: Sendable {
  /// What is classified of a sequence; nil: each token.
  let pooling: TransformerStructure.Classification.Pooling?
  /// The layer that comes first, and its activation.
  let dense: (layer: any LinearLayer, activation: Activation)?
  /// The norm behind its activation.
  let norm: (any Norm)?
  let output: any LinearLayer

  /// Hidden states `[B, T, C]` to logits `[B, labels]`, or `[B, T, labels]` of each token.
  ///
  /// A prompt is part of the sequence, as PEFT has it: `prompts` are the numbers of virtual tokens that
  /// the hidden states of each item begin with where a sequence is classified.
  func callAsFunction(_ hidden: Variable, _ batch: TokenBatch, prompts: [Int]) -> Variable {
    guard let pooling else { return logits(hidden) }
    let lengths = zip(batch.lengths, prompts).map { $0 + $1 }
    // [B, 1, C]: items of the batch may have adapters of their own.
    let pooled =
      pooling == .mean
      ? mean(hidden, lengths) : chosen(hidden, lengths, isFirst: pooling == .first)
    let logits = logits(pooled)
    return logits.reshaped(to: [hidden.shape[0], logits.shape.innermost])
  }

  private func logits(_ hidden: Variable) -> Variable {
    var x = hidden
    if let dense { x = dense.layer(x)(dense.activation) }
    if let norm { x = norm(x) }
    return output(x)
  }

  private func chosen(_ hidden: Variable, _ lengths: [Int], isFirst: Bool) -> Variable {
    let (items, count) = (hidden.shape[0], hidden.shape[1])
    let places = lengths.enumerated().map { item, length in
      let place = isFirst ? 0 : max(0, length - 1)
      return Int64(item * count + place)
    }
    return hidden.reshaped(to: [items * count, hidden.shape[2]])
      .gathered(Tensor(places, shape: [items, 1]))
  }

  private func mean(_ hidden: Variable, _ lengths: [Int]) -> Variable {
    let (count, size) = (hidden.shape[1], hidden.shape[2])
    let parts = lengths.enumerated().map { item, length in
      let share = Float(1) / Float(max(1, length))
      let shares = (0..<count).map { $0 < length ? share : 0 }
      return Variable(Tensor(shares, shape: [1, count])).matrixProduct(
        with: hidden.sliced(axis: 0, item..<item + 1).reshaped(to: [count, size]))
    }
    return Variable.concatenated(parts).reshaped(to: [lengths.count, 1, size])
  }
}
