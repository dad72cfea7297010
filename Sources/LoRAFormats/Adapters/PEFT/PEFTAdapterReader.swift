import LoRAFiles
import LoRATensor

/// Makes a description of the tensors in a PEFT file, each of which must find its place.
struct PEFTAdapterReader {
  let file: SafetensorsFile
  let configuration: PEFTAdapterConfiguration
  private let shared = Shared()

  /// The tensors that layers share, as far as they were read.
  private final class Shared { var tensors: [String: Tensor] = [:] }

  init(file: SafetensorsFile, configuration: PEFTAdapterConfiguration) {
    self.file = file
    self.configuration = configuration
  }

  /// The parts of one module's adapter: their canonical names and the tensors'.
  struct Module {
    var path: String
    var parts: [String: String] = [:]
  }

  /// A tensor that is no part of an adapter's change.
  private struct Extra {
    var path: String
    var parameter: String
    var tensor: String
    var role: PEFTTensorName.Role
  }

  /// The adapter's modules in the file's order, and the rest.
  private struct Content {
    var modules: [Module] = []
    var extras: [Extra] = []
    private var positions: [ExactName: Int] = [:]

    mutating func add(
      _ tensor: String, part: String, of path: String, file: String
    ) throws(FormatError) {
      let position = positions[ExactName(path)] ?? modules.count
      if position == modules.count {
        positions[ExactName(path)] = position
        modules.append(Module(path: path))
      }
      if let other = modules[position].parts.updateValue(tensor, forKey: part) {
        throw FormatError(.duplicate, file: file, tensor: tensor, "'\(other)' is the same part")
      }
    }

    mutating func add(_ extra: Extra) { extras.append(extra) }
  }

  /// What the file holds.
  func description() throws(FormatError) -> AdapterDescription {
    let content = try sorted()
    var layers: [AdapterDescription.Layer] = []
    var tokens: [AdapterDescription.ReplacedTokens] = []
    for module in content.modules {
      if module.parts[Self.tokensPart] != nil {
        tokens.append(try replacedTokens(module, of: content.modules))
      } else if let parameters = try parameterLayers(module) {
        layers += parameters
      } else {
        layers.append(try layer(module))
      }
    }
    try checkParameters(layers)
    try checkAllTokensHaveVectors(tokens)
    let (replacements, copies) = try parameters(content, Set(layers.map { ExactName($0.path) }))
    guard !(layers.isEmpty && tokens.isEmpty && replacements.isEmpty) else {
      throw FormatError(
        .missingTensor, file: file.path, problem: "the file holds no factors of an adapter")
    }
    return AdapterDescription(
      layers: layers, replacements: replacements, replacedTokens: tokens, baseCopies: copies,
      metadata: file.metadata)
  }

  private func sorted() throws(FormatError) -> Content {
    var content = Content()
    var adapter: String?
    var isFirst = true
    var saved: [(tensor: String, name: PEFTTensorName)] = []
    let type = configuration.method.options.type
    let shared = type.sharedTensors
    for tensor in file.names where !shared.contains(tensor) {
      if type.isOfModel, type.part(called: tensor) != nil {
        try content.add(tensor, part: tensor, of: "", file: file.path)
        continue
      }
      let name = try PEFTTensorName(
        parsing: tensor, ofPromptedModel: type.isOfModel, file: file.path)
      switch name.role {
      case .part(let part):
        guard isFirst || name.adapter == adapter else {
          throw FormatError(
            .unexpectedTensor, file: file.path, tensor: tensor,
            "the file holds tensors of several adapters",
            remedy: "keep each adapter in a folder of its own")
        }
        (adapter, isFirst) = (name.adapter, false)
        try content.add(tensor, part: part, of: name.path, file: file.path)
      case .baseLayer(let parameter), .originalModule(let parameter), .parameter(let parameter):
        content.add(
          Extra(path: name.path, parameter: parameter, tensor: tensor, role: name.role))
      case .savedModule: saved.append((tensor, name))
      }
    }
    add(saved, to: &content, adapter, knowsAdapter: !isFirst)
    return content
  }

  /// Adds the parameters of modules that were saved whole, under their plain names.
  ///
  /// The first component behind the module's path is the adapter's name, that of its factors or
  /// PEFT's default, or a submodule's. It is a submodule's if the file has the parameter under its
  /// plain name too, as newer files do. A file without factors does not say: there it is a submodule's
  /// if the module's parameters begin with different ones.
  private func add(
    _ saved: [(tensor: String, name: PEFTTensorName)], to content: inout Content,
    _ adapter: String?, knowsAdapter: Bool
  ) {
    func first(_ parameter: String) -> String {
      parameter.split(separator: ".").first.map(String.init) ?? ""
    }
    var firsts: [ExactName: Set<String>] = [:]
    for case (_, let name) in saved {
      guard case .savedModule(let parameter) = name.role else { continue }
      firsts[ExactName(name.path), default: []].insert(first(parameter))
    }
    for (tensor, name) in saved {
      guard case .savedModule(var parameter) = name.role else { continue }
      let plain = "\(PEFTTensorName.prefix)\(name.path).\(parameter)"
      let start = first(parameter)
      let isAdapter =
        start == "default" || start == adapter
        || !knowsAdapter && firsts[ExactName(name.path)]?.count == 1
      if isAdapter, file.entry(named: plain) == nil, let dot = parameter.firstIndex(of: ".") {
        parameter = String(parameter[parameter.index(after: dot)...])
      }
      content.add(
        Extra(path: name.path, parameter: parameter, tensor: tensor, role: name.role))
    }
  }

  /// The tensor `name` that layers share, checked once.
  func sharedTensor(_ name: String) throws(FormatError) -> Tensor {
    if let tensor = shared.tensors[name] { return tensor }
    let tensor = try checkedTensor(name).tensor
    shared.tensors[name] = tensor
    return tensor
  }

  /// The tensor `name` as it is used: floating-point, finite, not empty, widened to float32.
  func checkedTensor(
    _ name: String
  ) throws(FormatError) -> (tensor: Tensor, storedType: DType) {
    let tensor = try file.tensor(named: name)
    guard tensor.dtype.isFloatingPoint else {
      throw FormatError(
        .typeMismatch, file: file.path, tensor: name,
        "expected floating-point numbers, found \(tensor.dtype)")
    }
    guard tensor.elementCount > 0 else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name, "it is empty, found \(tensor.shape)",
        remedy: "shards of a distributed training must be gathered before saving")
    }
    let wide = tensor.converted(to: .float32)
    if let index = wide.firstNonFiniteIndex() {
      var place: [Int] = []
      var rest = index
      for extent in tensor.shape.reversed() {
        place.insert(rest % extent, at: 0)
        rest /= extent
      }
      throw FormatError(
        .nonFinite, file: file.path, tensor: name,
        "the element at \(place) is not a finite number",
        remedy: "the training that made it diverged: train again with a lower learning rate")
    }
    // PEFT loads float64 into float32 parameters; so is it kept here.
    return (wide, tensor.dtype == .float64 ? .float32 : tensor.dtype)
  }
}

// MARK: - Trained tokens

extension PEFTAdapterReader {
  static let tokensPart = "trainable_tokens_delta"

  private func replacedTokens(
    _ module: Module, of modules: [Module]
  ) throws(FormatError) -> AdapterDescription.ReplacedTokens {
    let name = module.parts[Self.tokensPart] ?? ""
    guard let tokens = configuration.method.options.trainedTokens else {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: name,
        "it holds trained token vectors, but 'trainable_token_indices' in "
          + "\(PEFTAdapterConfiguration.fileName) names no tokens")
    }
    guard module.parts.count == 1 else {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: name,
        "the embedding has both factors and trained tokens: PEFT does not combine them")
    }
    let ids: [Int]
    switch tokens {
    case .ofInput(let list):
      ids = list
      guard modules.filter({ $0.parts[Self.tokensPart] != nil }).count == 1 else {
        throw FormatError(
          .unexpectedTensor, file: file.path, tensor: name,
          "several embeddings have trained tokens, but 'trainable_token_indices' is a list, "
            + "which speaks of the input embedding alone")
      }
    case .byModule(let entries):
      let fitting = entries.filter { module.path.hasSuffix($0.key) }
      guard let entry = fitting.max(by: { $0.key.utf8.count < $1.key.utf8.count }) else {
        throw FormatError(
          .unexpectedTensor, file: file.path, tensor: name,
          "'trainable_token_indices' has no tokens for '\(module.path)'")
      }
      ids = entry.value
    }
    let (vectors, type) = try checkedTensor(name)
    guard vectors.shape.count == 2, vectors.shape[0] == ids.count else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "expected [\(ids.count), size], one vector for each token of 'trainable_token_indices', "
          + "found \(vectors.shape)")
    }
    return AdapterDescription.ReplacedTokens(
      path: module.path, ids: ids, vectors: vectors, storedType: type)
  }

  /// Every entry of `trainable_token_indices` needs vectors, or another one with the same tokens that
  /// has them: of embeddings that share their weight PEFT saves one.
  private func checkAllTokensHaveVectors(
    _ tokens: [AdapterDescription.ReplacedTokens]
  ) throws(FormatError) {
    func missing(_ what: String) -> FormatError {
      FormatError(
        .missingTensor, file: file.path,
        tensor: "\(PEFTTensorName.prefix)\(what).token_adapter.\(Self.tokensPart)",
        "it is missing, although 'trainable_token_indices' names its tokens")
    }
    switch configuration.method.options.trainedTokens {
    case nil: return
    case .ofInput: if tokens.isEmpty { throw missing("<embedding>") }
    case .byModule(let entries):
      for entry in entries {
        guard tokens.contains(where: { $0.path.hasSuffix(entry.key) || $0.ids == entry.value })
        else { throw missing(entry.key) }
      }
    }
  }
}

// MARK: - Parameters of the base

extension PEFTAdapterReader {
  /// Embeddings and heads that PEFT stores whole when the vocabulary was resized.
  static let embeddingNames: Set = [
    "embed_tokens", "lm_head", "wte", "word_embeddings", "embed_in", "embed_out", "shared",
    "tok_embeddings",
  ]

  /// Parameters that replace the base's, and those that repeat them.
  private func parameters(
    _ content: Content, _ adapted: Set<ExactName>
  ) throws(FormatError) -> (
    replacements: [AdapterDescription.Replacement], copies: [AdapterDescription.Replacement]
  ) {
    var replacements: [AdapterDescription.Replacement] = []
    var copies: [AdapterDescription.Replacement] = []
    var known: [ExactName: (tensor: String, value: Tensor)] = [:]
    for extra in content.extras {
      let path = "\(extra.path).\(extra.parameter)"
      let (value, type) = try checkedTensor(extra.tensor)
      let entry = AdapterDescription.Replacement(path: path, value: value, storedType: type)
      guard try replaces(extra, adapted) else {
        copies.append(entry)
        continue
      }
      // A parameter may be there under both of its names, if they agree.
      if let other = known.updateValue((extra.tensor, value), forKey: ExactName(path)) {
        guard other.value == value else {
          throw FormatError(
            .duplicate, file: file.path, tensor: extra.tensor,
            "'\(other.tensor)' is the same parameter with other values")
        }
      } else {
        replacements.append(entry)
      }
    }
    try checkSavedModules(content, replacements)
    return (replacements, copies)
  }

  /// Whether the parameter replaces the base's; throws if the configuration says nothing of it.
  private func replaces(
    _ extra: Extra, _ adapted: Set<ExactName>
  ) throws(FormatError) -> Bool {
    let isBias = extra.parameter.split(separator: ".").last == "bias"
    let biases = configuration.method.options.biases
    let isAdapted = adapted.contains(ExactName(extra.path))
    let modulePath = "\(extra.path).\(extra.parameter)".split(separator: ".").dropLast()
      .joined(separator: ".")
    switch extra.role {
    case .baseLayer:
      if isAdapted { return isBias && biases != .none }
      // A table whose trained tokens lie apart.
      if !isBias, configuration.method.options.trainedTokens != nil { return false }
    case .originalModule: if configuration.saves(modulePath: modulePath) { return false }
    case .savedModule, .parameter:
      if configuration.saves(modulePath: modulePath) { return true }
      if isBias, !isAdapted, biases == .all { return true }
      // Before PEFT 0.6 a layer with an adapter held its bias itself.
      if isBias, isAdapted, biases != .none { return true }
      let module = extra.path.split(separator: ".").last.map(String.init) ?? ""
      if !isAdapted, extra.parameter == "weight", Self.embeddingNames.contains(module) {
        return true
      }
    case .part: break
    }
    throw FormatError(
      .unexpectedTensor, file: file.path, tensor: extra.tensor,
      "it is no part of an adapter, and neither 'modules_to_save' nor 'bias' in "
        + "\(PEFTAdapterConfiguration.fileName) says that it is saved")
  }

  /// Of the modules that the configuration says are saved, one at least must be there.
  private func checkSavedModules(
    _ content: Content, _ replacements: [AdapterDescription.Replacement]
  ) throws(FormatError) {
    guard !configuration.savedModules.isEmpty else { return }
    let found = replacements.contains { entry in
      configuration.saves(
        modulePath: entry.path.split(separator: ".").dropLast().joined(separator: "."))
    }
    guard !found else { return }
    throw FormatError(
      .missingTensor, file: file.path,
      problem: "'modules_to_save' names \(listed(configuration.savedModules)), but the file holds "
        + "no parameter of them")
  }
}
