package import LoRAFiles
import LoRATensor

/// An adapter of an image model as kohya's sd-scripts and LyCORIS write it: one safetensors file.
///
/// ```swift
/// let adapter = try KohyaAdapterFile(path: "style.safetensors")
/// adapter.description.layers[0].path      // "text_encoder.text_model.encoder.layers.0.mlp.fc1"
/// adapter.description.metadata["ss_tag_frequency"]
/// ```
///
/// A layer `lora_unet_mid_block_attentions_0_proj_in` has `.lora_down.weight` [r, in], with the
/// kernel's extents behind in convolutions, `.lora_up.weight` [out, r] and `.alpha`, which is the
/// rank where it is missing or 0. LyCORIS adds `.lora_mid.weight` (LoCon), `.hada_*` (LoHa),
/// `.lokr_*` (LoKr) and `.dora_scale`.
///
/// In these names underscores stand for dots and for themselves. They are told apart by the names of
/// the modules of Stable Diffusion 1, 2 and XL, in diffusers' and in the original spelling; names
/// that begin with `lycoris_` by the modules of a model that the caller gives.
package struct KohyaAdapterFile: Sendable {
  /// The factors; paths as in diffusers' pipelines, "unet.mid_block.attentions.0.proj_in".
  package var description: AdapterDescription

  /// Creates an adapter in memory, see ``write(to:)``.
  package init(description: AdapterDescription) { self.description = description }

  /// Reads the file at `path`. `modules` are the paths of the base model's layers, for names that
  /// begin with `lycoris_`.
  package init(path: String, modules: [String] = []) throws(FormatError) {
    let file = try SafetensorsFile(path: path, access: .copied)
    self.init(description: try Self.read(file, modules: modules))
  }

  /// A layer's parts, by the ends of their names.
  static let parts: Set<String> = [
    "lora_down.weight", "lora_up.weight", "lora_mid.weight", "alpha", "dora_scale", "hada_w1_a",
    "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2", "lokr_w1", "lokr_w1_a",
    "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
  ]

  /// Parts of what LyCORIS can do and this library cannot.
  static let unsupportedParts: [(part: String, method: String)] = [
    ("diff", "whole differences of weights (full)"), ("diff_b", "differences of biases (full)"),
    ("w_norm", "trained norms"), ("b_norm", "trained norms"), ("oft_blocks", "OFT or BOFT"),
    ("rescale", "OFT or BOFT"), ("oft_diag", "OFT or BOFT"), ("a1.weight", "GLoRA"),
    ("a2.weight", "GLoRA"), ("b1.weight", "GLoRA"), ("b2.weight", "GLoRA"),
    ("on_input", "LyCORIS's IA3"), ("scalar", "a trained scalar"), ("lokr_t1", "LoKr's t1"),
    ("emb_params", "textual inversion"), ("reft_lora", "ReFT"),
  ]

  private static func read(
    _ file: SafetensorsFile, modules: [String]
  ) throws(FormatError) -> AdapterDescription {
    let others = Dictionary(
      modules.map { (ImageModuleNames.underscored($0), $0) },
      uniquingKeysWith: { first, _ in first })
    var table = FactorTable(file)
    for name in file.names {
      let pieces = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
      let part = pieces.count == 2 ? String(pieces[1]) : ""
      if let unsupported = unsupportedParts.first(where: { part == $0.part }) {
        throw FormatError(
          .unsupported, file: file.path, tensor: name, "\(unsupported.method) is not supported",
          remedy: "supported are LoRA, LoCon, LoHa and LoKr, with or without dora_scale")
      }
      guard parts.contains(part) else {
        throw FormatError(
          .unexpectedTensor, file: file.path, tensor: name,
          "it is no part of an adapter: expected '<layer>.lora_down.weight', '.lora_up.weight', "
            + "'.lora_mid.weight', '.alpha', '.dora_scale', '.hada_...' or '.lokr_...'")
      }
      guard let path = ImageModuleNames.path(ofKohya: String(pieces[0]), modules: others) else {
        throw unknown(String(pieces[0]), name, file, hasModules: !modules.isEmpty)
      }
      try table.add(name, path: path, part: part)
    }
    guard !table.paths.isEmpty else {
      throw FormatError(
        .missingTensor, file: file.path, problem: "the file holds no factors of an adapter")
    }
    var layers: [AdapterDescription.Layer] = []
    for path in table.paths { layers.append(try layer(path, table)) }
    return AdapterDescription(layers: layers, metadata: file.metadata)
  }

  private static func unknown(
    _ layer: String, _ name: String, _ file: SafetensorsFile, hasModules: Bool
  ) -> FormatError {
    let isGeneric = layer.hasPrefix(ImageModuleNames.genericPrefix)
    return FormatError(
      isGeneric && !hasModules ? .unsupported : .unexpectedTensor, file: file.path, tensor: name,
      isGeneric
        ? (hasModules
          ? "the base model has no module of this name"
          : "its name does not say which underscores were dots")
        : "no module of Stable Diffusion 1, 2 or XL is called '\(layer)'",
      remedy: isGeneric
        ? "give the base model that it was made for"
        : "adapters of other image models open in diffusers' format: convert it there first")
  }
}

// MARK: - Layers

extension KohyaAdapterFile {
  private static func layer(
    _ path: String, _ table: FactorTable
  ) throws(FormatError) -> AdapterDescription.Layer {
    let parts = table.parts(of: path)
    let kinds = ["lora_", "hada_", "lokr_"].filter { kind in
      parts.contains { $0.hasPrefix(kind) }
    }
    let first = parts.sorted().first.flatMap { table.name(path, $0) } ?? path
    guard let kind = kinds.first else {
      throw FormatError(
        .missingTensor, file: table.file.path, tensor: first,
        "the layer has no factors beside it",
        remedy: "the file is incomplete: copy or save it again")
    }
    guard kinds.count == 1 else {
      throw FormatError(
        .unexpectedTensor, file: table.file.path, tensor: first,
        "the layer has factors of several methods: \(listed(parts.sorted()))",
        remedy: "keep one method a layer")
    }
    switch kind {
    case "lora_": return try lowRank(path, table)
    case "hada_": return try hadamard(path, table)
    default: return try kronecker(path, table)
    }
  }

  /// Alpha, and what it means.
  private static func alpha(
    _ path: String, _ rank: Int, _ table: FactorTable
  ) throws(FormatError) -> Double {
    let alpha = try table.scalar(path, "alpha") ?? 0
    return alpha == 0 ? Double(rank) : alpha
  }

  /// `dora_scale`, [out, 1, ...] as [out] and [1, in, ...] as [1, in].
  private static func magnitude(
    _ path: String, outputs: Int, inputs: Int?, _ table: FactorTable
  ) throws(FormatError) -> FactorTable.Factor? {
    guard var factor = try table.optional(path, "dora_scale") else { return nil }
    let shape = factor.shape.dimensions
    let isTrailed = shape.dropFirst(2).allSatisfy { $0 == 1 }
    if isTrailed, shape.first == outputs, shape.count == 1 || shape[1] == 1 {
      factor.tensor = factor.tensor.reshaped(to: [outputs])
    } else if isTrailed, shape.count >= 2, shape[0] == 1, inputs == nil || shape[1] == inputs {
      factor.tensor = factor.tensor.reshaped(to: [1, shape[1]])
    } else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: factor.name,
        "expected [\(outputs), 1] or [1, \(inputs.map { "\($0)" } ?? "inputs")], "
          + "found \(factor.shape)")
    }
    return factor
  }

  private static func lowRank(
    _ path: String, _ table: FactorTable
  ) throws(FormatError) -> AdapterDescription.Layer {
    let a = try table.required(path, "lora_down.weight")
    let b = try table.required(path, "lora_up.weight")
    let middle = try table.optional(path, "lora_mid.weight")
    try table.checkPair(a, b)
    let rank = a.shape[0]
    if let middle {
      try check(
        middle, table, [rank, rank], "the rank \(rank) of '\(a.name)'",
        isCore: true)
      guard a.shape.dimensions.dropFirst(2).allSatisfy({ $0 == 1 }) else {
        throw FormatError(
          .shapeMismatch, file: table.file.path, tensor: a.name,
          "beside '\(middle.name)' expected a kernel of extent 1, found \(a.shape)")
      }
    }
    let alpha = try alpha(path, rank, table)
    let magnitude = try magnitude(path, outputs: b.shape[0], inputs: a.shape[1], table)
    return AdapterDescription.Layer(
      path: path,
      change: LowRankChange(
        a: a.tensor, b: b.tensor, middle: middle?.tensor, alpha: alpha,
        scale: alpha / Double(rank), magnitude: magnitude?.tensor),
      storedType: FactorTable.commonType([a, b, middle, magnitude]))
  }

  /// Throws unless `factor` has the shape `expected`, with the kernel's extents behind if it is a
  /// core.
  private static func check(
    _ factor: FactorTable.Factor, _ table: FactorTable, _ expected: [Int], _ reason: String,
    isCore: Bool = false
  ) throws(FormatError) {
    let shape = factor.shape.dimensions
    let fits = isCore ? shape.count > 2 && Array(shape.prefix(2)) == expected : shape == expected
    guard fits else {
      let text = expected.map { "\($0)" }.joined(separator: ", ") + (isCore ? ", kernel" : "")
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: factor.name,
        "expected [\(text)] for \(reason), found \(factor.shape)",
        remedy: "the factors come from different adapters, or lie transposed")
    }
  }

  private static func matrix(
    _ factor: FactorTable.Factor, _ table: FactorTable
  ) throws(FormatError) {
    guard factor.shape.count == 2 else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: factor.name,
        "expected a matrix, found \(factor.shape)")
    }
  }

  private static func hadamard(
    _ path: String, _ table: FactorTable
  ) throws(FormatError) -> AdapterDescription.Layer {
    let b1 = try table.required(path, "hada_w1_a")
    let a1 = try table.required(path, "hada_w1_b")
    let b2 = try table.required(path, "hada_w2_a")
    let a2 = try table.required(path, "hada_w2_b")
    let hasCores = !table.parts(of: path).isDisjoint(with: ["hada_t1", "hada_t2"])
    let t1 = hasCores ? try table.required(path, "hada_t1") : nil
    let t2 = hasCores ? try table.required(path, "hada_t2") : nil
    for factor in [b1, a1, b2, a2] { try matrix(factor, table) }
    let (rank, inputs) = (a1.shape[0], a1.shape[1])
    let outputs = b1.shape[hasCores ? 1 : 0]
    let reason = "the rank \(rank) of '\(a1.name)'"
    for b in [b1, b2] {
      try check(b, table, hasCores ? [rank, outputs] : [outputs, rank], reason)
    }
    try check(a2, table, [rank, inputs], reason)
    for core in [t1, t2] {
      if let core { try check(core, table, [rank, rank], reason, isCore: true) }
    }
    if let t1, let t2, t1.shape != t2.shape {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: t2.name,
        "its shape \(t2.shape) is not the shape \(t1.shape) of '\(t1.name)'")
    }
    let alpha = try alpha(path, rank, table)
    let magnitude = try magnitude(path, outputs: outputs, inputs: nil, table)
    return AdapterDescription.Layer(
      path: path,
      change: HadamardChange(
        b1: b1.tensor, a1: a1.tensor, b2: b2.tensor, a2: a2.tensor, t1: t1?.tensor,
        t2: t2?.tensor, alpha: alpha, scale: alpha / Double(rank),
        magnitude: magnitude?.tensor),
      storedType: FactorTable.commonType([b1, a1, b2, a2, t1, t2, magnitude]))
  }

  private static func kronecker(
    _ path: String, _ table: FactorTable
  ) throws(FormatError) -> AdapterDescription.Layer {
    typealias Factor = KroneckerChange.Factor
    let parts = table.parts(of: path)
    var used: [FactorTable.Factor?] = []
    var extents: [(Int, Int)] = []
    var ranks: [Int] = []
    func factor(_ name: String) throws(FormatError) -> Factor {
      if parts.contains(name) {
        if let other = parts.first(where: { $0.hasPrefix(name + "_") }) {
          throw FormatError(
            .duplicate, file: table.file.path, tensor: table.name(path, other) ?? other,
            "the layer has '\(name)' whole beside it", remedy: "keep one of them")
        }
        let whole = try table.required(path, name)
        guard whole.shape.count >= 2 else {
          throw FormatError(
            .shapeMismatch, file: table.file.path, tensor: whole.name,
            "expected a matrix, found \(whole.shape)")
        }
        used.append(whole)
        extents.append((whole.shape[0], whole.shape[1]))
        return .whole(whole.tensor)
      }
      let left = try table.required(path, name + "_a")
      let right = try table.required(path, name + "_b")
      try matrix(left, table)
      try matrix(right, table)
      used += [left, right]
      let rank = right.shape[0]
      ranks.append(rank)
      if name == "lokr_w2", let core = try table.optional(path, "lokr_t2") {
        try check(left, table, [rank, left.shape[1]], "the rank \(rank) of '\(right.name)'")
        try check(
          core, table, [rank, rank], "the rank \(rank) of '\(right.name)'", isCore: true)
        used.append(core)
        extents.append((left.shape[1], right.shape[1]))
        return .tucker(left.tensor, right.tensor, core: core.tensor)
      }
      try check(left, table, [left.shape[0], rank], "the rank \(rank) of '\(right.name)'")
      extents.append((left.shape[0], right.shape[1]))
      return .product(left.tensor, right.tensor)
    }
    let first = try factor("lokr_w1")
    let second = try factor("lokr_w2")
    if parts.contains("lokr_t2"), !parts.contains("lokr_w2_a") {
      throw FormatError(
        .unexpectedTensor, file: table.file.path, tensor: table.name(path, "lokr_t2") ?? path,
        "a core needs 'lokr_w2_a' and 'lokr_w2_b'")
    }
    guard ranks.allSatisfy({ $0 == ranks.first }) else {
      throw FormatError(
        .shapeMismatch, file: table.file.path,
        tensor: table.name(path, "lokr_w2_b") ?? path,
        "its rank \(ranks.last ?? 0) is not the rank \(ranks.first ?? 0) of "
          + "'\(table.name(path, "lokr_w1_b") ?? "")'")
    }
    // Two whole factors are not scaled, whatever alpha says.
    let stored = try table.scalar(path, "alpha") ?? 0
    let rank = ranks.first
    let alpha = stored == 0 ? Double(rank ?? 1) : stored
    let (outputs, overflow) = extents[0].0.multipliedReportingOverflow(by: extents[1].0)
    guard !overflow else {
      throw FormatError(
        .shapeMismatch, file: table.file.path, tensor: used[0]?.name ?? path,
        "the Kronecker product is larger than memory")
    }
    let magnitude = try magnitude(path, outputs: outputs, inputs: nil, table)
    return AdapterDescription.Layer(
      path: path,
      change: KroneckerChange(
        first: first, second: second, rank: rank, alpha: alpha,
        scale: rank.map { alpha / Double($0) } ?? 1, magnitude: magnitude?.tensor),
      storedType: FactorTable.commonType(used + [magnitude]))
  }
}
