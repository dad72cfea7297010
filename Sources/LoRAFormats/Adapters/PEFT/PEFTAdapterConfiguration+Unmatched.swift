import LoRAFiles

extension PEFTAdapterConfiguration {
  /// What the configuration names that applies to nothing, a sentence each: a misspelt target beside
  /// others, a key of `rank_pattern` that matches no adapted layer.
  ///
  /// PEFT passes over most of it in silence. It is legal, and probably not meant.
  ///
  /// - Parameters:
  ///   - layers: the paths of the layers that have an adapter.
  ///   - paths: the paths of all modules that could have one; nil if no model is at hand. What is
  ///     excluded shows only there.
  package func unmatched(layers: [String], among paths: [String]? = nil) -> [String] {
    unmatchedTargets(layers, paths) + unmatchedParameters(layers) + unmatchedExclusions(paths)
      + unmatchedLayers(layers) + unmatchedKeys(layers)
      + method.options.unmatched(layers: layers, in: self)
  }

  private func unmatchedTargets(_ layers: [String], _ paths: [String]?) -> [String] {
    guard case .names(let names) = targets else { return [] }
    let adapted = NameSet(ends: layers)
    let known = paths.map(NameSet.init(ends:))
    return Set(names).sorted().filter { !adapted.contains($0) }.map { name in
      known?.contains(name) == true
        ? "target_modules: '\(name)' names no layer that is adapted: what else is given leaves "
          + "all of them out"
        : "target_modules: '\(name)' matches no layer"
    }
  }

  private func unmatchedParameters(_ layers: [String]) -> [String] {
    let keys = Set(layers.compactMap { ParameterPath($0)?.key })
    return targetParameters.filter { name in
      !keys.contains { $0 == name || $0.hasSuffix(".\(name)") }
    }.map { "target_parameters: '\($0)' matches no parameter" }
  }

  private func unmatchedExclusions(_ paths: [String]?) -> [String] {
    guard let paths, let excluded else { return [] }
    var open = self
    open.excluded = nil
    let targeted = paths.filter(open.matches)
    switch excluded {
    case .names(let names):
      let ends = NameSet(ends: targeted)
      return Set(names).sorted().filter { !ends.contains($0) }.map {
        "exclude_modules: '\($0)' excludes nothing"
      }
    case .pattern(let text):
      return targeted.contains { PathPattern.matchesWhole(text, $0) }
        ? [] : ["exclude_modules: '\(text)' excludes nothing"]
    case .allLinear, .unspecified: return []
    }
  }

  private func unmatchedLayers(_ layers: [String]) -> [String] {
    guard let layersToTransform, !layersToTransform.isEmpty else { return [] }
    let found = Set(layers.compactMap(layerIndex))
    let indices = Set(layersToTransform).subtracting(found).sorted().map {
      "layers_to_transform: \($0) is the index of no adapted layer"
    }
    let patterns = layersPattern.filter { pattern in
      let expression = Self.layersFrame.expression(of: pattern)
      return !layers.contains { PathPattern.matchesStart(expression, $0) }
    }
    return indices + patterns.map { "layers_pattern: '\($0)' matches no adapted layer" }
  }

  private func unmatchedKeys(_ layers: [String]) -> [String] {
    let keys =
      rankPattern.map { (field: "rank_pattern", text: $0.key) }
      + alphaPattern.map { (field: "alpha_pattern", text: $0.key) }
    let layers = Set(layers.map { ParameterPath.patternKey(of: $0) })
    return keys.filter { key in !layers.contains { Self.matches($0, endWithKey: key.text) } }.map {
      "\($0.field): the key '\($0.text)' matches no adapted layer and is ignored"
    }
  }

  /// What is wrong with the configuration's expressions, by field; nil if nothing is. One that was
  /// read from a file has none that can't be matched.
  package var invalidExpression: (field: String, text: String, problem: String)? {
    var expressions: [(field: String, text: String, frame: PathPattern.Frame?)] = []
    if case .pattern(let text) = targets { expressions.append(("target_modules", text, nil)) }
    if case .pattern(let text) = excluded { expressions.append(("exclude_modules", text, nil)) }
    expressions += rankPattern.map { ("rank_pattern", $0.key, Self.keyFrame) }
    expressions += alphaPattern.map { ("alpha_pattern", $0.key, Self.keyFrame) }
    expressions += layersPattern.map { ("layers_pattern", $0, Self.layersFrame) }
    for (field, text, frame) in expressions {
      if let problem = PathPattern.problem(of: text, within: frame) {
        return (field, text, problem)
      }
    }
    return nil
  }
}

extension PEFTAdapterFile {
  /// What the configuration names that the adapter has nothing of; see
  /// ``PEFTAdapterConfiguration/unmatched(layers:among:)``. `paths` are those of the modules of the
  /// model that could have an adapter.
  package func warnings(among paths: [String]? = nil) -> [String] {
    configuration.unmatched(describedBy: description, among: paths)
  }
}

extension AdapterFile {
  /// What a PEFT configuration names that the adapter has nothing of, a sentence each: a misspelt
  /// target beside others, a key of `rank_pattern` that matches no adapted layer. Other formats name
  /// nothing. `paths` are those of all modules of the model that could have an adapter; what is
  /// excluded shows only there.
  public func warnings(among paths: [String]? = nil) -> [String] {
    peftConfiguration?.unmatched(
      describedBy: description.renamed(nameInFile), among: paths?.compactMap(nameInFile))
      ?? []
  }
}

extension PEFTAdapterConfiguration {
  fileprivate func unmatched(
    describedBy description: AdapterDescription, among paths: [String]?
  ) -> [String] {
    var warnings = unmatched(layers: description.layers.map(\.path), among: paths)
    // A classifier's head has one of two names, and PEFT adds both.
    let isHead = { (name: String) in
      ["SEQ_CLS", "TOKEN_CLS"].contains(taskType) && ["classifier", "score"].contains(name)
    }
    for name in savedModules where !isHead(name) {
      var one = self
      one.savedModules = [name]
      let isSaved = description.replacements.contains { one.saves(modulePath: $0.path) }
      if !isSaved { warnings.append("modules_to_save: '\(name)' matches nothing that is saved") }
    }
    if case .byModule(let entries)? = method.options.trainedTokens {
      for name in entries.map(\.key) {
        let isThere = description.replacedTokens.contains { $0.path.hasSuffix(name) }
        if !isThere {
          warnings.append(
            "trainable_token_indices: '\(name)' matches no embedding with trained tokens")
        }
      }
    }
    return warnings
  }
}

/// The names that mean one of some paths: each whole path, and its ends after a dot.
struct NameSet {
  private var names: Set<ExactName> = []

  init(ends paths: [String]) {
    for path in paths {
      var rest = path[...]
      while true {
        names.insert(ExactName(String(rest)))
        guard let dot = rest.firstIndex(of: ".") else { break }
        rest = rest[rest.index(after: dot)...]
      }
    }
  }

  func contains(_ name: String) -> Bool { names.contains(ExactName(name)) }
}
