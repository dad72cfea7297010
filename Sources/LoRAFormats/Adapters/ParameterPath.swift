package import LoRAArchitectures
package import LoRAFiles

/// The path of what PEFT adapts as a parameter of a module rather than as a layer (`target_parameters`),
/// in an ``AdapterDescription``: "…mlp.experts.gate_up_proj[3]" for an expert's part of a parameter that
/// all experts share, "…mlp.gate.weight" for a matrix.
struct ParameterPath: Hashable {
  /// The module's path.
  var module: String
  /// The parameter's name.
  var parameter: String
  /// The expert's number; nil for a matrix.
  var expert: Int?

  /// What PEFT compares with `target_parameters` and the keys of `rank_pattern`.
  var key: String { "\(module).\(parameter)" }

  init(module: String, parameter: String, expert: Int? = nil) {
    (self.module, self.parameter, self.expert) = (module, parameter, expert)
  }

  /// Nil for the path of a module.
  init?(_ path: String) {
    var key = path[...]
    if path.hasSuffix("]"), let bracket = path.lastIndex(of: "["),
      let number = Int(path[path.index(after: bracket)...].dropLast())
    {
      expert = number
      key = path[..<bracket]
    } else if !path.hasSuffix(".weight") {
      return nil
    }
    guard let dot = key.lastIndex(of: "."), dot > key.startIndex else { return nil }
    module = String(key[..<dot])
    parameter = String(key[key.index(after: dot)...])
  }

  /// The path in a description.
  var path: String { expert.map { "\(key)[\($0)]" } ?? key }

  /// What PEFT compares with keys of patterns: a parameter's key, a module's path.
  static func patternKey(of path: String) -> String { ParameterPath(path)?.key ?? path }
}

extension PEFTAdapterConfiguration {
  /// The ends of the paths of the parameters that are adapted themselves (`target_parameters`).
  package var targetParameters: [String] { lora?.targetParameters ?? [] }

  /// Whether the parameter with this key gets an adapter.
  func matchesParameter(_ key: String) -> Bool {
    targetParameters.contains { key == $0 || key.hasSuffix(".\($0)") }
  }

  /// The parameters of the module at `path` that get an adapter, in the order in which PEFT wraps the
  /// module, the innermost first: that of the module's parameters. A module with a matrix has no other:
  /// a name without a module's, as "down_proj", is not meant for it.
  func targetParameters(ofModule path: String) -> [String] {
    let names = Set(
      targetParameters.map { $0.split(separator: ".").last.map(String.init) ?? $0 })
    let order = ["gate_up_proj": 0, "gate_up_proj_bias": 1, "down_proj": 2, "down_proj_bias": 3]
    if names.contains("weight"), matchesParameter("\(path).weight") { return ["weight"] }
    return names.filter { matchesParameter("\(path).\($0)") }
      .sorted { (order[$0] ?? 4, $0) < (order[$1] ?? 4, $1) }
  }
}

// MARK: - An architecture's names

extension [TensorName] {
  /// The path in the model of what an adapter calls `path`, where that is another.
  package func modelPath(ofAdapterPath path: String) -> String? {
    lazy.compactMap { entry in
      entry.adapterPath.flatMap { TensorName.translated(path, from: $0, to: entry.path) }
    }.first
  }

  /// What adapters of parameters call the module at `path`; nil for a module that is no parameter in
  /// transformers.
  package func adapterPath(ofModelPath path: String) -> String? {
    lazy.compactMap { entry in
      entry.adapterPath.flatMap { TensorName.translated(path, from: entry.path, to: $0) }
    }.first
  }

  /// Whether the module at `path` is a router, a layer of an expert or a pair of those.
  package func isOfExperts(_ path: String) -> Bool {
    kind(ofModelPath: path).map { [.router, .expert, .expertPair].contains($0) } ?? false
  }

  /// What the module at `path` is; nil for one that the table does not have.
  package func kind(ofModelPath path: String) -> TensorName.Kind? {
    first { TensorName.numbers(in: path, of: $0.path) != nil }?.kind
  }
}

extension AdapterDescription {
  /// The name in PEFT's files of each layer that transformers holds as a parameter, if PEFT can load the
  /// adapter as one of parameters; none if not: then all keep the names that checkpoints have.
  ///
  /// Throws for adapters of gate and up together beside such of one of them.
  ///
  /// - Parameter modules: those of the base's architecture.
  package func parameterNames(
    _ modules: [TensorName]
  ) throws(FormatError) -> [String: String] {
    guard modules.contains(where: { $0.kind == .router }) else { return [:] }
    var renamed: [String: String] = [:]
    var (pair, single): (String?, String?) = (nil, nil)
    for layer in layers {
      guard let kind = modules.kind(ofModelPath: layer.path) else { continue }
      let name = modules.adapterPath(ofModelPath: layer.path)
      if kind == .expertPair { pair = pair ?? layer.path }
      if kind == .expert, name == nil { single = single ?? layer.path }
      guard let name else { continue }
      let isPlain = layer.lowRank.map { $0.magnitude == nil && $0.bias == nil } ?? false
      if !isPlain { return [:] }
      renamed[layer.path] = name
    }
    if let pair, let single {
      throw FormatError(
        .unsupported, file: PEFTAdapterConfiguration.fileName, subject: "layer '\(single)'",
        problem: "PEFT has no adapter of a part of '\(pair)' beside one of the whole",
        remedy: "train one or the other")
    }
    return single == nil ? renamed : [:]
  }

  /// The same under other names of single layers.
  package func renamingLayers(_ names: [String: String]) -> AdapterDescription {
    var result = self
    for index in result.layers.indices {
      result.layers[index].path = names[result.layers[index].path] ?? result.layers[index].path
    }
    return result
  }
}

extension AdapterFile {
  /// Throws if the adapter is of parameters, as those of experts, which `format` has no place for.
  func refuseParameters(for format: AdapterFormat, _ file: String) throws(FormatError) {
    if format == .peft || format == .gguf { return }
    for layer in description.layers
    where ParameterPath(layer.path) != nil
      || modules.kind(ofModelPath: layer.path) == .expertPair
      // MLX has experts in layers of all of them.
      || format == .mlx && layer.path.contains(/\.experts\.[0-9]+\./)
    {
      throw FormatError(
        .unsupported, file: file, subject: "'\(layer.path)'",
        problem: "\(format.title) files have no place for adapters of parameters "
          + "('target_parameters'), as those of experts",
        remedy: "write it as PEFT or GGUF, or merge it into the model")
    }
  }
}
