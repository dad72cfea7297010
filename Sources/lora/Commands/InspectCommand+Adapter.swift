import LoRAFormats
import LoRAJSON
import LoRAKit
import LoRATensor

extension InspectCommand.Report {
  /// What an adapter of any format holds, beside the weights of `base` where it is given.
  init(_ adapter: AdapterFile, base: AdapterBase?) throws {
    let description = adapter.description
    let layers = try description.layers.map { try LayerReport($0, base: base) }
    let silent = description.layers.filter(\.hasNoEffect)
    let methods = Set(description.layers.map(\.change.methodName)).sorted()
    object = [
      "kind": "adapter", "format": .string(adapter.format.rawValue),
      "method": .string(methods.map { $0.lowercased() }.joined(separator: "+")),
      "path": .string(adapter.path), "parameters": JSONValue(description.parameterCount),
      "zero_effect_layers": JSONValue(silent.count),
    ]
    lines = [
      "\(adapter.format.title) \(methods.joined(separator: " and ")) adapter, "
        + "\(grouped(description.parameterCount)) parameters in "
        + counted(description.layers.count, "layer")
    ]
    add(LayerGroup.groups(of: description.layers))
    if let configuration = adapter.peftConfiguration { add(configuration) }
    add(adapter.facts)
    addReplacements(description)
    object["layers"] = .array(layers.map { .object($0.json) })
    if let record = adapter.record { add(record) }
    var metadata = description.metadata
    metadata[AdapterRecord.metadataKey] = nil
    object["metadata"] = Self.json(metadata)
    lines += Self.metadataLines(metadata)
    let header =
      ["layer", "shape", "method", "rank", "scale", "norm"]
      + (base == nil ? [] : ["relative"]) + ["type", ""]
    lines += Self.table(layers.map { $0.cells(hasBase: base != nil) }, header: header)
    let suspicious = layers.filter(\.isSuspicious).map(\.layer.path)
    let unmatched = adapter.warnings()
    object["warnings"] = JSONValue(
      adapter.notes.map { "\($0)" } + suspicious.map { "\($0): \(LayerReport.suspicion)" }
        + unmatched)
    lines += unmatched.map { "warning: \($0)" }
    if let first = suspicious.first {
      lines.append(
        "warning: \(first)"
          + (suspicious.count > 1 ? " and \(suspicious.count - 1) more" : "") + ": "
          + LayerReport.suspicion)
    }
    if !silent.isEmpty {
      lines.append(
        description.hasNoEffect
          ? "the adapter has no effect: it computes what the base computes"
          : "\(silent.count) of \(description.layers.count) layers have no effect")
    }
  }

  private mutating func add(_ configuration: PEFTAdapterConfiguration) {
    object["base_model"] = configuration.baseModelName.map { .string($0) } ?? .null
    object["rank"] = JSONValue(configuration.rank)
    object["alpha"] = .number(configuration.alpha)
    object["dropout"] = .number(configuration.dropout)
    object["rslora"] = .bool(configuration.usesRankStabilizedScale)
    object["targets"] = configuration.targets.json
    lines += [
      "base model: \(configuration.baseModelName ?? "not named")",
      "rank \(configuration.rank), alpha \(configuration.alpha), dropout \(configuration.dropout)"
        + (configuration.usesRankStabilizedScale ? ", rank-stabilized scale" : ""),
      "targets: \(configuration.targets.json.encoded())",
    ]
  }

  private mutating func add(_ groups: [LayerGroup]) {
    object["groups"] = .array(groups.map { .object($0.json) })
    lines += groups.map { "  \($0.text)" }
  }

  private mutating func add(_ facts: [AdapterFile.Fact]) {
    object["made_by"] = .array(
      facts.map { ["name": .string($0.name), "value": .string($0.value)] })
    let isNamed = object["base_model"] != nil
    if facts.isEmpty { lines.append("made by: the file does not say") }
    lines += facts.filter { !(isNamed && $0.name == "base model") }.map {
      "\($0.name): \($0.value)"
    }
  }

  private mutating func addReplacements(_ description: AdapterDescription) {
    object["replacements"] = .array(
      description.replacements.map {
        ["path": .string($0.path), "shape": JSONValue($0.value.shape)]
      })
    object["replaced_rows"] = .array(
      description.replacedTokens.map { ["path": .string($0.path), "ids": JSONValue($0.ids)] })
    lines += description.replacements.map { "replaces \($0.path) \($0.value.shape)" }
    lines += description.replacedTokens.map {
      "replaces \(counted($0.ids.count, "token vector")) of \($0.path)"
    }
  }
}

/// A line of the table.
private struct LayerReport {
  let layer: AdapterDescription.Layer
  let shape: String
  /// The norm of the change; nil if only the base could tell.
  let norm: Double?
  /// The same over the norm of the base's weight; nil without a base.
  let relative: Double?

  init(_ layer: AdapterDescription.Layer, base: AdapterBase?) throws {
    self.layer = layer
    shape = layer.change.measured.extents
    let weight = try base?.weight(ofLayer: layer.path)
    var norm = layer.change.measured.norm
    if let weight, let change = layer.change.difference(from: weight) {
      norm = change.sumOfSquares().squareRoot()
    }
    self.norm = norm
    let whole = weight?.sumOfSquares().squareRoot() ?? 0
    relative = norm.flatMap { whole > 0 ? $0 / whole : nil }
  }

  static let suspicion =
    "a rank above the weight's both sides is unusual: the factors may lie transposed, "
    + "compare with --base"

  /// Whether the rank is above both extents, as of factors that lie the wrong way round.
  var isSuspicious: Bool {
    guard let change = layer.lowRank, change.a.shape.count == 2 else { return false }
    return change.rank > max(change.inputSize, change.outputSize)
  }

  var json: JSONObject {
    var object: JSONObject = [
      "path": .string(layer.path), "method": .string(layer.change.methodName.lowercased()),
      "rank": layer.change.measured.rankAndAlpha?.rank.map { JSONValue($0) } ?? .null,
      "scale": .number(layer.change.measured.scale), "norm": norm.map { .number($0) } ?? .null,
      "relative_norm": relative.map { .number($0) } ?? .null,
      "dtype": .string(layer.storedType.rawValue), "zero_effect": .bool(layer.hasNoEffect),
    ]
    if let change = layer.lowRank {
      object["shape"] = JSONValue([change.outputSize, change.inputSize])
      object["alpha"] = .number(change.alpha)
    }
    object["tensors"] = .array(
      layer.change.tensors.map {
        ["name": .string($0.name), "shape": JSONValue($0.tensor.shape)]
      })
    return object
  }

  func cells(hasBase: Bool) -> [String] {
    var cells = [layer.path.isEmpty ? "the model" : layer.path, shape, layer.change.methodName]
    cells.append(layer.change.measured.rankAndAlpha?.rank.map { "\($0)" } ?? "")
    cells.append(decimal(layer.change.measured.scale, 4))
    cells.append(
      layer.change.measured.isBeyondFloat32
        ? "overflows" : norm.map { $0.isFinite ? decimal($0, 6) : "overflows" } ?? "")
    if hasBase { cells.append(relative.map { $0.isFinite ? decimal($0, 6) : "overflows" } ?? "") }
    cells.append(layer.storedType.rawValue)
    cells.append(layer.hasNoEffect ? "no effect" : "")
    return cells
  }
}

extension PEFTAdapterConfiguration.Modules {
  /// As `adapter_config.json` writes it.
  var json: JSONValue {
    switch self {
    case .names(let names): JSONValue(names)
    case .pattern(let text): .string(text)
    case .allLinear: "all-linear"
    case .unspecified: nil
    }
  }
}
