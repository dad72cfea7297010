package import LoRAArchitectures

/// How an adapter's file names the layers of a model: as the model does, or as its body alone does.
///
/// PEFT names layers by their places in the model that it was given. The same layer is
/// `encoder.layer.0.output.dense` in BERT's `AutoModel` and `bert.encoder.layer.0.output.dense` in a
/// classifier.
package enum AdapterNaming: Sendable, Hashable {
  /// As the model does.
  case ofModel
  /// Without a prefix that the model's names have: the adapter was made on the body alone.
  case withoutPrefix(String)
  /// With a prefix that the model's names lack: the model is the body alone.
  case withPrefix(String)
  /// As another version of the model does, or as its text part alone: what names begin with in the file,
  /// and in the model.
  case renamed([Renaming])

  /// What the same names begin with in a file and in the model.
  package struct Renaming: Sendable, Hashable {
    let inFile: String
    let inModel: String
  }

  /// The naming by which everything in `description` is part of a model; ``ofModel`` if that is none of
  /// them, or if several are: what does not fit is then reported by the file's names.
  ///
  /// - Parameters:
  ///   - prefixes: those that names of the body may lack.
  ///   - modelType: the model's `model_type`; nil if it is not known.
  ///   - isKnown: whether the model has a module with parameters at a path.
  package init(
    of description: AdapterDescription, prefixes: [String], modelType: String? = nil,
    isKnown: (_ path: String) -> Bool
  ) {
    self = .ofModel
    let paths = description.modulePaths
    func fits(_ naming: AdapterNaming) -> Bool {
      paths.allSatisfy { path in naming.inModel(path).map(isKnown) ?? false }
    }
    if paths.isEmpty || fits(.ofModel) { return }
    let fitting = prefixes.flatMap { [.withoutPrefix($0), .withPrefix($0)] }.filter(fits)
    if fitting.count == 1 { self = fitting[0] }
    let others = fitting.isEmpty ? Self.renamings(forModelType: modelType).filter(fits) : []
    if let first = others.first { self = first }
  }

  /// The model's name of what the file calls `path`; nil for what it has none of. The whole model's is
  /// empty in both.
  package func inModel(_ path: String) -> String? {
    switch self {
    case .ofModel: path
    case .withoutPrefix(let prefix): Self.adding(prefix, to: path)
    case .withPrefix(let prefix): Self.removing(prefix, from: path)
    case .renamed(let pairs): Self.replacing(pairs.map { ($0.inFile, $0.inModel) }, in: path)
    }
  }

  /// The file's name of what the model calls `path`; nil for what it has none of, as for a head.
  package func inFile(_ path: String) -> String? {
    switch self {
    case .ofModel: path
    case .withoutPrefix(let prefix): Self.removing(prefix, from: path)
    case .withPrefix(let prefix): Self.adding(prefix, to: path)
    case .renamed(let pairs): Self.replacing(pairs.map { ($0.inModel, $0.inFile) }, in: path)
    }
  }

  private static func replacing(_ pairs: [(old: String, new: String)], in path: String) -> String? {
    if path.isEmpty { return path }
    guard let pair = pairs.first(where: { (path + ".").hasPrefix($0.old) }) else { return nil }
    return String((pair.new + (path + ".").dropFirst(pair.old.count)).dropLast())
  }

  /// What an adapter's file may call the layers of a model that also reads images, or of its text part
  /// alone: its checkpoints' names, and those of the one for the other.
  private static func renamings(forModelType modelType: String?) -> [AdapterNaming] {
    let head = Renaming(inFile: "lm_head.", inModel: "lm_head.")
    return Architecture.all.flatMap { whole -> [AdapterNaming] in
      guard let part = whole.textPart else { return [] }
      let isAlone = part.isAlone(modelType)
      guard isAlone || whole.modelType == modelType else { return [] }
      let body = isAlone ? "model." : part.prefixes[0].inModel
      let heads = [head, Renaming(inFile: "language_model.lm_head.", inModel: "lm_head.")]
      return [part.prefixes[0].inModel, "language_model.model.", "model."].map { name in
        .renamed([Renaming(inFile: name, inModel: body)] + heads)
      }
    }
  }

  private static func adding(_ prefix: String, to path: String) -> String? {
    path.isEmpty ? path : prefix + path
  }

  private static func removing(_ prefix: String, from path: String) -> String? {
    if path.isEmpty { return path }
    return path.hasPrefix(prefix) ? String(path.dropFirst(prefix.count)) : nil
  }

  /// What to tell whoever uses the adapter; nil if names are the model's.
  package var note: String? {
    switch self {
    case .ofModel: nil
    case .withoutPrefix(let prefix):
      "the adapter was made on the model's body alone: its names of layers lack '\(prefix)', which is "
        + "added"
    case .withPrefix(let prefix):
      "the adapter was made on a model with a head: its names of layers begin with '\(prefix)', which "
        + "is left out"
    case .renamed(let pairs):
      "the adapter was made on another version of the model: what its names of layers begin with, "
        + "'\(pairs[0].inFile)', is '\(pairs[0].inModel)' here"
    }
  }
}

extension AdapterDescription {
  /// The paths of all modules that the adapter has something of, without the whole model's.
  var modulePaths: [String] {
    let parameters = (replacements + baseCopies).map { replacement in
      replacement.path.split(separator: ".", omittingEmptySubsequences: false).dropLast()
        .joined(separator: ".")
    }
    return (layers.map(\.path) + replacedTokens.map(\.path) + parameters).filter { !$0.isEmpty }
  }

  /// The same with other paths of modules and parameters; what `name` gives nil for is left out.
  package func renamed(_ name: (_ path: String) -> String?) -> AdapterDescription {
    func renamed<Part>(_ parts: [Part], _ path: WritableKeyPath<Part, String>) -> [Part] {
      parts.compactMap { part in
        guard let new = name(part[keyPath: path]) else { return nil }
        var part = part
        part[keyPath: path] = new
        return part
      }
    }
    return AdapterDescription(
      layers: renamed(layers, \.path), replacements: renamed(replacements, \.path),
      replacedTokens: renamed(replacedTokens, \.path), baseCopies: renamed(baseCopies, \.path),
      metadata: metadata)
  }
}

extension ModelLayout {
  /// The layout by an adapter's names, without what these have no name of.
  func named(by name: (_ path: String) -> String?) -> ModelLayout {
    var result = self
    result.modules = modules.compactMap { module in
      name(module.path).map { path in
        var module = module
        module.path = path
        return module
      }
    }
    return result
  }
}

extension AdapterFile {
  /// Takes on the names of a model, where all of the file fits it by just one naming; what to tell of
  /// that, which ``notes`` have then too, or nil if they are its names.
  ///
  /// - Parameters:
  ///   - prefixes: those that names of the body may lack.
  ///   - modules: the architecture's, which adapters may call by the names of parameters.
  ///   - modelType: the model's `model_type`; nil if it is not known.
  ///   - isKnown: whether the model has a module with parameters at a path.
  @discardableResult
  package mutating func takeNames(
    prefixes: [String], modules: [TensorName], modelType: String? = nil,
    isKnown: (_ path: String) -> Bool
  ) -> AdapterNote? {
    let naming = AdapterNaming(
      of: description, prefixes: prefixes, modelType: modelType
    ) { path in
      isKnown(modules.modelPath(ofAdapterPath: path) ?? path)
    }
    defer {
      self.modules = modules
      for index in description.layers.indices {
        let path = description.layers[index].path
        description.layers[index].path = modules.modelPath(ofAdapterPath: path) ?? path
      }
    }
    guard let note = naming.note.map({ AdapterNote(text: $0) }) else { return nil }
    description = description.renamed(naming.inModel)
    self.naming = naming
    notes.append(note)
    return note
  }

  /// The file's name of what the model calls `path`; nil for what it has none of. What the configuration
  /// adapts as a parameter has the parameter's.
  func nameInFile(_ path: String) -> String? {
    if let configuration = peftConfiguration,
      let name = modules.adapterPath(ofModelPath: path).flatMap(naming.inFile),
      configuration.matches(path: name)
    {
      return name
    }
    return naming.inFile(path)
  }
}
