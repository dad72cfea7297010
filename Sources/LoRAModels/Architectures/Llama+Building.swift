import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension LlamaModel {
  /// Creates a model with random weights: matrices normal with `standardDeviation`, norms one,
  /// biases zero, as transformers initializes them. Every parameter is trainable.
  public convenience init(
    randomFor configuration: ModelConfiguration, standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws {
    try self.init(
      configuration, source: .random(standardDeviation: standardDeviation, seed: seed))
  }

  /// Builds the layers, asking `source` for each parameter under its checkpoint name.
  convenience init(_ c: ModelConfiguration, source: ParameterSource) throws {
    let activation = try Activation(named: c.hiddenActivation, key: "hidden_act")
    func linear(_ path: String, _ inner: Int, _ out: Int, bias: Bool) throws -> Linear {
      Linear(
        weight: try source.parameter("\(path).weight", [out, inner]),
        bias: bias ? try source.parameter("\(path).bias", [out]) : nil)
    }
    func norm(_ path: String) throws -> RMSNorm {
      RMSNorm(
        weight: try source.parameter("\(path).weight", [c.hiddenSize]),
        epsilon: Float(c.normEpsilon))
    }
    let rotary = RotaryTable(c.rotary, headSize: c.headSize)
    let (size, queries, keys) = (
      c.hiddenSize, c.headCount * c.headSize, c.keyValueHeadCount * c.headSize
    )
    let table = try source.parameter("model.embed_tokens.weight", [c.vocabularySize, size])
    let blocks = try (0..<c.layerCount).map { index in
      let path = "model.layers.\(index)"
      let attention = "\(path).self_attn"
      return LlamaBlock(
        attentionNorm: try norm("\(path).input_layernorm"),
        attention: LlamaAttention(
          query: try linear("\(attention).q_proj", size, queries, bias: c.attentionBias),
          key: try linear("\(attention).k_proj", size, keys, bias: c.attentionBias),
          value: try linear("\(attention).v_proj", size, keys, bias: c.attentionBias),
          output: try linear("\(attention).o_proj", queries, size, bias: c.attentionOutputBias),
          headSize: c.headSize, window: c.slidingWindows[index], rotary: rotary),
        mlpNorm: try norm("\(path).post_attention_layernorm"),
        mlp: GatedMLP(
          gate: try linear("\(path).mlp.gate_proj", size, c.intermediateSize, bias: c.mlpBias),
          up: try linear("\(path).mlp.up_proj", size, c.intermediateSize, bias: c.mlpBias),
          down: try linear("\(path).mlp.down_proj", c.intermediateSize, size, bias: c.mlpBias),
          activation: activation))
    }
    let body = LlamaBody(
      embedding: Embedding(weight: table), blocks: blocks, norm: try norm("model.norm"))
    let head: any LinearLayer =
      c.tiesWordEmbeddings
      ? TiedHead(table: table) : try linear("lm_head", size, c.vocabularySize, bias: false)
    self.init(configuration: c, body: body, head: head)
  }
}
