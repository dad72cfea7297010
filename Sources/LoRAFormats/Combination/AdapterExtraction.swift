import LoRAArchitectures
package import LoRATensor

/// An adapter made of the difference between a fine-tuned model and its base.
///
/// ```swift
/// let (adapter, report) = try AdapterExtraction(.rank(16)).extract(
///   tuned: "tuned", base: "base")  // folders of models
/// ```
///
/// Each linear layer's difference is decomposed and cut: the nearest low-rank matrix. How much of a
/// layer's difference that captures is in the report; full fine-tuning rarely is of low rank, LoRA
/// training is exactly. What differs and is no linear layer's weight (norms, biases, embeddings) is
/// refused, taken over whole or ignored, as asked.
public struct AdapterExtraction: Sendable {
  /// What a parameter is.
  package enum Kind: Sendable, Hashable {
    /// The weight [out, in] of a linear layer.
    case linear
    /// The weight [in, out] of one, as GPT-2 has it.
    case transposedLinear
    /// Another one.
    case other
  }

  /// What becomes of parameters that differ and are no linear layers' weights.
  public enum Others: String, Sendable, Hashable, CaseIterable {
    /// They are an error.
    case refused
    /// The adapter replaces them: it holds their new values whole.
    case replaced
    /// The adapter leaves them as they are in the base; the report names them.
    case ignored
  }

  /// What was extracted.
  public struct Report: Sendable, Hashable {
    /// The layers, with the energy that their adapters capture.
    public var layers: [LayerCut] = []
    /// The parameters that are replaced whole.
    public var replaced: [String] = []
    /// Those that differ and are ignored.
    public var ignored: [String] = []
    /// The number of parameters that do not differ.
    public var unchangedCount = 0

    /// The share of the energy of all layers' differences that their adapters capture.
    public var energy: Double {
      let total = layers.reduce(0) { $0 + $1.norm * $1.norm }
      let kept = layers.reduce(0) { $0 + $1.energy * $1.norm * $1.norm }
      return total > 0 ? kept / total : 1
    }
  }

  /// Where each layer's decomposition is cut.
  public var choice: RankChoice
  /// What becomes of other parameters that differ.
  public var others: Others
  /// With a number, layers are decomposed by that many random iterations (see
  /// `Tensor.singularValueDecomposition(rank:iterations:oversampling:seed:)`), which is far faster for
  /// large matrices and nearly as good. Of a chosen rank only; nil for the exact decomposition.
  public var iterations: Int?

  /// Creates a way to extract.
  public init(_ choice: RankChoice, others: Others = .refused, iterations: Int? = nil) {
    self.choice = choice
    self.others = others
    self.iterations = iterations
  }

  /// The adapter that makes `tuned` of `base`.
  ///
  /// - Parameters:
  ///   - names: The parameters, as "model.layers.0.mlp.up_proj.weight".
  ///   - kind: What a parameter is.
  ///   - tuned: Reads a parameter of the fine-tuned model.
  ///   - base: Reads one of the base.
  ///
  /// Throws ``CombinationError`` for shapes that differ, numbers that are not finite, other
  /// parameters that differ (unless they are replaced or ignored) and models that do not differ at
  /// all; and what the readers throw.
  package func extract(
    names: [String], kind: (String) -> Kind, tuned: (String) throws -> Tensor,
    base: (String) throws -> Tensor
  ) throws -> (adapter: AdapterDescription, report: Report) {
    try choice.check()
    var report = Report()
    var layers: [AdapterDescription.Layer] = []
    var replacements: [AdapterDescription.Replacement] = []
    // Differences that wait to be decomposed together, on all threads.
    var waiting: [(path: String, difference: Tensor)] = []
    func decompose() throws(CombinationError) {
      let results = try AdapterCombination.inParallel(waiting.count, isSmall: { _ in true }) {
        index throws(CombinationError) in
        try extracted(waiting[index].difference, path: waiting[index].path)
      }
      layers += results.map(\.0)
      report.layers += results.map(\.1)
      waiting = []
    }
    for name in names {
      let (new, old) = (try tuned(name), try base(name))
      guard let difference = try Self.difference(name, new, old) else {
        report.unchangedCount += 1
        continue
      }
      let kind = kind(name)
      if difference.shape.count == 2, name.hasSuffix(".weight"), kind != .other {
        let path = String(name.dropLast(".weight".count))
        waiting.append((path, kind == .linear ? difference : difference.transposed()))
        let count = waiting.reduce(0) { $0 + $1.difference.elementCount }
        if count >= Self.mostElementsWaiting { try decompose() }
        continue
      }
      switch others {
      case .refused:
        throw CombinationError(
          .replacement, subject: "parameter '\(name)'",
          problem: "it differs from the base's, and is no linear layer's weight",
          remedy: "choose whether such parameters are replaced whole or ignored")
      case .replaced:
        replacements.append(
          .init(path: name, value: new.converted(to: .float32), storedType: new.dtype))
        report.replaced.append(name)
      case .ignored: report.ignored.append(name)
      }
    }
    try decompose()
    guard !layers.isEmpty || !replacements.isEmpty else {
      throw CombinationError(
        .empty, problem: "the models do not differ in any parameter that an adapter can hold",
        remedy: report.ignored.isEmpty
          ? "check that they are two different models"
          : "have the \(report.ignored.count) parameters that differ replaced")
    }
    return (AdapterDescription(layers: layers, replacements: replacements), report)
  }

  /// How many elements of differences are decomposed at once: each takes some copies.
  private static let mostElementsWaiting = 1 << 26

  /// The difference in float32; nil if there is none.
  private static func difference(
    _ name: String, _ new: Tensor, _ old: Tensor
  ) throws(CombinationError) -> Tensor? {
    guard new.shape == old.shape else {
      throw CombinationError(
        .shapeMismatch, subject: "parameter '\(name)'",
        problem: "it is \(new.shape) in the tuned model and \(old.shape) in the base",
        remedy: "give the base that the model was tuned from; a vocabulary that grew needs a base "
          + "that grew with it")
    }
    if new == old { return nil }
    guard new.dtype.isFloatingPoint, old.dtype.isFloatingPoint else {
      throw CombinationError(
        .unsupported, subject: "parameter '\(name)'",
        problem: "it differs from the base's, and its type is \(new.dtype)")
    }
    let difference = new.converted(to: .float32) - old.converted(to: .float32)
    if let index = difference.firstNonFiniteIndex() {
      let position = difference.position(of: index)
      let values = (tuned: new.number(at: index), base: old.number(at: index))
      throw CombinationError(
        .nonFinite, subject: "parameter '\(name)'",
        problem:
          "element \(position) is \(values.tuned) in the tuned model and \(values.base) in the "
          + "base: the difference is not a finite number",
        remedy: values.tuned.isFinite && values.base.isFinite
          ? "the models are not of one kind, or one of them is damaged"
          : "the \(values.tuned.isFinite ? "base" : "tuned model") is damaged: copy or download it again"
      )
    }
    // One type may hold another's numbers exactly; zero and minus zero are the same.
    return difference.isZero ? nil : difference
  }

  private func extracted(
    _ difference: Tensor, path: String
  ) throws(CombinationError) -> (AdapterDescription.Layer, LayerCut) {
    let energy = difference.sumOfSquares()
    let svd: SingularValueDecomposition
    do {
      if let iterations, case .rank(let rank) = choice {
        svd = try difference.singularValueDecomposition(rank: rank, iterations: iterations)
      } else {
        svd = try difference.singularValueDecomposition()
      }
    } catch {
      throw CombinationError(.nonFinite, subject: "layer '\(path)'", problem: error.description)
    }
    let rank = choice.rank(of: svd)
    let (b, a) = svd.factors(rank: rank)
    let kept = svd.truncated(to: rank).energy
    return (
      AdapterDescription.Layer(path: path, a: a, b: b, alpha: Double(rank), scale: 1),
      LayerCut(
        path: path, originalRank: min(difference.shape[0], difference.shape[1]), rank: rank,
        energy: min(1, kept / energy), norm: energy.squareRoot())
    )
  }
}

extension AdapterExtraction {
  /// The adapter that makes the model in the folder `tuned` of that in the folder `base`.
  ///
  /// Which weights are linear layers', and which of those are [in, out], the base's architecture says;
  /// of one that is not known, all are but those of layers called as embeddings are. A head that is
  /// stored in one of the models only, because the other one's is tied to its embedding, is refused, as
  /// is any parameter that one of them lacks.
  public func extract(
    tuned: String, base: String
  ) throws -> (adapter: AdapterDescription, report: Report) {
    let (base, tuned) = (try ModelDirectory(path: base), try ModelDirectory(path: tuned))
    return try extract(tuned: tuned, base: base)
  }

  /// See ``extract(tuned:base:)``.
  private func extract(
    tuned: ModelDirectory, base: ModelDirectory
  ) throws -> (adapter: AdapterDescription, report: Report) {
    for (names, other, where_) in [
      (tuned.tensorNames, base, "the base"), (base.tensorNames, tuned, "the tuned model"),
    ] {
      for name in names where other.entry(named: name) == nil {
        throw CombinationError(
          .missingParameter, subject: "parameter '\(name)'", problem: "\(where_) lacks it",
          remedy: "give the base that the model was tuned from")
      }
    }
    let names = CheckpointNames(modelType: base.modelType)
    return try extract(
      names: tuned.tensorNames, kind: { Self.kind($0, names) }, tuned: tuned.tensor(named:),
      base: base.tensor(named:))
  }

  /// What a parameter is.
  private static func kind(_ name: String, _ names: CheckpointNames) -> Kind {
    guard name.hasSuffix(".weight") else { return .other }
    let path = String(name.dropLast(".weight".count))
    if let module = names.architecture?.module(atPath: path)?.module {
      return switch module.kind {
      case .projection, .router, .expert, .expertPair, .head:
        module.isTransposed ? .transposedLinear : .linear
      case .embedding, .other: .other
      }
    }
    let last = path.split(separator: ".").last.map(String.init) ?? path
    return ModelLayout.embeddingNames.contains(last) ? .other : .linear
  }
}
