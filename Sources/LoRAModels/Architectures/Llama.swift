public import LoRAAutograd
public import LoRAFormats
public import LoRATensor

// The Llama architecture and its relatives that differ in biases and windows: Llama 2 and 3,
// Mistral, Qwen2. B is the batch, T the positions, C the hidden size, H and K the numbers of heads
// and of key heads, D the size of a head.

/// A decoder of the Llama family with its output head.
public final class LlamaModel: PretrainedLanguageModel {
  /// The shape and the options that the model was made with.
  public let configuration: ModelConfiguration
  let body: LlamaBody
  /// The output head; shares the embedding's table if the configuration ties them.
  public let head: any LinearLayer

  init(configuration: ModelConfiguration, body: LlamaBody, head: any LinearLayer) {
    self.configuration = configuration
    self.body = body
    self.head = head
  }

  /// The names of Hugging Face checkpoints.
  public var children: Named<any Module> { ["model": body, "lm_head": head] }
  /// The number of token ids.
  public var vocabularySize: Int { configuration.vocabularySize }
  /// The longest sequence.
  public var maximumPositions: Int { configuration.maximumPositions }
  /// The number of blocks.
  public var layerCount: Int { configuration.layerCount }

  /// The hidden states after the last norm, `[batch, positions, hiddenSize]`.
  public func hiddenStates(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    body(tokens, cache: cache)
  }
}

/// Everything below the output head.
final class LlamaBody: Module {
  let embedding: Embedding
  let blocks: [LlamaBlock]
  let norm: RMSNorm

  init(embedding: Embedding, blocks: [LlamaBlock], norm: RMSNorm) {
    self.embedding = embedding
    self.blocks = blocks
    self.norm = norm
  }

  var children: Named<any Module> {
    ["embed_tokens": embedding] + .list("layers", blocks) + ["norm": norm]
  }

  /// Tokens `[B, T]` to hidden states `[B, T, C]`.
  func callAsFunction(_ tokens: Tensor, cache: KeyValueCache?) -> Variable {
    if let cache, !GradientMode.isRecording, let hidden = decode(tokens, cache: cache) {
      return Variable(hidden)
    }
    let positions = tokens.shape[1]
    var x = embedding(tokens)
    for (index, block) in blocks.enumerated() {
      // The last block would be computed again at once: keeping it costs no memory.
      if cache == nil, index + 1 < blocks.count {
        x = block.checkpointed(x) { block($0, cache: nil, layer: index) }
      } else {
        x = block(x, cache: cache, layer: index)
      }
    }
    cache?.advance(by: positions)
    return norm(x)
  }
}

/// One layer: attention and a gated MLP, each after a norm and added to its input.
final class LlamaBlock: Module {
  let attentionNorm: RMSNorm
  let attention: LlamaAttention
  let mlpNorm: RMSNorm
  let mlp: GatedMLP

  init(attentionNorm: RMSNorm, attention: LlamaAttention, mlpNorm: RMSNorm, mlp: GatedMLP) {
    self.attentionNorm = attentionNorm
    self.attention = attention
    self.mlpNorm = mlpNorm
    self.mlp = mlp
  }

  var children: Named<any Module> {
    [
      "input_layernorm": attentionNorm, "self_attn": attention,
      "post_attention_layernorm": mlpNorm, "mlp": mlp,
    ]
  }

  func callAsFunction(_ x: Variable, cache: KeyValueCache?, layer: Int) -> Variable {
    let attended = x + attention(attentionNorm(x), cache: cache, layer: layer)
    return attended + mlp(mlpNorm(attended))
  }
}

/// Causal self-attention with grouped heads, rotary positions and an optional window.
final class LlamaAttention: Module {
  let query: Linear
  let key: Linear
  let value: Linear
  let output: Linear
  let headSize: Int
  let window: Int?
  let rotary: RotaryTable

  init(
    query: Linear, key: Linear, value: Linear, output: Linear, headSize: Int, window: Int?,
    rotary: RotaryTable
  ) {
    self.query = query
    self.key = key
    self.value = value
    self.output = output
    self.headSize = headSize
    self.window = window
    self.rotary = rotary
  }

  var children: Named<any Module> {
    ["q_proj": query, "k_proj": key, "v_proj": value, "o_proj": output]
  }

  func callAsFunction(_ x: Variable, cache: KeyValueCache?, layer: Int) -> Variable {
    let (batch, positions) = (x.shape[0], x.shape[1])
    func heads(_ x: Variable) -> Variable {
      x.reshaped(to: [batch, positions, x.shape[2] / headSize, headSize])
    }
    let (q, k, v) = (heads(query(x)), heads(key(x)), heads(value(x)))
    let y: Variable
    if let cache {
      y = cache.attention(q, k, v, layer: layer, window: window) { x, positions in
        x.rotated(by: rotary(positions))
      }
    } else {
      let angles = rotary(0..<positions)
      y = q.rotated(by: angles).attention(keys: k.rotated(by: angles), values: v, window: window)
    }
    return output(y.reshaped(to: [batch, positions, y.shape[2] * headSize]))
  }
}

/// `down(activation(gate(x)) * up(x))`.
final class GatedMLP: Module {
  let gate: Linear
  let up: Linear
  let down: Linear
  let activation: Activation

  init(gate: Linear, up: Linear, down: Linear, activation: Activation) {
    self.gate = gate
    self.up = up
    self.down = down
    self.activation = activation
  }

  var children: Named<any Module> { ["gate_proj": gate, "up_proj": up, "down_proj": down] }

  func callAsFunction(_ x: Variable) -> Variable {
    down(gate(x).gated(activation, by: up(x)))
  }
}
