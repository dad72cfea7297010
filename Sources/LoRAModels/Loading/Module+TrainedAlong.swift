import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRATensor

// What PEFT trains beside an adapter's layers: whole modules, biases, vectors of tokens. Each begins as
// the base has it, and the base's own stays as it is.

extension Module {
  /// The overrides that `configuration` asks for, by the paths of their modules; `layers` are those
  /// that have an adapter.
  ///
  /// Throws for what the model does not have.
  func trainedAlong(
    _ configuration: PEFTAdapterConfiguration, layers: [String]
  ) throws(AdapterError) -> [(path: String, adapter: any LinearAdapter)] {
    try savedModules(configuration) + biases(configuration, layers: layers)
      + tokenVectors(configuration)
  }

  /// `modules_to_save`, and the head of a classifier.
  private func savedModules(
    _ configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> [(path: String, adapter: any LinearAdapter)] {
    let modules = adaptableModules().filter { !($0.module is any AdaptableBlock) }
    for name in configuration.savedModules {
      var one = configuration
      one.savedModules = [name]
      guard !modules.contains(where: { one.savesExplicitly(modulePath: $0.path) }) else { continue }
      throw .invalidValue(
        parameter: "modules_to_save", value: name,
        expected: "the name of a module with parameters; the model has "
          + listed(modules.map(\.path), limit: 12))
    }
    return modules.filter { configuration.saves(modulePath: $0.path) }
      .map { ($0.path, ParameterOverride(copying: $0.module, where: { _ in true })) }
  }

  /// `bias`: those of the layers with an adapter, or all.
  private func biases(
    _ configuration: PEFTAdapterConfiguration, layers: [String]
  ) -> [(path: String, adapter: any LinearAdapter)] {
    guard let biases = configuration.lora?.biases, biases != .none else { return [] }
    let adapted = Set(layers)
    return adaptableModules().filter { path, module in
      module.parameters["bias"] != nil && (biases == .all || adapted.contains(path))
        && !configuration.saves(modulePath: path)
    }.map { ($0.path, ParameterOverride(copying: $0.module, where: { $0 == "bias" })) }
  }

  /// `trainable_token_indices`: of the input's embedding, or by the ends of paths.
  private func tokenVectors(
    _ configuration: PEFTAdapterConfiguration
  ) throws(AdapterError) -> [(path: String, adapter: any LinearAdapter)] {
    guard let tokens = configuration.lora?.trainedTokens else { return [] }
    let embeddings = adaptableModules().compactMap { path, module in
      (module as? Embedding).map { (path: path, embedding: $0) }
    }
    var wanted: [(path: String, ids: [Int])] = []
    switch tokens {
    case .ofInput(let ids):
      guard let first = embeddings.first else { throw .noEmbedding("the input's", []) }
      wanted = [(first.path, ids)]
    case .byModule(let entries):
      for entry in entries {
        let matching = embeddings.filter {
          $0.path == entry.key || $0.path.hasSuffix(".\(entry.key)")
        }
        guard !matching.isEmpty else { throw .noEmbedding(entry.key, embeddings.map(\.path)) }
        wanted += matching.map { ($0.path, entry.value) }
      }
    }
    var result: [(path: String, adapter: any LinearAdapter)] = []
    for (path, ids) in wanted {
      guard let table = embeddings.first(where: { $0.path == path })?.embedding.weight.value else {
        continue
      }
      for id in ids where id >= table.shape[0] {
        throw .invalidValue(
          parameter: "trainable_token_indices", value: "\(id)",
          expected: "tokens below \(table.shape[0]), the rows of '\(path)'")
      }
      let vectors = Tensor.concatenated(
        ids.map { table[rows: $0..<$0 + 1].converted(to: .float32) })
      let adapter = TokenVectorOverride(ids: ids, vectors: Parameter(vectors))
      result.append((path, adapter))
      if let head = pathOfHead(tiedTo: path) { result.append((head, adapter)) }
    }
    return result
  }
}

extension ParameterOverride {
  /// The parameters of `module` as they are, in float32, to be trained.
  fileprivate convenience init(
    copying module: any AdaptableModule, where isCopied: (String) -> Bool
  ) {
    var copies: Named<Parameter> = [:]
    for (name, parameter) in module.parameters where isCopied(name) {
      let value =
        if name == "weight", let layer = module as? any LinearLayer { layer.denseWeight() } else {
          parameter.value.converted(to: .float32)
        }
      copies = copies + [name: Parameter(value)]
    }
    self.init(copies)
  }
}

extension AdapterError {
  fileprivate static func noEmbedding(_ name: String, _ found: [String]) -> AdapterError {
    .invalidValue(
      parameter: "trainable_token_indices", value: name,
      expected: found.isEmpty
        ? "an embedding, and the model has none" : "the name of an embedding: \(listed(found))")
  }
}
