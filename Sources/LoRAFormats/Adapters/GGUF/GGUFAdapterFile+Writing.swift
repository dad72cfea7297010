package import LoRAArchitectures
package import LoRAFiles
import LoRATensor

extension GGUFAdapterFile {
  /// The type that factors are written in.
  package enum FactorType: String, Sendable, Hashable, CaseIterable {
    /// The type that each had where it came from, which loses nothing; factors that a scale had to
    /// be folded into are float32.
    case asStored
    /// Float32, which loses nothing and is the most accurate in llama.cpp: of narrower factors it
    /// multiplies by activations rounded to the same type.
    case float32
    /// Float16: rounds what does not fit it.
    case float16
    /// Bfloat16: rounds what does not fit it.
    case bfloat16
  }

  /// What had to be changed to fit the format.
  package struct Report: Sendable, Hashable {
    /// The file's alpha; 0 stands for a scale of 1.
    package var alpha: Double
    /// The paths of the layers whose scale was folded into B, which rounds each of its numbers to
    /// float32 once. The factors of all others are as they were, unless a narrower type was asked
    /// for.
    package var foldedLayers: [String]
  }

  /// Writes an adapter to the file at `path`, for models of `base`, atomically.
  ///
  /// The format has one alpha and takes alpha / rank for every layer's scale. The alpha that fits the
  /// most layers is written; where it does not fit, as under rsLoRA with several ranks, the ratio is
  /// folded into B in float32. Compare ``Report/foldedLayers``.
  ///
  /// Throws `FormatError` if the format has no place for something, by its name: methods other than
  /// LoRA, DoRA's magnitudes, biases, convolutions, replaced parameters and token vectors, an adapter on
  /// an output head that the base shares with its embedding, layers that llama.cpp adds no adapter to.
  /// Throws `FileError` if writing fails.
  @discardableResult
  package static func write(
    _ description: AdapterDescription, base: GGUFBase, as type: FactorType = .asStored,
    to path: String
  ) throws -> Report {
    let (part, report) = try part(description, base: base, as: type, path: path)
    try AtomicFile.writeAll([part])
    return report
  }

  /// The file as one of several that are written together with `AtomicFile/writeAll(_:)`, and what
  /// had to be changed. Throws as ``write(_:base:as:to:)`` does.
  package static func part(
    _ description: AdapterDescription, base: GGUFBase, as type: FactorType = .asStored,
    path: String
  ) throws(FormatError) -> (part: AtomicFile.Part, report: Report) {
    let writer = try AdapterWriter(base: base, type: type, file: path)
    let changes = try writer.changes(description)
    let alpha = Self.fittingAlpha(changes.map(\.change))
    var items: [GGUFWriter.Item] = []
    var report = Report(alpha: Double(alpha), foldedLayers: [])
    var stacks: [ExpertFactors] = []
    for layer in changes {
      let isFolded = !Self.fits(layer.change, alpha)
      if isFolded { report.foldedLayers.append(layer.path) }
      let own = try writer.factors(layer, foldingFor: isFolded ? alpha : nil)
      guard let expert = layer.expert else {
        items += own.map { .init(name: "\(layer.stem).\($0.name)", tensor: $0.tensor) }
        continue
      }
      let index = stacks.firstIndex { $0.stem == layer.stem } ?? stacks.count
      if index == stacks.count {
        stacks.append(
          ExpertFactors(stem: layer.stem, count: base.shapes?[layer.stem]?.dimensions.first))
      }
      stacks[index].add(own.map(\.tensor), of: expert)
    }
    for stack in stacks { items += try stack.items(file: path) }
    let keyValues = writer.keyValues(alpha, description.metadata)
    return (try GGUFWriter.part(keyValues, tensors: items, path: path), report)
  }
}

// MARK: - Alpha

extension GGUFAdapterFile {
  /// Whether `alpha` makes the change's scale, to one rounding to float32.
  static func fits(_ change: LowRankChange, _ alpha: Float) -> Bool {
    if alpha == 0 { return change.scale == 1 }
    let scale = Double(alpha) / Double(change.rank)
    return (scale - change.scale).magnitude <= change.scale.magnitude * 0x1.01p-24
  }

  /// The alpha that fits the most layers, the first of them if several do; 0, which llama.cpp takes
  /// for a scale of 1 whatever the rank, only if it fits more than any other.
  static func fittingAlpha(_ changes: [LowRankChange]) -> Float {
    var candidates: [Float] = []
    for change in changes {
      let alpha = Float(change.scale * Double(change.rank))
      if alpha.isFinite, alpha != 0, !candidates.contains(alpha) { candidates.append(alpha) }
    }
    var best = (alpha: candidates.first ?? 1, count: 0)
    for alpha in candidates + [0] {
      let count = changes.count { fits($0, alpha) }
      if count > best.count { best = (alpha, count) }
    }
    return best.alpha
  }
}

// MARK: - Layers

/// A layer that the format can hold.
private struct WritableLayer {
  var path: String
  /// The base's tensor.
  var stem: String
  var module: TensorName
  var change: LowRankChange
  var storedType: DType
  /// Whose it is, if the tensor is of all experts.
  var expert: Int?
}

private struct AdapterWriter {
  let base: GGUFBase
  let type: GGUFAdapterFile.FactorType
  let file: String
  let names: GGUFTensorNames

  init(
    base: GGUFBase, type: GGUFAdapterFile.FactorType, file: String
  ) throws(FormatError) {
    guard let names = GGUFTensorNames(base) else {
      throw FormatError(
        .unsupported, file: file,
        problem: "the names that GGUF files give the tensors of '\(base.architecture)' are not "
          + "known",
        remedy: "known are \(listed(Architecture.ggufNames, limit: 64))")
    }
    self.base = base
    self.type = type
    self.file = file
    self.names = names
  }

  private static let merging =
    "merge the adapter into the model, and convert that with llama.cpp's convert_hf_to_gguf.py"

  private func unsupported(_ subject: String, _ problem: String) -> FormatError {
    FormatError(
      .unsupported, file: file, subject: subject, problem: problem, remedy: Self.merging)
  }

  func changes(_ description: AdapterDescription) throws(FormatError) -> [WritableLayer] {
    if let first = description.replacements.first {
      throw unsupported(
        "'\(first.path)'", "the format has no place for parameters that an adapter replaces")
    }
    if let first = description.replacedTokens.first {
      throw unsupported(
        "'\(first.path)'", "the format has no place for trained token vectors")
    }
    var layers: [WritableLayer] = []
    var paths: [ExactName: String] = [:]
    for layer in names.separatingPairs(description.layers) {
      let writable = try writable(layer)
      let place = writable.expert.map { "\(writable.stem)[\($0)]" } ?? writable.stem
      if let other = paths.updateValue(layer.path, forKey: ExactName(place)) {
        throw FormatError(
          .duplicate, file: file, subject: "layer '\(layer.path)'",
          problem: "layer '\(other)' is the same tensor '\(writable.stem)'")
      }
      layers.append(writable)
    }
    guard !layers.isEmpty else {
      throw FormatError(.missingTensor, file: file, problem: "the adapter has no layers")
    }
    return layers
  }

  private func writable(
    _ layer: AdapterDescription.Layer
  ) throws(FormatError) -> WritableLayer {
    let subject = "layer '\(layer.path)'"
    guard let (module, name) = names.module(atPath: layer.path) else {
      throw FormatError(
        .unsupported, file: file, subject: subject,
        problem: "models of '\(base.architecture)' have no such layer",
        remedy: "check that the adapter belongs to this base")
    }
    guard let change = layer.lowRank else {
      throw unsupported(subject, "the format has LoRA's factors, not \(layer.change.methodName)'s")
    }
    if change.magnitude != nil {
      throw unsupported(subject, "the format has no place for DoRA's magnitudes")
    }
    if change.bias != nil {
      throw unsupported(subject, "the format has no place for a bias of B (lora_bias)")
    }
    if change.middle != nil || change.a.shape.count != 2 {
      throw unsupported(subject, "the format has no place for convolutions")
    }
    if !module.hasAdaptersInGGUF {
      throw unsupported(subject, "llama.cpp adds no adapter to '\(name).weight'")
    }
    guard change.isEmbedding == (module.kind == .embedding) else {
      throw FormatError(
        .invalidValue, file: file, subject: subject,
        problem: change.isEmbedding
          ? "its factors are an embedding's, the layer is none"
          : "the layer is an embedding, its factors are not an embedding's")
    }
    guard change.scale.isFinite else {
      throw FormatError(
        .nonFinite, file: file, subject: subject, problem: "its scale is \(change.scale)")
    }
    try checkBase(name + ".weight", module, change, subject)
    return WritableLayer(
      path: layer.path, stem: name + ".weight", module: module, change: change,
      storedType: layer.storedType,
      expert: module.kind == .expert ? names.expert(layer.path) : nil)
  }

  private func checkBase(
    _ stem: String, _ module: TensorName, _ change: LowRankChange, _ subject: String
  ) throws(FormatError) {
    if !base.hasOutputHead, module.kind == .head {
      throw unsupported(
        subject,
        "the base's head is its embedding: its file has no '\(stem)' to add an adapter to")
    }
    if !base.hasOutputHead, module.kind == .embedding {
      throw unsupported(
        subject,
        "the base's head is its embedding: llama.cpp would apply the embedding's adapter to the "
          + "head too, and fail")
    }
    if let shapes = base.shapes {
      guard let shape = shapes[stem] else {
        let fused = stem.replacing(/attn_[qkv]\./, with: "attn_qkv.")
        throw unsupported(
          subject,
          shapes[fused] == nil
            ? "the base has no tensor '\(stem)'"
            : "the base has queries, keys and values fused in '\(fused)'")
      }
      let found: Shape =
        module.kind == .embedding
        ? [change.inputSize, change.outputSize] : [change.outputSize, change.inputSize]
      let isStack = module.kind == .expert && shape.count == 3
      guard isStack ? Shape(Array(shape.dimensions.dropFirst())) == found : shape == found else {
        throw FormatError(
          .shapeMismatch, file: file, subject: subject,
          problem: "its factors are for a tensor \(found), the base's '\(stem)' is \(shape)",
          remedy: "give the base that the adapter was trained on")
      }
    } else if let count = base.rowCount(of: module.order), change.outputSize != count {
      throw FormatError(
        .shapeMismatch, file: file, subject: subject,
        problem: "it has \(change.outputSize) outputs, the base "
          + (module.order == .fusedHeads
            ? "\(count) of its \(base.headCount) heads of \(base.headSize) and their keys and values"
            : "\(count / base.headSize) heads of \(base.headSize)"),
        remedy: "give the base that the adapter was trained on")
    }
  }

  /// A and B of a layer; `alpha` is given if the scale must be folded into B.
  func factors(
    _ layer: WritableLayer, foldingFor alpha: Float?
  ) throws(FormatError) -> [(name: String, tensor: Tensor)] {
    var (a, b) = (layer.change.a, layer.change.b)
    if let alpha {
      let ratio =
        alpha == 0
        ? layer.change.scale : layer.change.scale * Double(layer.change.rank) / Double(alpha)
      b = Tensor(b.scalars().map { Float(Double($0) * ratio) }, shape: b.shape)
    }
    if layer.module.kind == .embedding { a = a.transposed() }
    if layer.module.order != .same {
      guard let rows = layer.module.order.checkpointRows(count: b.shape[0], base.heads) else {
        throw FormatError(
          .shapeMismatch, file: file, subject: "layer '\(layer.path)'",
          problem: "\(b.shape[0]) outputs do not divide into the rows of \(base.headCount) heads",
          remedy: "give the base that the adapter was trained on")
      }
      b = b.gatheringRows(rows)
    }
    let types: (a: DType, b: DType)
    switch type {
    case .asStored:
      let stored: DType =
        [.float16, .bfloat16].contains(layer.storedType) ? layer.storedType : .float32
      types = (stored, alpha == nil ? stored : .float32)
    case .float32: types = (.float32, .float32)
    case .float16: types = (.float16, .float16)
    case .bfloat16: types = (.bfloat16, .bfloat16)
    }
    var factors: [(name: String, tensor: Tensor)] = []
    for (name, factor, type) in [("lora_a", a, types.a), ("lora_b", b, types.b)] {
      do throws(UnstorableNumber) {
        factors.append((name, try factor.stored(as: type)))
      } catch {
        throw FormatError(file: file, subject: "\(name) of layer '\(layer.path)'", error)
      }
    }
    return factors
  }

  func keyValues(_ alpha: Float, _ metadata: [String: String]) -> [GGUFFile.KeyValue] {
    var result: [GGUFFile.KeyValue] = []
    func add(_ key: String, _ value: GGUFValue) { result.append(.init(key: key, value: value)) }
    add(GGUFAdapterFile.Keys.architecture, .string(base.architecture))
    add(GGUFAdapterFile.Keys.type, .string("adapter"))
    add(GGUFAdapterFile.Keys.adapterType, .string("lora"))
    add(GGUFAdapterFile.Keys.alpha, .float32(alpha))
    // So that the order of the rows is known without the base.
    let prefix = "\(base.architecture).attention."
    add(prefix + "head_count", .uint32(UInt32(clamping: base.headCount)))
    add(prefix + "head_count_kv", .uint32(UInt32(clamping: base.keyValueHeadCount)))
    for (key, text) in metadata.sorted(by: { $0.key < $1.key }) where !key.isEmpty {
      let own = ["general.", "adapter."].contains { key.hasPrefix($0) }
      let name = own ? key : GGUFAdapterFile.Keys.metadata + key
      // What says what the file is comes from what was written, not from where it came from.
      if !result.contains(where: { $0.key == name }) { add(name, .string(text)) }
    }
    return result
  }
}
