import LoRAJSON
import LoRAKit

extension InspectCommand.Report {
  /// What a PEFT adapter holds.
  init(_ adapter: PEFTAdapterFile, path: String) {
    let configuration = adapter.configuration
    let layers = adapter.description.layers.compactMap { layer in
      layer.lowRank.map { (path: layer.path, change: $0, storedType: layer.storedType) }
    }
    let parameters = adapter.description.parameterCount
    let silent = adapter.description.layers.filter(\.hasNoEffect)
    object = [
      "kind": "adapter", "format": "peft", "method": "lora", "path": .string(path),
      "base_model": configuration.baseModelName.map { .string($0) } ?? .null,
      "rank": JSONValue(configuration.rank), "alpha": .number(configuration.alpha),
      "dropout": .number(configuration.dropout),
      "rslora": .bool(configuration.usesRankStabilizedScale),
      "targets": configuration.targets.json, "parameters": JSONValue(parameters),
      "zero_effect_layers": JSONValue(silent.count),
    ]
    object["layers"] = .array(
      layers.map { layer in
        [
          "path": .string(layer.path),
          "shape": JSONValue([layer.change.outputSize, layer.change.inputSize]),
          "rank": JSONValue(layer.change.rank), "alpha": .number(layer.change.alpha),
          "scale": .number(layer.change.scale), "norm": .number(layer.change.changeNorm),
          "dtype": .string(layer.storedType.rawValue),
          "zero_effect": .bool(layer.change.hasNoEffect),
        ]
      })
    object["metadata"] = Self.json(adapter.description.metadata)

    lines = [
      "PEFT LoRA adapter, \(grouped(parameters)) parameters in \(layers.count) layers",
      "base model: \(configuration.baseModelName ?? "not named")",
      "rank \(configuration.rank), alpha \(configuration.alpha), dropout \(configuration.dropout)"
        + (configuration.usesRankStabilizedScale ? ", rank-stabilized scale" : ""),
      "targets: \(configuration.targets.json.encoded())",
    ]
    lines += Self.metadataLines(adapter.description.metadata)
    lines += Self.table(
      layers.map { layer in
        [
          layer.path, "\(layer.change.outputSize)x\(layer.change.inputSize)",
          "\(layer.change.rank)",
          decimal(layer.change.scale, 4), decimal(layer.change.changeNorm, 6),
          layer.storedType.rawValue, layer.change.hasNoEffect ? "no effect" : "",
        ]
      }, header: ["layer", "shape", "rank", "scale", "norm", "type", ""])
    if !silent.isEmpty {
      lines.append(
        silent.count == layers.count
          ? "the adapter has no effect: it computes what the base computes"
          : "\(silent.count) of \(layers.count) layers have no effect")
    }
  }
}

extension LowRankChange {
  /// The Frobenius norm of scale · B A, which is not formed: ‖B A‖² is the sum of the products of
  /// the elements of Bᵀ B and A Aᵀ.
  var changeNorm: Double {
    let left = b.matrixProduct(with: b, transposeSelf: true).scalars(as: Float.self)
    let right = a.matrixProduct(with: a, transposeOther: true).scalars(as: Float.self)
    let square = zip(left, right).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
    return abs(scale) * max(0, square).squareRoot()
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
