import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension GPT2Model {
  /// Creates a model with random weights; see
  /// ``LoRAFormats/ModelConfiguration/randomModel(standardDeviation:seed:)``.
  public convenience init(
    randomFor configuration: ModelConfiguration, standardDeviation: Float = 0.02, seed: UInt64 = 0
  ) throws {
    try self.init(
      configuration, source: .random(standardDeviation: standardDeviation, seed: seed))
  }

  /// Builds the layers, asking `source` for each parameter under its checkpoint name.
  convenience init(_ c: ModelConfiguration, source: ParameterSource) throws {
    let activation = try Activation(named: c.hiddenActivation, key: "activation_function")
    func convolution(_ path: String, _ inner: Int, _ out: Int) throws -> Conv1D {
      let bias = try source.parameter("\(path).bias", [out])
      if let weight = try source.untransposed?("\(path).weight", [out, inner]) {
        return Conv1D(weight: weight, bias: bias)
      }
      return Conv1D(
        storedWeight: try source.parameter("\(path).weight", [inner, out]), bias: bias)
    }
    func norm(_ path: String) throws -> LayerNorm {
      LayerNorm(
        weight: try source.parameter("\(path).weight", [c.hiddenSize]),
        bias: try source.parameter("\(path).bias", [c.hiddenSize]), epsilon: Float(c.normEpsilon))
    }
    let size = c.hiddenSize
    let table = try source.parameter("transformer.wte.weight", [c.vocabularySize, size])
    let positions = try source.parameter("transformer.wpe.weight", [c.maximumPositions, size])
    let blocks = try (0..<c.layerCount).map { index in
      let path = "transformer.h.\(index)"
      return GPT2Block(
        attentionNorm: try norm("\(path).ln_1"),
        attention: GPT2Attention(
          input: try convolution("\(path).attn.c_attn", size, 3 * size),
          output: try convolution("\(path).attn.c_proj", size, size), headSize: c.headSize,
          scale: c.attentionScaling.factor(headSize: c.headSize, layer: index)),
        mlpNorm: try norm("\(path).ln_2"),
        mlp: GPT2MLP(
          up: try convolution("\(path).mlp.c_fc", size, c.intermediateSize),
          down: try convolution("\(path).mlp.c_proj", c.intermediateSize, size),
          activation: activation))
    }
    let body = GPT2Body(
      tokens: Embedding(weight: table), positions: Embedding(weight: positions), blocks: blocks,
      norm: try norm("transformer.ln_f"))
    let head: any LinearLayer =
      c.tiesWordEmbeddings
      ? TiedHead(table: table)
      : Linear(weight: try source.parameter("lm_head.weight", [c.vocabularySize, size]))
    self.init(configuration: c, body: body, head: head)
  }
}

extension Activation {
  /// The activation by its name in `config.json`, where it is the value of `key`.
  init(named name: String, key: String) throws(FormatError) {
    switch name {
    case "silu", "swish": self = .silu
    case "gelu": self = .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": self = .geluTanh
    case "relu" where key == "activation_function": self = .relu
    case "tanh" where key == "activation_function": self = .tanh
    default:
      throw FormatError(
        .unsupported, file: "config.json", subject: key, problem: "it is '\(name)'",
        remedy: "supported are silu, gelu, gelu_new and gelu_pytorch_tanh")
    }
  }
}
