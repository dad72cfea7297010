import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRATensor

/// Makes the layers of a structure. A layer's role, as "attn_q", says what it is called.
final class TransformerBuilder {
  let configuration: ModelConfiguration
  let source: ParameterSource
  /// Blocks share the angles of their positions.
  private var rotaryTables: [Rotation: RotaryTable] = [:]
  /// The blocks of a stack share a bias by distance.
  var distanceBiases: [String: DistanceBias] = [:]
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

  func rotaryTable(
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

  var architecture: Architecture { configuration.architecture }

  /// The name of the module of a role, in block `index` if it is one of a block, of expert `expert` if
  /// it is one of an expert.
  func name(
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
