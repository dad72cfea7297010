public import LoRATensor

/// The weights of a model, by the paths of its layers: what an adapter is checked against.
///
/// ```swift
/// let base = try AdapterBase(path: "MODEL")
/// try base.check(adapter.description, file: "adapter")
/// ```
public struct AdapterBase: Sendable {
  /// The model's folder.
  public let path: String
  private let directory: ModelDirectory
  /// Weights lie as [in, out], as GPT-2's do.
  private let isTransposed: Bool

  /// Opens the Hugging Face directory at `path`.
  public init(path: String) throws(FormatError) {
    self.path = path
    directory = try ModelDirectory(path: path)
    isTransposed = directory.modelType == "gpt2"
  }

  /// The name of the weight of the layer at `path`; nil if the model has none.
  private func name(_ path: String) -> String? {
    var names = [path + ".weight"]
    // Checkpoints of a model without its head leave the prefix out.
    for prefix in ["model.", "transformer."] {
      if path.hasPrefix(prefix) { names.append(path.dropFirst(prefix.count) + ".weight") }
    }
    // A head that is the embedding is not stored.
    if path == "lm_head" {
      names += ["model.embed_tokens.weight", "transformer.wte.weight", "wte.weight"]
    }
    return names.first { directory.entry(named: $0) != nil }
  }

  /// The weight [out, in] of a linear layer, or the table of an embedding, as float32.
  public func weight(ofLayer path: String) throws(FormatError) -> Tensor? {
    guard let name = name(path) else { return nil }
    let weight = try directory.tensor(named: name).converted(to: .float32)
    let isTable = name.hasSuffix("wte.weight") || name.hasSuffix("embed_tokens.weight")
    return isTransposed && !isTable && weight.shape.count == 2 ? weight.transposed() : weight
  }

  /// The extents of a layer's weight, [out, in]; nil if the model has none.
  private func shape(_ path: String) -> Shape? {
    guard let name = name(path), let entry = directory.entry(named: name) else { return nil }
    let isTable = name.hasSuffix("wte.weight")
    return isTransposed && !isTable && entry.shape.count == 2
      ? [entry.shape[1], entry.shape[0]] : entry.shape
  }

  /// Throws unless every layer of the adapter is one of the model and fits it: an adapter for another
  /// model, names with another prefix, factors that lie transposed.
  public func check(_ description: AdapterDescription, file: String) throws(FormatError) {
    for layer in description.layers {
      guard let shape = shape(layer.path) else { throw unknown(layer.path, file) }
      try check(layer, shape, file)
    }
  }

  private func unknown(_ path: String, _ file: String) -> FormatError {
    let alike = directory.tensorNames.first { name in
      name.hasSuffix("." + path + ".weight") || path.hasSuffix("." + name.dropLast(7))
    }
    return FormatError(
      .unexpectedTensor, file: file, subject: "layer '\(path)'",
      problem: "the base \(self.path) has no such layer"
        + (alike.map { ", it has '\($0.dropLast(7))'" } ?? ""),
      remedy: alike == nil
        ? "give the base that the adapter was made for"
        : "the names differ in a prefix: rename them")
  }

  private func check(
    _ layer: AdapterDescription.Layer, _ shape: Shape, _ file: String
  ) throws(FormatError) {
    var found: Shape
    switch layer.change {
    case .lowRank(let change):
      guard change.a.shape.count == 2, shape.count == 2 else { return }
      found =
        change.isEmbedding
        ? [change.inputSize, change.outputSize] : [change.outputSize, change.inputSize]
      // The same pair read the wrong way round: [in, r] and [r, out].
      let turned: Shape = [change.b.shape[1], change.a.shape[0]]
      if found != shape, turned == shape || Shape([turned[1], turned[0]]) == shape {
        throw FormatError(
          .shapeMismatch, file: file, subject: "layer '\(layer.path)'",
          problem: "its factors \(change.a.shape) and \(change.b.shape) lie transposed: the base's "
            + "weight is \(shape)",
          remedy: "expected A [rank, inputs] and B [outputs, rank]; MLX has them the other way, "
            + "open its folder instead")
      }
    case .hadamard(let change):
      guard change.t1 == nil, shape.count == 2 else { return }
      found = [change.b1.shape[0], change.a1.shape[1]]
    case .kronecker(let change):
      guard shape.count == 2, let change = LayerChange.kronecker(change).kroneckerShape else {
        return
      }
      found = change
    case .scaling(let change):
      let count = change.vector.elementCount
      found = shape
      if shape.count == 2, shape[change.scalesInput ? 1 : 0] != count { found = [count] }
    }
    guard found == shape else {
      throw FormatError(
        .shapeMismatch, file: file, subject: "layer '\(layer.path)'",
        problem: "its change is \(found), the base's weight \(shape)",
        remedy: "give the base that the adapter was made for")
    }
  }
}

extension LayerChange {
  /// The extents of C₁ ⊗ C₂ where both are matrices; nil of convolutions.
  fileprivate var kroneckerShape: Shape? {
    guard case .kronecker(let change) = self else { return nil }
    func shape(_ factor: KroneckerChange.Factor) -> Shape? {
      switch factor {
      case .whole(let c): c.shape.count == 2 ? c.shape : nil
      case .product(let a, let b): [a.shape[0], b.shape[1]]
      case .tucker: nil
      }
    }
    guard let c = shape(change.first), let d = shape(change.second) else { return nil }
    let (rows, rowOverflow) = c[0].multipliedReportingOverflow(by: d[0])
    let (columns, columnOverflow) = c[1].multipliedReportingOverflow(by: d[1])
    return rowOverflow || columnOverflow ? nil : Shape(checking: [rows, columns])
  }
}
