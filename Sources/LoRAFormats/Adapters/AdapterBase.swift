import LoRAArchitectures
package import LoRAFiles
import LoRAJSON
package import LoRATensor

/// The weights of a model, by the paths of its layers: what an adapter is checked against.
///
/// ```swift
/// let base = try AdapterBase(path: "MODEL")
/// try base.check(adapter.description, file: "adapter")
/// ```
package struct AdapterBase: Sendable {
  /// The model's folder or GGUF file.
  package let path: String
  private let content: Content

  private enum Content: Sendable {
    case directory(ModelDirectory, CheckpointNames)
    case gguf(GGUFFile, GGUFTensorNames, GGUFBase)
  }

  /// Opens the Hugging Face directory or the GGUF file at `path`.
  package init(path: String) throws(FormatError) {
    self.path = path
    let kind = try PathContent(path)
    guard kind == .gguf else {
      if ![.modelFolder, .adapterFolder, .folder].contains(kind) { throw kind.isNoModel(path) }
      let directory = try ModelDirectory(path: path)
      content = .directory(directory, CheckpointNames(modelType: directory.modelType))
      return
    }
    let file = try GGUFFile(path: path)
    let base = try GGUFBase(file: file)
    guard let names = GGUFTensorNames(base) else {
      throw FormatError(
        .unsupported, file: path, key: "general.architecture",
        "'\(base.architecture)' is not supported")
    }
    content = .gguf(file, names, base)
  }

  /// Whether what is at `path` has weights to compare with, rather than a `config.json` alone.
  package static func hasWeights(path: String) -> Bool {
    !FileSystem.isFolder(path)
      || [ModelDirectory.singleFile, ModelDirectory.indexFile].contains { name in
        FileSystem.exists(FileSystem.join(path, name))
      }
  }

  /// The weight [out, in] of a linear layer, or the table of an embedding, as float32 and in Hugging
  /// Face's order of rows; nil if the model has no such layer.
  package func weight(ofLayer path: String) throws(FormatError) -> Tensor? {
    if let pair = pair(path) {
      guard let first = try weight(ofLayer: pair[0]), let second = try weight(ofLayer: pair[1])
      else { return nil }
      return .concatenated([first, second])
    }
    switch content {
    case .directory(let directory, let names):
      guard let name = Self.name(ofParameter: path + ".weight", directory, names) else {
        return nil
      }
      let weight = try directory.tensor(named: name).converted(to: .float32)
      return names.isTransposed(path) && weight.shape.count == 2 ? weight.transposed() : weight
    case .gguf(let file, let names, let base):
      guard let (module, name) = Self.tensor(path, file, names) else { return nil }
      var weight = try file.tensor(named: name)
      if module.kind == .expert {
        guard let expert = names.expert(path), weight.shape.count == 3, expert < weight.shape[0]
        else { return nil }
        weight = weight[row: expert]
      }
      weight = weight.converted(to: .float32)
      guard module.order != .same, weight.shape.count == 2,
        let rows = module.order.fileRows(count: weight.shape[0], base.heads)
      else { return weight }
      return weight.gatheringRows(rows)
    }
  }

  /// The extents of a layer's weight, [out, in]; nil if the model has none.
  private func shape(_ path: String) -> Shape? {
    if let pair = pair(path) {
      let shapes = pair.compactMap(shape).filter { $0.count == 2 }
      guard shapes.count == 2, shapes[0][1] == shapes[1][1] else { return nil }
      return [shapes[0][0] + shapes[1][0], shapes[0][1]]
    }
    switch content {
    case .directory(let directory, let names):
      guard let name = Self.name(ofParameter: path + ".weight", directory, names),
        let entry = directory.entry(named: name)
      else { return nil }
      return names.isTransposed(path) && entry.shape.count == 2
        ? [entry.shape[1], entry.shape[0]] : entry.shape
    case .gguf(let file, let names, _):
      guard let (module, name) = Self.tensor(path, file, names),
        let shape = file.entry(named: name)?.shape
      else { return nil }
      guard module.kind == .expert else { return shape }
      guard let expert = names.expert(path), shape.count == 3, expert < shape[0] else { return nil }
      return Shape(Array(shape.dimensions.dropFirst()))
    }
  }

  /// The name that the checkpoint has the parameter at `path` under; nil if the model has none.
  private static func name(
    ofParameter path: String, _ directory: ModelDirectory, _ names: CheckpointNames
  ) -> String? {
    names.names(ofParameter: path).first { directory.entry(named: $0) != nil }
  }

  /// The name of the weight of the layer at `path` in a GGUF file, and how it lies there.
  private static func tensor(
    _ path: String, _ file: GGUFFile, _ names: GGUFTensorNames
  ) -> (module: TensorName, name: String)? {
    guard let (module, name) = names.module(atPath: path) else { return nil }
    if file.entry(named: name + ".weight") != nil { return (module, name + ".weight") }
    guard module.kind == .head, let table = names.modules.first(where: { $0.kind == .embedding }),
      file.entry(named: table.name + ".weight") != nil
    else { return nil }
    return (module, table.name + ".weight")
  }

  /// The matrices that a tensor of a GGUF file is: those of all experts, where "{}" in the path stands
  /// for their numbers.
  private static func experts(_ path: String, _ shape: Shape) -> [(String, Shape)] {
    guard path.contains("{}"), shape.count == 3 else { return [(path, shape)] }
    return (0..<shape[0]).map {
      (TensorName.filled(path, [$0]), Shape(Array(shape.dimensions.dropFirst())))
    }
  }

  /// The path of the model's output head.
  private var headPath: String {
    switch content {
    case .directory(_, let names): names.headPath
    case .gguf(_, let names, _): names.known.headPath
    }
  }

  /// What the names of the model's body may lack.
  var bodyPrefixes: [String] {
    switch content {
    case .directory(_, let names): names.bodyPrefixes
    case .gguf(_, let names, _): CheckpointNames(names.known).bodyPrefixes
    }
  }

  /// The modules of the model's architecture; empty if it is not known.
  var modules: [TensorName] {
    switch content {
    case .directory(_, let names): names.architecture?.tensors ?? []
    case .gguf(_, let names, _): names.modules
    }
  }

  /// The paths of the two layers that adapters may call one, as transformers holds them; nil for the path
  /// of any other.
  private func pair(_ path: String) -> [String]? {
    for entry in modules where entry.kind == .expertPair {
      guard let numbers = TensorName.numbers(in: path, of: entry.path) else { continue }
      return ["ffn_gate_exps", "ffn_up_exps"].compactMap { role in
        modules.first {
          $0.role == role && $0.pathInBlock?.list == entry.pathInBlock?.list
            && $0.holder == entry.holder
        }.map { TensorName.filled($0.path, numbers) }
      }
    }
    return nil
  }

  /// `model_type`; nil if it is not known.
  var modelType: String? {
    switch content {
    case .directory(let directory, _): directory.modelType
    case .gguf(_, let names, _): names.known.modelType
    }
  }

  /// Whether the model has a layer or another module with a weight at `path`, or a block.
  func hasModule(_ path: String) -> Bool { shape(path) != nil || hasBlock(path) }

  private func hasBlock(_ path: String) -> Bool {
    layers.contains { $0.hasPrefix(path + ".") }
  }

  /// The paths of the model's layers; all that they may have, where files can't say which.
  private var layers: [String] {
    switch content {
    case .directory(let directory, _):
      directory.tensorNames.filter { $0.hasSuffix(".weight") }.map { String($0.dropLast(7)) }
    case .gguf(let file, let names, _):
      file.names.filter { $0.hasSuffix(".weight") }
        .flatMap { name in
          names.paths(ofModuleNamed: String(name.dropLast(7))).map {
            ($0, file.entry(named: name)?.shape ?? [])
          }
        }.flatMap(Self.experts).map(\.0)
    }
  }

  /// `model_type` of the model at `path`, or its architecture if it is a GGUF file; nil if the
  /// former's `config.json` does not say.
  static func modelType(path: String) throws(FormatError) -> String? {
    guard FileSystem.isFolder(path) else { return try GGUFFile(path: path).architecture() }
    let file = FileSystem.join(path, ModelDirectory.configurationFile)
    return try FileSystem.readObject(file)["model_type"]?.stringValue
  }

  /// Throws unless the adapter belongs to the model and is whole: every layer is one of the model and
  /// fits it, what it replaces is there and has the same shape, and nothing is missing that its
  /// configuration says.
  ///
  /// The head of a task is no part of a base that was not made for it: PEFT has transformers make one.
  package func check(_ adapter: AdapterFile) throws(FormatError) {
    try check(adapter.description, file: adapter.path)
    for replacement in adapter.description.replacements {
      try check(replacement, adapter)
    }
    for copy in adapter.description.baseCopies { try check(copy: copy, adapter) }
    for tokens in adapter.description.replacedTokens {
      guard let shape = shape(tokens.path) else { throw unknown(tokens.path, adapter.path) }
      guard shape.count == 2, tokens.vectors.shape[1] == shape[1],
        tokens.ids.allSatisfy({ (0..<shape[0]).contains($0) })
      else {
        throw FormatError(
          .shapeMismatch, file: adapter.path, subject: "the token vectors of '\(tokens.path)'",
          problem:
            "they are \(tokens.vectors.shape) for the tokens up to \(tokens.ids.max() ?? 0), the "
            + "base's table is \(shape)",
          remedy: "give the base that the adapter was made for")
      }
    }
    try adapter.checkComplete(for: layout(for: adapter.description))
  }

  private func check(
    _ replacement: AdapterDescription.Replacement, _ adapter: AdapterFile
  ) throws(FormatError) {
    guard let found = parameterShape(replacement.path) else {
      if PEFTAdapterConfiguration.isTaskHead(replacement.path) { return }
      throw FormatError(
        .unexpectedTensor, file: adapter.path, subject: "'\(replacement.path)'",
        problem: "the adapter replaces it, and the base \(path) has no such parameter",
        remedy: "give the base that the adapter was made for")
    }
    guard found == replacement.value.shape || isTransposed(replacement, found) else {
      throw FormatError(
        .shapeMismatch, file: adapter.path, subject: "'\(replacement.path)'",
        problem: "the adapter replaces it by \(replacement.value.shape), the base's is \(found)",
        remedy: "give the base that the adapter was made for")
    }
  }

  /// Whether a layer's new weight is `[out, in]` where the base's is `[in, out]`, or the other way.
  private func isTransposed(
    _ replacement: AdapterDescription.Replacement, _ found: Shape
  ) -> Bool {
    guard case .directory(_, let names) = content, found.count == 2,
      replacement.value.shape == [found[1], found[0]], replacement.path.hasSuffix(".weight")
    else { return false }
    return names.isTransposed(String(replacement.path.dropLast(".weight".count)))
  }

  /// What a file repeats of its base must be what this one has: else the adapter is another's.
  private func check(
    copy: AdapterDescription.Replacement, _ adapter: AdapterFile
  ) throws(FormatError) {
    func refused(_ kind: FormatError.Kind, _ problem: String) -> FormatError {
      FormatError(
        kind, file: adapter.path, subject: "'\(copy.path)'", problem: problem,
        remedy: "give the base that the adapter was made for")
    }
    guard let found = parameterShape(copy.path) else {
      throw refused(.unexpectedTensor, "the file repeats it, and the base has no such parameter")
    }
    guard found == copy.value.shape else {
      throw refused(
        .shapeMismatch, "the file repeats it as \(copy.value.shape), the base's is \(found)")
    }
    guard let base = try parameter(copy.path), !copy.isCopy(of: base) else { return }
    throw refused(.invalidValue, "the file repeats it with other numbers than the base has")
  }

  /// The name that the checkpoint has a parameter under; nil if the model has none.
  private func parameterName(_ path: String) -> String? {
    switch content {
    case .directory(let directory, let names):
      return Self.name(ofParameter: path, directory, names)
    case .gguf(let file, let names, _):
      if let name = names.tensorName(ofParameter: path), file.entry(named: name) != nil {
        return name
      }
      // A head that is the embedding is not stored.
      let head = names.known.headPath
      return path == head + ".weight" ? Self.tensor(head, file, names)?.name : nil
    }
  }

  /// The extents of any parameter, as the checkpoint has them; nil if the model has none.
  private func parameterShape(_ path: String) -> Shape? {
    guard let name = parameterName(path) else { return nil }
    return switch content {
    case .directory(let directory, _): directory.entry(named: name)?.shape
    case .gguf(let file, _, _): file.entry(named: name)?.shape
    }
  }

  /// A parameter as the checkpoint has it; nil if the model has none, or has its rows in another order.
  private func parameter(_ path: String) throws(FormatError) -> Tensor? {
    guard let name = parameterName(path) else { return nil }
    switch content {
    case .directory(let directory, _): return try directory.tensor(named: name)
    case .gguf(let file, let names, _):
      let module = path.split(separator: ".").dropLast().joined(separator: ".")
      guard names.module(atPath: module)?.module.order == .same else { return nil }
      return try file.tensor(named: name)
    }
  }

  /// What the model consists of, by the paths that `description` uses; with the head also where that
  /// is the embedding and is not stored.
  private func layout(for description: AdapterDescription) -> ModelLayout {
    var layout = storedLayout(for: description)
    let isStored = layout.modules.contains { $0.kind == .head }
    if !isStored, shape(headPath) != nil {
      layout.modules.append(
        ModelLayout.Module(path: headPath, kind: .head, parameters: ["weight"]))
    }
    return layout
  }

  private func storedLayout(for description: AdapterDescription) -> ModelLayout {
    switch content {
    case .directory(let directory, let names):
      // Checkpoints of a body alone leave out what the whole model calls it.
      let prefix = names.bodyPrefixes.first { prefix in
        description.layers.contains { layer in
          layer.path.hasPrefix(prefix) && directory.entry(named: layer.path + ".weight") == nil
            && directory.entry(named: layer.path.dropFirst(prefix.count) + ".weight") != nil
        }
      }
      return ModelLayout(
        tensors: directory.tensorNames.map { name in
          (names.nameInModel(name), directory.entry(named: name)?.shape ?? [])
        }, modelType: directory.modelType, prefix: prefix ?? ""
      ).withoutExtraBlocks(of: names.layerCount(directory.configurationObject))
    case .gguf(let file, let names, _):
      let names = names.preferring(description.modulePaths)
      let tensors = file.names.compactMap { name in
        names.parameterPath(ofTensor: name).map { ($0, file.entry(named: name)?.shape ?? []) }
      }
      return ModelLayout(
        tensors: tensors.flatMap(Self.experts), modelType: names.known.modelType)
    }
  }

  /// Throws unless every layer of the adapter is one of the model and fits it: an adapter for another
  /// model, names with another prefix, factors that lie transposed.
  package func check(_ description: AdapterDescription, file: String) throws(FormatError) {
    for layer in description.layers {
      switch layer.change.measured.site {
      case .layer:
        guard let shape = shape(layer.path) else { throw unknown(layer.path, file) }
        try layer.change.check(fits: shape, layer: layer.path, file: file)
      case .block:
        guard hasBlock(layer.path) else { throw unknown(layer.path, file) }
      case .model: continue
      }
    }
  }

  private func unknown(_ path: String, _ file: String) -> FormatError {
    let alike = layers.first { $0.hasSuffix("." + path) || path.hasSuffix("." + $0) }
    return FormatError(
      .unexpectedTensor, file: file, subject: "layer '\(path)'",
      problem: "the base \(self.path) has no such layer"
        + (alike.map { ", it has '\($0)'" } ?? ""),
      remedy: alike == nil
        ? "give the base that the adapter was made for"
        : "the names differ in a prefix: rename them")
  }
}
