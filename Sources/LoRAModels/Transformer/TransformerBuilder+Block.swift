import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

extension TransformerBuilder {
  func block(
    _ structure: TransformerStructure.Block, index: Int, stack: String = "",
    inputs: TransformerStructure.Embedding.BlockInputs? = nil
  ) throws -> Block {
    let c = configuration
    let (attention, feedForward) = (structure.attention, structure.feedForward)
    var modules: [String: any Module] = [:]
    func linear(_ role: String, _ inputs: Int, _ outputs: Int, bias: Bool) throws -> any LinearLayer
    {
      let role = stack + role
      let layer = try self.linear(role, inputs: inputs, outputs: outputs, bias: bias, index: index)
      modules[role] = layer
      return layer
    }
    func norm(
      _ role: String, _ kind: TransformerStructure.Norm, size: Int? = nil
    ) throws -> any Norm {
      let role = stack + role
      let norm = try self.norm(role, kind, size: size, index: index)
      modules[role] = norm
      return norm
    }
    let (headSize, keyHeads) = (
      attention.headSize ?? c.headSize, attention.keyHeadCount ?? c.keyValueHeadCount
    )
    let (size, queries, keys) = (c.hiddenSize, c.headCount * headSize, keyHeads * headSize)
    let projections: Attention.Projections =
      switch attention.projections {
      case .separate:
        .separate(
          query: try linear("attn_q", size, queries, bias: attention.bias),
          key: try linear("attn_k", size, keys, bias: attention.bias),
          value: try linear("attn_v", size, keys, bias: attention.bias))
      case .keysAsValues:
        .separate(
          query: try linear("attn_q", size, queries, bias: attention.bias),
          key: try linear("attn_k", size, keys, bias: attention.bias), value: nil)
      case .queries(let source):
        .queries(try linear("attn_q", size, queries, bias: attention.bias), keysOf: source)
      case .fused, .fusedByHead:
        .fused(
          try linear("attn_qkv", size, queries + 2 * keys, bias: attention.bias),
          byHead: attention.projections == .fusedByHead)
      }
    var hasKeys = true
    if case .queries = attention.projections { hasKeys = false }
    let headNorms: Attention.HeadNorms? =
      switch attention.headNorm {
      case nil: nil
      case .perHead(let kind):
        Attention.HeadNorms(
          query: try norm("attn_q_norm", kind, size: headSize),
          key: hasKeys ? try norm("attn_k_norm", kind, size: headSize) : nil, isPerHead: true)
      case .ofAllHeads(let kind):
        Attention.HeadNorms(
          query: try norm("attn_q_norm", kind, size: queries),
          key: hasKeys ? try norm("attn_k_norm", kind, size: keys) : nil, isPerHead: false)
      case .rowPerHead, .modulePerHead:
        try headwiseNorms(isModulePerHead: attention.headNorm == .modulePerHead, index, &modules)
      }
    var norms = Block.Norms()
    if structure.norms == .before || structure.norms == .beforeAndAfter {
      if structure.normsAttention {
        norms.attention = try norm(structure.attentionNormRole, structure.norm)
      }
      if structure.arrangement != .parallelBehindOneNorm {
        norms.feedForward = try norm(structure.feedForwardNormRole, structure.norm)
      }
    }
    if structure.norms == .after || structure.norms == .beforeAndAfter {
      norms.attentionOutput = try norm("post_attention_norm", structure.norm)
      norms.feedForwardOutput = try norm("post_ffw_norm", structure.norm)
    }
    if structure.norms == .ofSums {
      norms.attentionSum = try norm("attn_output_norm", structure.norm)
      norms.feedForwardSum = try norm("layer_output_norm", structure.norm)
    }
    if let softCap = attention.softCap, !(softCap.isNormal && softCap > 0) {
      throw FormatError(
        .invalidValue, file: "config.json", subject: "block \(index)",
        problem: "attention scores are capped at \(softCap)",
        remedy: "a cap must be above 0; no cap is null")
    }
    let activation = try Activation(
      named: feedForward.activation, key: architecture.key(of: \.hiddenActivation),
      isGate: feedForward.isGated)
    var expertLayers: [String: [any Module]] = [:]
    let network: any BlockNetwork
    var parameters: [(name: String, value: Parameter)] = []
    if let experts = feedForward.experts, experts.isStacked {
      network = try stackedExperts(experts, feedForward, activation, index: index, &parameters)
    } else if let experts = feedForward.experts {
      let mixture = Experts(
        router: try linear("ffn_gate_inp", size, experts.count, bias: false),
        experts: try (0..<experts.count).map {
          try expert($0, of: experts, activation, index: index)
        }, active: experts.active, weighting: experts.weighting)
      expertLayers = mixture.modules
      network = mixture
    } else {
      let inner = feedForward.size ?? c.intermediateSize
      network = FeedForward(
        gate: feedForward.isGated && !feedForward.isFused
          ? try linear("ffn_gate", size, inner, bias: feedForward.bias) : nil,
        up: try linear(
          feedForward.isGated ? "ffn_up" : feedForward.upRole, size,
          feedForward.isFused ? 2 * inner : inner, bias: feedForward.bias),
        isFused: feedForward.isFused,
        down: try linear("ffn_down", inner, size, bias: feedForward.bias),
        activation: activation)
    }
    let inputGate = try inputs.map { inputs in
      BlockInputGate(
        gate: try linear("inp_gate", size, inputs.size, bias: false),
        down: try linear("per_layer_proj", inputs.size, size, bias: false),
        norm: try norm("post_per_layer_norm", structure.norm),
        activation: try Activation(
          named: inputs.activation, key: architecture.key(of: \.hiddenActivation), isGate: true))
    }
    /// A parameter of the block itself, as large as `shape`.
    func own(_ role: String, _ shape: Shape, initial: Float = 0) throws -> Parameter {
      let (path, entry) = try name(role, index)
      let parameter = try source.parameter(path, shape, initial: initial)
      parameters.append((entry.pathInBlock?.rest ?? path, parameter))
      return parameter
    }
    let outputScale =
      structure.hasOutputScale ? try own("layer_output_scale", [1], initial: 1) : nil
    let sinks = attention.hasSinks ? try own("attn_sinks", [c.headCount]) : nil
    let crossAttention = try structure.crossAttention.map { cross in
      norms.crossAttention = try norm("cross_attn_norm", structure.norm)
      return CrossAttention(
        query: try linear("cross_attn_q", size, queries, bias: false),
        key: try linear("cross_attn_k", size, queries, bias: false),
        value: try linear("cross_attn_v", size, queries, bias: false),
        output: try linear("cross_attn_o", queries, size, bias: false), heads: c.headCount,
        headSize: c.headSize, scale: cross.scale ?? 1 / Float(c.headSize).squareRoot())
    }
    let bias = try attention.distanceBias.map { bias in
      let role = stack + "attn_rel_b"
      if let shared = distanceBiases[role] { return shared }
      let table = try source.parameter(
        "\(name(role, index).path).weight", [bias.buckets, c.headCount])
      let made = DistanceBias(
        weight: table, isBidirectional: !attention.isCausal, maximumDistance: bias.maximumDistance)
      distanceBiases[role] = made
      modules[role] = made
      return made
    }
    return Block(
      norms: norms,
      attention: Attention(
        projections: projections, headNorms: headNorms,
        valueNorm: attention.normsValues
          ? .init(
            epsilon: Float(c.normEpsilon),
            ones: Tensor(Array(repeating: Float(1), count: headSize))) : nil,
        output: try linear("attn_output", queries, size, bias: attention.outputBias),
        heads: c.headCount, keyHeads: keyHeads, headSize: headSize,
        rotary: try rotaryTable(attention),
        queryRotary: try rotaryTable(attention, ofQueries: true),
        mask: attention.isCausal
          ? .causal(window: attention.window) : .bidirectional(window: attention.window),
        scale: attention.scale ?? 1 / Float(headSize).squareRoot(), softCap: attention.softCap,
        slopes: attention.slopes, sinks: sinks, distanceBias: bias),
      crossAttention: crossAttention, feedForward: network,
      arrangement: structure.arrangement, residualScale: structure.residualScale,
      inputGate: inputGate, outputScale: outputScale,
      parameters: Named(parameters), children: children(modules, expertLayers))
  }

  /// Experts whose layers are parts of stacks in checkpoints, and with their router parameters of the block.
  private func stackedExperts(
    _ experts: TransformerStructure.FeedForward.Experts,
    _ structure: TransformerStructure.FeedForward, _ activation: Activation, index: Int,
    _ parameters: inout [(name: String, value: Parameter)]
  ) throws -> Experts {
    func linear(_ role: String, _ inputs: Int, _ outputs: Int, expert: Int?) throws -> Linear {
      let (path, entry) = try name(role, index)
      let rest = entry.pathInBlock?.rest ?? path
      func parameter(_ suffix: String, _ shape: Shape) throws -> Parameter {
        let parameter = try source.parameter(path + suffix, shape)
        parameters.append((rest + suffix, parameter))
        return parameter
      }
      return Linear(
        weight: try parameter(expert.map { ".\($0)" } ?? ".weight", [outputs, inputs]),
        bias: structure.bias
          ? try parameter(expert.map { "_bias.\($0)" } ?? ".bias", [outputs]) : nil)
    }
    let size = configuration.hiddenSize
    return Experts(
      router: try linear("ffn_gate_inp", size, experts.count, expert: nil),
      experts: try (0..<experts.count).map { expert in
        Experts.Expert(
          network: FeedForward(
            gate: nil,
            up: try linear("ffn_gate_up_exps", size, 2 * experts.size, expert: expert),
            isFused: true, down: try linear("ffn_down_exps", experts.size, size, expert: expert),
            activation: activation, clamp: structure.clamp), pair: nil)
      }, active: experts.active, weighting: experts.weighting)
  }

  private func expert(
    _ expert: Int, of experts: TransformerStructure.FeedForward.Experts, _ activation: Activation,
    index: Int
  ) throws -> Experts.Expert {
    func linear(_ role: String, _ inputs: Int, _ outputs: Int) throws -> any LinearLayer {
      try self.linear(
        role, inputs: inputs, outputs: outputs, bias: false, index: index, expert: expert)
    }
    let size = configuration.hiddenSize
    let (gate, up) = (
      try linear("ffn_gate_exps", size, experts.size), try linear("ffn_up_exps", size, experts.size)
    )
    return Experts.Expert(
      network: FeedForward(
        gate: gate, up: up, down: try linear("ffn_down_exps", experts.size, size),
        activation: activation), pair: PairedLinear(gate, up))
  }

  /// Norms of queries and keys with a weight for each head.
  private func headwiseNorms(
    isModulePerHead: Bool, _ index: Int, _ modules: inout [String: any Module]
  ) throws -> Attention.HeadNorms {
    let (size, epsilon) = (configuration.headSize, Float(configuration.normEpsilon))
    func norm(_ role: String, _ heads: Int) throws -> HeadwiseNorm {
      let path = try name(role, index).path
      let norm: HeadwiseNorm
      if isModulePerHead {
        norm = HeadwiseNorm(
          try (0..<heads).map { head in
            let weight = try source.parameter("\(path).norms.\(head).weight", [size], initial: 1)
            return LayerNorm(weight: weight, bias: nil, epsilon: epsilon)
          }, epsilon: epsilon)
      } else {
        norm = HeadwiseNorm(
          weight: try source.parameter("\(path).weight", [heads, size], initial: 1),
          epsilon: epsilon)
      }
      modules[role] = norm
      return norm
    }
    return Attention.HeadNorms(
      query: try norm("attn_q_norm", configuration.headCount),
      key: try norm("attn_k_norm", configuration.keyValueHeadCount), isPerHead: true)
  }

  /// The modules of a block, in the order of the architecture's table.
  private func children(
    _ modules: [String: any Module], _ experts: [String: [any Module]]
  ) -> Named<any Module> {
    ModuleGroup.tree(
      architecture.tensors.flatMap { entry -> [(path: String, module: any Module)] in
        guard let (_, rest) = entry.pathInBlock else { return [] }
        if let module = modules[entry.role] { return [(rest, module)] }
        return (experts[entry.role] ?? []).enumerated().map {
          (TensorName.filled(rest, [$0]), $1)
        }
      })
  }
}
