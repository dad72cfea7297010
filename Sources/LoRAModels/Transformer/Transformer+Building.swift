import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

extension ModelConfiguration {
  /// Builds the model that the architecture's structure describes, asking `source` for each parameter
  /// under its checkpoint name.
  func makeTransformer(_ source: ParameterSource) throws -> any TransformerModel {
    let structure = try architecture.structure(self)
    let builder = TransformerBuilder(configuration: self, source: source)
    let embedding = try builder.embedding(structure.embedding)
    let encoder = try structure.encoder.map { stack in
      TransformerBody(
        embedding: embedding,
        blocks: try stack.blocks.enumerated().map {
          try builder.block($1, index: $0, stack: TransformerBuilder.encoder)
        },
        norm: try stack.norm.map {
          try builder.norm(TransformerBuilder.encoder + "output_norm", $0)
        },
        outputScale: nil, projection: nil)
    }
    if let encoder, structure.blocks.isEmpty {
      var modules: [String: any Module] = ["token_embd": embedding.tokens]
      modules[TransformerBuilder.encoder + "output_norm"] = encoder.norm
      return TransformerEncoder(
        configuration: self, body: encoder,
        children: builder.children(modules, encoder: encoder.blocks))
    }
    try checkSharedKeys(of: structure)
    let inputs = structure.embedding.blockInputs
    let blockInputs = try inputs.map { try builder.blockInputs($0) }
    let body = TransformerBody(
      embedding: embedding,
      blocks: try structure.blocks.enumerated().map {
        try builder.block($1, index: $0, inputs: inputs)
      },
      norm: try structure.norm.map { try builder.norm("output_norm", $0) },
      outputScale: structure.head == .nextToken ? structure.logitScale : nil,
      projection: try structure.embedding.size.map {
        try builder.linear("project_out", inputs: hiddenSize, outputs: $0, bias: false)
      }, blockInputs: blockInputs)
    var modules: [String: any Module] = ["token_embd": embedding.tokens]
    modules["position_embd"] = embedding.positions
    modules["token_types"] = embedding.types
    modules["token_embd_norm"] = embedding.norm
    modules["project_in"] = embedding.projection
    modules["project_out"] = body.projection
    modules["output_norm"] = body.norm
    modules["per_layer_token_embd"] = blockInputs?.tokens
    modules["per_layer_model_proj"] = blockInputs?.projection
    modules["per_layer_proj_norm"] = blockInputs?.norm
    modules[TransformerBuilder.encoder + "output_norm"] = encoder?.norm
    switch structure.head {
    case .nextToken:
      let head: any LinearLayer =
        tiesWordEmbeddings
        ? TiedHead(
          table: embedding.tokens.weight,
          bias: structure.headBias
            ? try source.parameter("\(architecture.headPath).bias", [vocabularySize]) : nil)
        : try builder.linear(
          "output", inputs: structure.embedding.size ?? hiddenSize, outputs: vocabularySize,
          bias: structure.headBias)
      modules["output"] = head
      if let encoder {
        return TransformerEncoderDecoder(
          configuration: self, encoder: encoder, body: body, head: head,
          targetStart: try validTargetStart(),
          children: builder.children(modules, body.blocks, encoder: encoder.blocks))
      }
      return Transformer(
        configuration: self, body: body, head: head, logitSoftCap: structure.logitSoftCap,
        children: builder.children(modules, body.blocks))
    case .classification(let classification):
      let head = try builder.head(classification)
      modules["cls"] = head.dense?.layer
      modules["cls.norm"] = head.norm
      modules[classification.outputRole] = head.output
      let children = builder.children(modules, body.blocks)
      return classification.pooling == nil
        ? TransformerTokenClassifier(
          configuration: self, body: body, head: head, children: children)
        : TransformerClassifier(configuration: self, body: body, head: head, children: children)
    case .none:
      return TransformerEncoder(
        configuration: self, body: body, children: builder.children(modules, body.blocks))
    }
  }

  /// The token that begins a target. It must not end one too: it would not be found behind a source.
  private func validTargetStart() throws(FormatError) -> Int {
    guard let start = decoderStartTokenID, start < vocabularySize, !eosTokenIDs.contains(start)
    else {
      throw FormatError(
        .unsupported, file: "config.json", key: "decoder_start_token_id",
        "it is \(decoderStartTokenID.map { "\($0)" } ?? "missing")",
        remedy: "supported is a token of the vocabulary that ends no text (T5: 0)")
    }
    return start
  }
}

extension ModelConfiguration {
  /// Throws unless blocks that read the keys of others name an earlier one that has its own, and heads like
  /// theirs.
  private func checkSharedKeys(of structure: TransformerStructure) throws {
    for (index, block) in structure.blocks.enumerated() {
      guard case .queries(let source) = block.attention.projections else { continue }
      let other = structure.blocks.indices.contains(source) ? structure.blocks[source] : nil
      var isShared = false
      if case .queries = other?.attention.projections { isShared = true }
      guard source < index, let other, !isShared,
        other.attention.headSize == block.attention.headSize,
        other.attention.keyHeadCount == block.attention.keyHeadCount
      else {
        throw FormatError(
          .invalidValue, file: "config.json", subject: "block \(index)",
          problem: "it reads the keys of block \(source), whose heads are not like its own",
          remedy: "the configuration is damaged, or of a model that does not exist")
      }
    }
  }
}

/// Makes the layers of a structure. A layer's role, as "attn_q", says what it is called.
private final class TransformerBuilder {
  let configuration: ModelConfiguration
  let source: ParameterSource
  /// Blocks share the angles of their positions.
  private var rotaryTables: [Rotation: RotaryTable] = [:]
  /// The blocks of a stack share a bias by distance.
  private var distanceBiases: [String: DistanceBias] = [:]
  /// What the roles of an encoder's modules begin with, beside a decoder.
  static let encoder = "enc."

  private struct Rotation: Hashable {
    let configuration: RotaryConfiguration
    /// How many elements of a head are rotated.
    let size: Int
    let rotatesNeighbours: Bool
    let isOfQueries: Bool
  }

  init(configuration: ModelConfiguration, source: ParameterSource) {
    self.configuration = configuration
    self.source = source
  }

  private func rotaryTable(
    _ attention: TransformerStructure.Attention, ofQueries isOfQueries: Bool = false
  ) throws -> RotaryTable? {
    guard let rotary = attention.rotary else { return nil }
    let scaling = isOfQueries ? rotary.queryScaling : nil
    let headSize = attention.headSize ?? configuration.headSize
    let size = Int(Double(headSize / 2) * attention.rotaryFraction) * 2
    let rotation = Rotation(
      configuration: rotary, size: size, rotatesNeighbours: attention.rotatesNeighbours,
      isOfQueries: scaling != nil)
    guard scaling == nil || size == headSize else {
      throw FormatError(
        .unsupported, file: "config.json", key: architecture.key(of: \.rotary),
        "queries scaled by their position where \(size) of a head's \(headSize) elements "
          + "are rotated", remedy: "supported where whole heads are")
    }
    if let table = rotaryTables[rotation] { return table }
    let table = RotaryTable(
      rotary, headSize: size, isAdjacent: attention.rotatesNeighbours, scaling: scaling)
    rotaryTables[rotation] = table
    return table
  }

  private var architecture: Architecture { configuration.architecture }

  /// The name of the module of a role, in block `index` if it is one of a block, of expert `expert` if
  /// it is one of an expert.
  private func name(
    _ role: String, _ index: Int?, _ expert: Int? = nil
  ) throws -> (path: String, entry: TensorName) {
    guard let entry = architecture.module(of: role) else {
      throw FormatError(
        .unsupported, file: "config.json", subject: "the architecture '\(architecture)'",
        problem: "its structure has a module '\(role)', and its table of tensors does not name it",
        remedy: "add a TensorName for it")
    }
    return (entry.path(inBlock: index ?? 0, expert: expert), entry)
  }

  func linear(
    _ role: String, inputs: Int, outputs: Int, bias: Bool, index: Int? = nil, expert: Int? = nil
  ) throws -> any LinearLayer {
    let (path, entry) = try name(role, index, expert)
    if entry.isTransposed {
      let offset = bias ? try source.parameter("\(path).bias", [outputs]) : nil
      if let weight = try source.untransposed?("\(path).weight", [outputs, inputs]) {
        return Conv1D(weight: weight, bias: offset)
      }
      return Conv1D(
        storedWeight: try source.parameter("\(path).weight", [inputs, outputs]), bias: offset)
    }
    return Linear(
      weight: try source.parameter("\(path).weight", [outputs, inputs]),
      bias: bias ? try source.parameter("\(path).bias", [outputs]) : nil)
  }

  func norm(
    _ role: String, _ kind: TransformerStructure.Norm, size: Int? = nil, index: Int? = nil
  ) throws -> any Norm {
    let path = try name(role, index).path
    let epsilon = Float(configuration.normEpsilon)
    let shape: Shape = [size ?? configuration.hiddenSize]
    let weight = try source.parameter(
      "\(path).weight", shape, initial: kind == .rmsPlusOne ? 0 : 1)
    switch kind {
    case .rms: return RMSNorm(weight: weight, epsilon: epsilon)
    case .rmsPlusOne: return RMSNorm(weight: weight, epsilon: epsilon, addsOne: true)
    case .layer:
      return LayerNorm(
        weight: weight, bias: try source.parameter("\(path).bias", shape), epsilon: epsilon)
    case .layerWithoutBias: return LayerNorm(weight: weight, bias: nil, epsilon: epsilon)
    }
  }

  func embedding(_ structure: TransformerStructure.Embedding) throws -> TokenEmbedding {
    let c = configuration
    func table(_ role: String, _ count: Int, _ size: Int? = nil) throws -> Embedding {
      Embedding(
        weight: try source.parameter(
          "\(name(role, nil).path).weight", [count, size ?? c.hiddenSize]))
    }
    return TokenEmbedding(
      tokens: try table("token_embd", c.vocabularySize, structure.size),
      positions: structure.learnsPositions
        ? try table("position_embd", c.maximumPositions + structure.positionOffset) : nil,
      positionOffset: structure.positionOffset,
      types: try structure.typeCount.map { try table("token_types", $0) },
      scale: structure.scale, norm: try structure.norm.map { try norm("token_embd_norm", $0) },
      projection: try structure.size.map {
        try linear("project_in", inputs: $0, outputs: c.hiddenSize, bias: false)
      })
  }

  func blockInputs(
    _ structure: TransformerStructure.Embedding.BlockInputs
  ) throws -> BlockInputs {
    let c = configuration
    guard structure.vocabularySize >= c.vocabularySize else {
      throw FormatError(
        .invalidValue, file: "config.json", subject: "the blocks' own vectors of tokens",
        problem: "there are \(structure.vocabularySize), and \(c.vocabularySize) tokens",
        remedy: "the configuration is damaged, or of a model that does not exist")
    }
    let width = c.layerCount * structure.size
    return BlockInputs(
      tokens: Embedding(
        weight: try source.parameter(
          "\(name("per_layer_token_embd", nil).path).weight", [structure.vocabularySize, width])),
      projection: try linear(
        "per_layer_model_proj", inputs: c.hiddenSize, outputs: width, bias: false),
      norm: try norm("per_layer_proj_norm", .rms, size: structure.size), size: structure.size)
  }

  func head(_ structure: TransformerStructure.Classification) throws -> ClassificationHead {
    let size = configuration.hiddenSize
    guard !configuration.labels.isEmpty else {
      throw FormatError(
        .missingKey, file: "config.json", subject: "'id2label'",
        problem: "the model is a classifier, and nothing says what it tells apart",
        remedy: "add 'id2label' or 'num_labels'")
    }
    return ClassificationHead(
      pooling: structure.pooling,
      dense: try structure.activation.map {
        (
          try linear("cls", inputs: size, outputs: size, bias: structure.denseBias),
          try Activation(named: $0, key: "the head's activation", isGate: false)
        )
      },
      norm: try structure.norm.map { try norm("cls.norm", $0) },
      output: try linear(
        structure.outputRole, inputs: size, outputs: configuration.labels.count,
        bias: structure.bias))
  }

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

  // MARK: Names

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

  /// The modules of a model, in the order of the architecture's table.
  func children(
    _ modules: [String: any Module], _ blocks: [Block] = [], encoder: [Block] = []
  ) -> Named<any Module> {
    var listed: [(path: String, module: any Module)] = []
    var lists: Set<String> = []
    for entry in architecture.tensors + [architecture.tokenHead].compactMap(\.self) {
      if let (list, _) = entry.pathInBlock {
        guard lists.insert(list).inserted else { continue }
        let blocks = entry.role.hasPrefix(Self.encoder) ? encoder : blocks
        listed += blocks.enumerated().map { ("\(list).\($0)", $1) }
      } else if let module = modules[entry.role] {
        listed.append((entry.path, module))
      }
    }
    return ModuleGroup.tree(listed)
  }
}
