public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

// GPT-2: norms before attention and MLP, learned positions, one projection for queries, keys and
// values, linear layers stored transposed. B is the batch, T the positions, C the hidden size, H the
// number of heads, D the size of a head.
//
// Source: Radford et al., *Language models are unsupervised multitask learners*, 2019; the names and
// options are those of transformers.

/// A GPT-2 with its output head.
public final class GPT2Model: PretrainedLanguageModel {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  private let body: GPT2Body
  /// The output head; shares the embedding's table if the configuration ties them.
  public let head: any LinearLayer

  init(configuration: ModelConfiguration, body: GPT2Body, head: any LinearLayer) {
    self.configuration = configuration
    self.body = body
    self.head = head
  }

  /// The names of Hugging Face checkpoints.
  public var children: Named<any Module> { ["transformer": body, "lm_head": head] }
  /// The number of token ids.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// The longest sequence: a later position has no vector.
  public var maximumPositions: Int { configuration.maximumPositions }
  /// The number of blocks.
  public var layerCount: Int { configuration.layerCount }

  /// The hidden states after the last norm, `[batch, positions, hiddenSize]`.
  public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    body(tokens, cache: cache)
  }
}

/// Everything below the output head.
final class GPT2Body: Module {
  let tokens: Embedding
  let positions: Embedding
  let blocks: [GPT2Block]
  let norm: LayerNorm

  init(tokens: Embedding, positions: Embedding, blocks: [GPT2Block], norm: LayerNorm) {
    self.tokens = tokens
    self.positions = positions
    self.blocks = blocks
    self.norm = norm
  }

  var children: Named<any Module> {
    ["wte": tokens, "wpe": positions] + .list("h", blocks) + ["ln_f": norm]
  }

  /// Tokens `[B, T]` to hidden states `[B, T, C]`.
  func callAsFunction(_ ids: Tensor, cache: KeyValueCache?) -> Variable {
    let (batch, count) = (ids.shape[0], ids.shape[1])
    // A position for every token: rows of the batch may have adapters of their own, and sequences of
    // a cache differ in length.
    let starts = cache?.counts ?? Array(repeating: 0, count: batch)
    let places = starts.flatMap { ($0..<$0 + count).map(Int64.init) }
    var x = tokens(ids) + positions(Tensor(places, shape: ids.shape))
    for (index, block) in blocks.enumerated() {
      // The last block would be computed again at once: keeping it costs no memory.
      if cache == nil, index + 1 < blocks.count {
        x = block.checkpointed(x) { block($0, cache: nil, layer: index) }
      } else {
        x = block(x, cache: cache, layer: index)
      }
    }
    cache?.advance(by: count)
    return norm(x)
  }
}

/// One layer: attention and an MLP, each after a norm and added to its input.
final class GPT2Block: Module {
  let attentionNorm: LayerNorm
  let attention: GPT2Attention
  let mlpNorm: LayerNorm
  let mlp: GPT2MLP

  init(attentionNorm: LayerNorm, attention: GPT2Attention, mlpNorm: LayerNorm, mlp: GPT2MLP) {
    self.attentionNorm = attentionNorm
    self.attention = attention
    self.mlpNorm = mlpNorm
    self.mlp = mlp
  }

  var children: Named<any Module> {
    ["ln_1": attentionNorm, "attn": attention, "ln_2": mlpNorm, "mlp": mlp]
  }

  func callAsFunction(_ x: Variable, cache: KeyValueCache?, layer: Int) -> Variable {
    let attended = x + attention(attentionNorm(x), cache: cache, layer: layer)
    return attended + mlp(mlpNorm(attended))
  }
}

/// Causal self-attention, queries, keys and values by one projection.
final class GPT2Attention: Module {
  let input: Conv1D
  let output: Conv1D
  let headSize: Int
  /// What scores are multiplied by.
  let scale: Float

  init(input: Conv1D, output: Conv1D, headSize: Int, scale: Float) {
    self.input = input
    self.output = output
    self.headSize = headSize
    self.scale = scale
  }

  var children: Named<any Module> { ["c_attn": input, "c_proj": output] }

  func callAsFunction(_ x: Variable, cache: KeyValueCache?, layer: Int) -> Variable {
    let (batch, positions, size) = (x.shape[0], x.shape[1], x.shape[2])
    let projected = input(x)
    func heads(_ part: Int) -> Variable {
      projected.sliced(axis: 2, part * size..<(part + 1) * size)
        .reshaped(to: [batch, positions, size / headSize, headSize])
    }
    let (q, k, v) = (heads(0), heads(1), heads(2))
    let y =
      cache?.attention(q, k, v, layer: layer, scale: scale)
      ?? q.attention(keys: k, values: v, scale: scale)
    return output(y.reshaped(to: [batch, positions, size]))
  }
}

/// `c_proj(activation(c_fc(x)))`.
final class GPT2MLP: Module {
  let up: Conv1D
  let down: Conv1D
  let activation: Activation

  init(up: Conv1D, down: Conv1D, activation: Activation) {
    self.up = up
    self.down = down
    self.activation = activation
  }

  var children: Named<any Module> { ["c_fc": up, "c_proj": down] }

  func callAsFunction(_ x: Variable) -> Variable { down(up(x)(activation)) }
}
