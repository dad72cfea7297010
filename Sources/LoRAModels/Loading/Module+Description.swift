import LoRAAutograd
public import LoRAFormats
import LoRATensor

extension Module {
  /// Attaches what `description` describes under `name`: factors to linear layers and embeddings,
  /// whole new parameters and token vectors beside the base's, which stay as they are.
  ///
  /// All or nothing, and strict: everything described must belong to this model and fit it.
  ///
  /// - Parameters:
  ///   - description: an adapter, of whatever format it was read from.
  ///   - name: what the adapter is called from now on.
  ///   - isTrainable: whether training can go on from here; else its parameters are frozen.
  ///   - dropout: the probability that an element of an adapter's input is dropped while training.
  ///   - enabled: whether it applies from now on, at strength 1.
  public func attach(
    _ description: AdapterDescription, named name: String, isTrainable: Bool = false,
    dropout: Float = 0, enabled: Bool = true
  ) throws(AdapterError) {
    try attach(
      try adapters(of: description, isTrainable: isTrainable, dropout: dropout), named: name,
      enabled: enabled)
  }

  /// Replaces the adapter called `name` by what `description` describes, in one step: a pass that
  /// has started goes on with the old, the next one sees the new. Throws, and changes nothing, as
  /// ``attach(_:named:isTrainable:dropout:enabled:)`` does.
  public func swapAdapter(
    _ name: String, for description: AdapterDescription, isTrainable: Bool = false,
    dropout: Float = 0
  ) throws(AdapterError) {
    try swapAdapter(
      name, for: try adapters(of: description, isTrainable: isTrainable, dropout: dropout))
  }

  /// The adapter called `name` as data, which any format can be written from.
  ///
  /// Throws ``AdapterError/unknownAdapter(_:available:)``,
  /// ``AdapterError/unsupported(layer:reason:)`` for an adapter of a method that no format has, and
  /// ``AdapterError/nonFinite(layer:)``.
  public func describeAdapter(_ name: String) throws(AdapterError) -> AdapterDescription {
    let adapters = adapters(named: name)
    guard !adapters.isEmpty else { throw .unknownAdapter(name, available: adapterNames) }
    let embeddings = Set(modules().filter { $0.module is Embedding }.map(\.path))
    let transposed = Set(linearLayers().filter(\.layer.storesTransposedWeight).map(\.path))
    var (layers, replacements) = ([AdapterDescription.Layer](), [AdapterDescription.Replacement]())
    var replacedTokens: [AdapterDescription.ReplacedTokens] = []
    for (path, adapter) in adapters {
      for (_, parameter) in adapter.namedParameters()
      where parameter.value.firstNonFiniteIndex() != nil {
        throw .nonFinite(layer: path)
      }
      switch withoutGradients({ adapter.effect }) {
      case .parameters(let new):
        replacements += new.parameters.map { name, parameter in
          let isTransposed = name == "weight" && transposed.contains(path)
          return .init(
            path: "\(path).\(name)",
            value: isTransposed ? parameter.value.permuted([1, 0]) : parameter.value)
        }
      case .tokenVectors(let new):
        guard embeddings.contains(path) else {
          // A tied head has the same vectors as its embedding.
          let isShared = adapters.contains {
            $0.adapter === adapter && embeddings.contains($0.path)
          }
          if isShared { continue }
          throw .unsupported(
            layer: path, reason: "no file format has token vectors of a head alone")
        }
        replacedTokens.append(.init(path: path, ids: new.ids, vectors: new.vectors.value))
      case .lowRank, .normalized, .scaling, .computed, .block, .virtualTokens:
        layers.append(
          .init(
            path: path,
            change: try adapter.savedChange(isOfEmbedding: embeddings.contains(path), path)))
      }
    }
    return AdapterDescription(
      layers: layers, replacements: replacements, replacedTokens: replacedTokens)
  }

  /// The adapters that `description` describes, with the paths of their modules.
  private func adapters(
    of description: AdapterDescription, isTrainable: Bool, dropout: Float
  ) throws(AdapterError) -> [(path: String, adapter: any LinearAdapter)] {
    try checkBaseCopies(description.baseCopies)
    var result: [(path: String, adapter: any LinearAdapter)] = []
    let modules = Dictionary(
      adaptableModules().map { ($0.path, $0.module) }, uniquingKeysWith: { first, _ in first })
    let adapted = AdaptedLayers(description.layers.compactMap { modules[$0.path] })
    for layer in description.layers {
      let place = AdapterPlace(
        layer: layer.path, module: modules[layer.path], layers: adapted,
        isInModel: true, isTrainable: isTrainable, dropout: dropout,
        dropoutStream: SeededRandom(seed: 0, path: layer.path).stream)
      result.append((layer.path, try layer.change.makeAnyAdapter(at: place)))
    }
    result += try overrides(description.replacements, isTrainable)
    for replaced in description.replacedTokens {
      let adapter = TokenVectorOverride(
        ids: replaced.ids, vectors: Parameter(replaced.vectors, isTrainable: isTrainable))
      result.append((replaced.path, adapter))
      // A head that shares the table computes with the new vectors too, as PEFT has it.
      if let path = pathOfHead(tiedTo: replaced.path) { result.append((path, adapter)) }
    }
    return result
  }

  /// What a file repeats of its base must be what this model has: else the adapter is another's.
  private func checkBaseCopies(
    _ copies: [AdapterDescription.Replacement]
  ) throws(AdapterError) {
    if copies.isEmpty { return }
    let modules = Dictionary(
      modules().map { ($0.path, $0.module) }, uniquingKeysWith: { first, _ in first })
    for copy in copies {
      let parts = copy.path.split(separator: ".", omittingEmptySubsequences: false)
      guard let module = modules[parts.dropLast().joined(separator: ".")],
        let parameter = module.parameters[parts.last.map(String.init) ?? ""]
      else {
        throw .unsupported(
          layer: copy.path,
          reason:
            "the adapter's file repeats it, and this model has no such parameter; is this the "
            + "adapter of another model?")
      }
      guard parameter.shape == copy.value.shape else {
        throw .shapeMismatch(
          layer: copy.path, expected: "\(parameter.shape)",
          found: "a copy of \(copy.value.shape) in the adapter's file")
      }
      guard copy.isCopy(of: parameter.value) else {
        throw .unsupported(
          layer: copy.path,
          reason:
            "the adapter's file repeats it, with other numbers than this model has; the adapter "
            + "was made for another base")
      }
    }
  }

  /// One override for each module of which parameters are replaced.
  private func overrides(
    _ replacements: [AdapterDescription.Replacement], _ isTrainable: Bool
  ) throws(AdapterError) -> [(path: String, adapter: any LinearAdapter)] {
    let modules = Dictionary(
      adaptableModules().map { ($0.path, $0.module) }, uniquingKeysWith: { first, _ in first })
    var order: [String] = []
    var values: [String: Named<Parameter>] = [:]
    for replacement in replacements {
      let parts = replacement.path.split(separator: ".", omittingEmptySubsequences: false)
      let path = parts.dropLast().joined(separator: ".")
      let name = parts.last.map(String.init) ?? ""
      guard let module = modules[path] else {
        throw .unsupported(
          layer: replacement.path,
          reason: "the adapter replaces it, and the model has no such parameter to replace")
      }
      var value = replacement.value
      if name == "weight", let layer = module as? any LinearLayer, layer.storesTransposedWeight,
        value.shape == [layer.inputSize, layer.outputSize]
      {
        value = value.permuted([1, 0])
      }
      if values[path] == nil { order.append(path) }
      values[path] =
        (values[path] ?? [:]) + [name: Parameter(value, isTrainable: isTrainable)]
    }
    return order.map { ($0, ParameterOverride(values[$0] ?? [:])) }
  }

  /// The path of the output head if its weight is the table of the embedding at `path`.
  func pathOfHead(tiedTo path: String) -> String? {
    let all = modules()
    guard let head = outputHead, let weight = head.weight,
      let table = all.first(where: { $0.path == path })?.module as? Embedding,
      weight === table.weight
    else { return nil }
    return all.first { $0.module === head }?.path
  }
}

extension LinearAdapter {
  /// This adapter as data. Throws if no file format has it.
  fileprivate func savedChange(
    isOfEmbedding: Bool, _ path: String
  ) throws(AdapterError) -> any LayerChange {
    guard let change else {
      throw .unsupported(
        layer: path,
        reason:
          "no file format has adapters of type \(type(of: self)); give the type a 'change', "
          + "or save its parameters yourself, see adapterParameters(named:)")
    }
    guard isOfEmbedding else { return change }
    guard var factors = change as? LowRankChange else { throw .notOfEmbeddings(path) }
    factors.isEmbedding = true
    return factors
  }
}
