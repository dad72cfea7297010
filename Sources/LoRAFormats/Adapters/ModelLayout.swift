import LoRAArchitectures
package import LoRATensor

/// What a model consists of, as far as an adapter's file can be compared with it: made of a model in
/// memory, of a checkpoint's names and shapes, or of a `config.json`.
package struct ModelLayout: Sendable {
  /// What a module is to an adapter.
  package enum Kind: Sendable, Hashable {
    /// A linear layer.
    case linear
    /// A router, or a layer of an expert: the latest transformers has them as parameters, which
    /// `all-linear` meets in some versions of PEFT alone.
    case expert
    /// The output head, which `all-linear` leaves out.
    case head
    /// A table of vectors.
    case embedding
    /// A convolution.
    case convolution
    /// A norm and the like, which no adapter targets.
    case other
  }

  /// A module with parameters of its own.
  package struct Module: Sendable {
    /// Its path, in Hugging Face's names.
    package var path: String
    /// What it is.
    package var kind: Kind
    /// The names of its parameters, as in "weight".
    package var parameters: [String]

    /// Creates a module.
    package init(path: String, kind: Kind, parameters: [String]) {
      self.path = path
      self.kind = kind
      self.parameters = parameters
    }
  }

  /// The modules, in the model's order.
  package var modules: [Module]
  /// `model_type` of its `config.json`; nil if unknown.
  package var modelType: String?

  /// Creates a layout.
  package init(modules: [Module], modelType: String? = nil) {
    self.modules = modules
    self.modelType = modelType
  }

  /// What tables of embeddings are called.
  package static let embeddingNames: Set = [
    "embed_tokens", "wte", "wpe", "word_embeddings", "position_embeddings",
    "token_type_embeddings", "embed_positions", "embed_in", "shared", "tok_embeddings",
    "embedding",
  ]
  /// What output heads are called.
  package static let headNames: Set = ["lm_head", "embed_out"]
}

extension ModelLayout {
  /// The layout of the models that a `config.json` describes.
  init(_ configuration: ModelConfiguration) {
    let architecture = configuration.architecture
    self.init(
      modules: architecture.tensors.flatMap { module in
        let kind = Kind(module.kind)
        // The names of parameters are not known, nor are saved modules held against them.
        return configuration.paths(of: module).map { Module(path: $0, kind: kind, parameters: []) }
      }, modelType: architecture.modelType)
  }

  /// The layout without what checkpoints hold beside the model: the layers that predict further
  /// tokens, which lie behind the last block or apart (`mtp`) and which transformers leaves out.
  func withoutExtraBlocks(of count: Int?) -> ModelLayout {
    var result = self
    let names = CheckpointNames(modelType: modelType)
    result.modules.removeAll { module in
      let parts = module.path.split(separator: ".")
      if parts.contains(where: { $0 == "mtp" || $0.hasPrefix("mtp_") }) { return true }
      guard let count, let block = BlockPath(module.path) else { return false }
      return names.isListOfBlocks(block.stem) && block.index >= count
    }
    return result
  }

  /// The layout of a checkpoint with tensors of these names and shapes. `prefix` is put before every
  /// path, where the checkpoint leaves it out.
  package init(
    tensors: [(name: String, shape: Shape)], modelType: String?, prefix: String = ""
  ) {
    let architecture = CheckpointNames(modelType: modelType).architecture
    var positions: [String: Int] = [:]
    var modules: [Module] = []
    for (name, shape) in tensors {
      guard let dot = name.lastIndex(of: ".") else { continue }
      let parameter = String(name[name.index(after: dot)...])
      let path = prefix + name[..<dot]
      let position = positions[path] ?? modules.count
      if position == modules.count {
        positions[path] = position
        modules.append(Module(path: path, kind: .other, parameters: []))
      }
      modules[position].parameters.append(parameter)
      if parameter == "weight" {
        modules[position].kind = Self.kind(path, shape, architecture)
      }
    }
    self.init(modules: modules, modelType: modelType)
  }

  private static func kind(_ path: String, _ shape: Shape, _ architecture: Architecture?) -> Kind {
    guard shape.count == 2 else { return shape.count > 2 ? .convolution : .other }
    // A matrix of another kind is a table, as of positions.
    if let module = architecture?.module(atPath: path)?.module {
      return module.kind == .other ? .embedding : Kind(module.kind)
    }
    let last = path.split(separator: ".").last.map(String.init) ?? path
    return headNames.contains(last)
      ? .head : embeddingNames.contains(last) ? .embedding : .linear
  }
}

extension ModelLayout.Kind {
  /// What a module of an architecture is.
  init(_ kind: TensorName.Kind) {
    self =
      switch kind {
      case .projection: .linear
      case .router, .expert, .expertPair: .expert
      case .head: .head
      case .embedding: .embedding
      case .other: .other
      }
  }
}
