package import LoRAFiles
import LoRATensor

/// An adapter as Microsoft's loralib has it: a state dictionary with `<path>.lora_A` [r, in] and
/// `<path>.lora_B` [out, r], as a safetensors file.
///
/// ```swift
/// let adapter = try LoralibAdapterFile(path: "lora.safetensors", alpha: 16)
/// adapter.description.layers[0].lowRank?.scale  // 16 / r
/// ```
///
/// The file does not hold alpha: it is an argument of the training program. loralib's `MergedLinear`
/// keeps the factors of several projections in one pair, [groups r, in] and [outputs of the groups,
/// r]; which projections these are is not in the file either.
///
/// Beside the factors a file may have what was trained with them: the head of a classifier, as the
/// published checkpoints of RoBERTa and DeBERTa have it, and biases. These replace the base's.
///
/// Source: Hu et al., *LoRA: low-rank adaptation of large language models*, 2022.
package struct LoralibAdapterFile: Sendable {
  /// The factors.
  package var description: AdapterDescription

  /// Creates an adapter in memory, see ``write(to:)``.
  package init(description: AdapterDescription) { self.description = description }

  /// Reads the file at `path`.
  ///
  /// - Parameters:
  ///   - path: the file.
  ///   - alpha: the alpha that it was trained with, loralib's `lora_alpha`. Without it the scale is
  ///     unknown, which is an error.
  ///   - groups: of a merged projection, which parts of its output have an adapter, loralib's
  ///     `enable_lora`: `[true, false, true]` for q and v of q, k, v. A pair of merged factors
  ///     becomes one of the sum of their ranks, the same function.
  package init(path: String, alpha: Double? = nil, groups: [Bool]? = nil) throws(FormatError) {
    let file = try SafetensorsFile(path: path, access: .copied)
    var table = FactorTable(file)
    var others: [String] = []
    for name in file.names {
      let part = ["lora_A", "lora_B"].first { name.hasSuffix(".\($0)") }
      if let part, name.utf8.count > part.utf8.count + 1 {
        try table.add(name, path: String(name.dropLast(part.count + 1)), part: part)
      } else {
        others.append(name)
      }
    }
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: path, problem: "the file holds no factors of an adapter")
    }
    var replacements: [AdapterDescription.Replacement] = []
    for name in others { replacements.append(try Self.replacement(name, table)) }
    guard let alpha else {
      throw FormatError(
        .missingKey, file: path, key: "alpha",
        "loralib's files do not hold it, and without it the scale is unknown",
        remedy: "give the lora_alpha of the training program (--alpha)")
    }
    guard alpha.isFinite else {
      throw FormatError(.invalidValue, file: path, key: "alpha", "\(alpha) is not a finite number")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths {
      layers.append(try Self.layer(path, table, alpha: alpha, groups: groups))
    }
    description = AdapterDescription(
      layers: layers, replacements: replacements, metadata: file.metadata)
  }

  /// A parameter that was trained beside the factors. The weight of a layer that has factors is the
  /// base's own: then the file is the whole model's.
  private static func replacement(
    _ name: String, _ table: FactorTable
  ) throws(FormatError) -> AdapterDescription.Replacement {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    let module = parts.dropLast().joined(separator: ".")
    let isAdapted = !table.parts(of: module).isEmpty
    guard !module.isEmpty, parts.last == "bias" || parts.last == "weight" && !isAdapted else {
      throw FormatError(
        .unexpectedTensor, file: table.file.path, tensor: name,
        isAdapted
          ? "it is no factor, and its layer has factors: the file seems to hold the whole model"
          : "it is neither '<path>.lora_A' nor '<path>.lora_B', nor a weight or bias that was trained "
            + "with them",
        remedy: "save the factors and the head alone: lora_state_dict(model, bias='none')")
    }
    let factor = try FactorTable.factor(named: name, in: table.file)
    return AdapterDescription.Replacement(
      path: name, value: factor.tensor, storedType: factor.storedType)
  }

  private static func layer(
    _ path: String, _ table: FactorTable, alpha: Double, groups: [Bool]?
  ) throws(FormatError) -> AdapterDescription.Layer {
    let a = try table.required(path, "lora_A")
    let b = try table.required(path, "lora_B")
    let type = FactorTable.commonType([a, b])
    if a.shape.count == 2, b.shape.count == 2, a.shape[0] != b.shape[1],
      a.shape[0] % b.shape[1] == 0, a.shape[1] != b.shape[0]
    {
      return try merged(path, a, b, table, alpha: alpha, groups: groups)
    }
    guard a.shape.count == 2, b.shape.count == 2 else {
      throw FormatError(
        .unsupported, file: table.file.path, tensor: a.name,
        "loralib's convolutions, \(a.shape) and \(b.shape), are not supported")
    }
    try table.checkPair(a, b)
    let rank = a.shape[0]
    return AdapterDescription.Layer(
      path: path, a: a.tensor, b: b.tensor, alpha: alpha, scale: alpha / Double(rank),
      storedType: type)
  }

  /// One pair of the factors of all groups: A as it is, B with each group's rows beside its own
  /// ranks and zeros elsewhere.
  private static func merged(
    _ path: String, _ a: FactorTable.Factor, _ b: FactorTable.Factor, _ table: FactorTable,
    alpha: Double, groups: [Bool]?
  ) throws(FormatError) -> AdapterDescription.Layer {
    let rank = b.shape[1]
    let count = a.shape[0] / rank
    let problem =
      "\(a.shape) and \(b.shape) of '\(b.name)' are the factors of \(count) projections in one"
    guard let groups else {
      throw FormatError(
        .unsupported, file: table.file.path, tensor: a.name, problem,
        remedy: "give which parts of the output have an adapter, as loralib's enable_lora says")
    }
    guard groups.count(where: { $0 }) == count, b.shape[0] % count == 0 else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: a.name,
        "\(problem), but \(groups) enables \(groups.count(where: { $0 }))")
    }
    let rows = b.shape[0] / count
    let (height, overflow) = rows.multipliedReportingOverflow(by: groups.count)
    guard !overflow, Shape(checking: [height, a.shape[0]]) != nil else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: b.name, "it is larger than memory")
    }
    var blocks: [Tensor] = []
    var group = 0
    for isEnabled in groups {
      guard isEnabled else {
        blocks.append(.zeros([rows, a.shape[0]]))
        continue
      }
      let own = b.tensor[rows: group * rows..<(group + 1) * rows]
      blocks.append(
        Tensor.concatenated(
          [
            .zeros([rows, group * rank]), own, .zeros([rows, (count - 1 - group) * rank]),
          ].filter { $0.elementCount > 0 }, axis: 1))
      group += 1
    }
    return AdapterDescription.Layer(
      path: path, a: a.tensor, b: Tensor.concatenated(blocks), alpha: alpha * Double(count),
      scale: alpha / Double(rank), storedType: FactorTable.commonType([a, b]))
  }
}

// MARK: - Writing

extension LoralibAdapterFile {
  /// The adapter as loralib can hold it, with one alpha for all layers, and what had to be done for
  /// that. `alpha` is the one to read it with; nil takes the commonest. Layers of another alpha get
  /// theirs folded into B.
  package static func fitting(
    _ description: AdapterDescription, alpha: Double? = nil, file: String = "adapter"
  ) throws(FormatError) -> (file: LoralibAdapterFile, alpha: Double, notes: [AdapterNote]) {
    if let tokens = description.replacedTokens.first {
      throw FormatError(
        .unsupported, file: file, subject: "embedding '\(tokens.path)'",
        problem: "loralib files cannot hold trained token vectors",
        remedy: "write it as PEFT, or train it without")
    }
    for layer in description.layers {
      guard let change = layer.lowRank, change.isPlain else {
        throw description.refusal(
          layer.path, .loralib, file,
          layer.lowRank == nil || layer.lowRank?.magnitude != nil
            ? layer.change.methodName : "more than two matrices")
      }
    }
    let changes = description.layers.compactMap(\.lowRank)
    let alphas = changes.map { $0.scale * Double($0.rank) }
    let common = alpha ?? commonest(alphas.filter { $0 != 0 }) ?? 1
    var (result, notes) = description.folding { change in
      let scale = common / Double(change.rank)
      // The same number by another way round, as for a rank of 3.
      return abs(scale - change.scale) <= 1e-15 * abs(scale)
        ? (change.scale, common) : (scale, common)
    }
    for index in result.layers.indices {
      guard var change = result.layers[index].lowRank else { continue }
      change.alpha = common
      result.layers[index].change = change
    }
    notes.append(AdapterNote(text: "the file does not hold alpha: read it with \(common)"))
    if result.metadata["format"] != nil { result.metadata["format"] = "pt" }
    return (LoralibAdapterFile(description: result), common, notes)
  }

  /// Writes the file at `path`, atomically. Alpha is not in it. Throws `FormatError` for what
  /// loralib cannot hold, `FileError` if writing fails.
  package func write(to path: String) throws {
    try AtomicFile.writeAll([try part(path: path)])
  }

  func part(path: String) throws(FormatError) -> AtomicFile.Part {
    var tensors: [(name: String, tensor: Tensor)] = []
    for layer in description.layers {
      guard let change = layer.lowRank, change.isPlain else {
        throw description.refusal(layer.path, .loralib, path, layer.change.methodName)
      }
      tensors.append(
        (
          "\(layer.path).lora_A",
          try change.a.stored(as: layer.storedType, named: "\(layer.path).lora_A", file: path)
        ))
      tensors.append(
        (
          "\(layer.path).lora_B",
          try change.b.stored(as: layer.storedType, named: "\(layer.path).lora_B", file: path)
        ))
    }
    for replacement in description.replacements {
      tensors.append((replacement.path, replacement.value.converted(to: replacement.storedType)))
    }
    return try SafetensorsWriter.part(tensors, metadata: description.metadata, path: path)
  }
}
