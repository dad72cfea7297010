import LoRATensor

extension PEFTAdapterConfiguration {
  /// The method of a description's layers, its options taken from `kept` where they say nothing of
  /// what the description holds.
  static func method(
    describing description: AdapterDescription, keeping kept: Method?
  ) throws(FormatError) -> Method {
    guard let first = description.layers.first else {
      throw inexpressible(
        "", "PEFT needs a layer with an adapter: replaced parameters alone are none")
    }
    for layer in description.layers where !isSameKind(layer.change, first.change) {
      throw inexpressible(
        "layer '\(layer.path)'",
        "it is \(layer.change.methodName), '\(first.path)' is \(first.change.methodName): PEFT has "
          + "one method for all layers of an adapter")
    }
    switch first.change {
    case .lowRank:
      let options = if case .lora(let options)? = kept { options } else { LoRA() }
      return .lora(try lora(describing: description, keeping: options))
    case .hadamard:
      var options = if case .loha(let options)? = kept { options } else { LoHa() }
      options.usesTuckerForm = false
      for layer in description.layers {
        guard case .hadamard(let change) = layer.change else { continue }
        guard change.magnitude == nil else { throw withMagnitudes(layer) }
        if change.t1 != nil { options.usesTuckerForm = true }
      }
      return .loha(options)
    case .kronecker:
      let options = if case .lokr(let options)? = kept { options } else { LoKr() }
      return .lokr(try lokr(describing: description, keeping: options))
    case .scaling:
      if case .ia3(let options)? = kept { return .ia3(options) }
      return .ia3(IA3(feedForward: .names([])))
    }
  }

  private static func isSameKind(_ a: LayerChange, _ b: LayerChange) -> Bool {
    switch (a, b) {
    case (.lowRank, .lowRank), (.hadamard, .hadamard), (.kronecker, .kronecker),
      (.scaling, .scaling):
      true
    default: false
    }
  }

  private static func withMagnitudes(_ layer: AdapterDescription.Layer) -> FormatError {
    inexpressible(
      "layer '\(layer.path)'", "PEFT's \(layer.change.methodName) has no magnitudes (dora_scale)")
  }

  // MARK: LoRA

  private static func lora(
    describing description: AdapterDescription, keeping kept: LoRA
  ) throws(FormatError) -> LoRA {
    var options = kept
    let changes = description.layers.compactMap { layer in
      layer.lowRank.map { (path: layer.path, change: $0) }
    }
    options.isDoRA = changes.contains { $0.change.magnitude != nil }
    options.hasFactorBias = changes.contains { $0.change.bias != nil }
    for (path, change) in changes where options.isDoRA && change.magnitude == nil {
      throw inexpressible(
        "layer '\(path)'", "it has no magnitudes, other layers do: PEFT's 'use_dora' holds for all")
    }
    if options.isDoRA, options.hasFactorBias {
      throw inexpressible("", "PEFT knows no bias of factors ('lora_bias') under 'use_dora'")
    }
    options.trainedTokens =
      description.replacedRows.isEmpty
      ? nil
      : keptTokens(kept, description.replacedRows)
        ?? .byModule(description.replacedRows.map { Override(key: $0.path, value: $0.ids) })
    return options
  }

  private static func keptTokens(
    _ kept: LoRA, _ rows: [AdapterDescription.ReplacedRows]
  ) -> LoRA.TrainedTokens? {
    guard case .ofInput(let ids)? = kept.trainedTokens, rows.count == 1, rows[0].ids == ids else {
      return nil
    }
    return kept.trainedTokens
  }

  // MARK: LoKr

  /// The rank that PEFT must be told: of a product its own, otherwise one at which PEFT too keeps
  /// both matrices whole.
  static func rank(of change: KroneckerChange, _ method: Method) -> Int {
    for factor in [change.first, change.second] {
      switch factor {
      case .whole: continue
      case .product(let a, _): return a.shape[1]
      case .tucker(let a, _, _): return a.shape[0]
      }
    }
    var needed = 1
    if case .whole(let tensor) = change.second {
      needed = (max(tensor.shape[0], tensor.shape[1]) + 1) / 2
    }
    if case .lokr(let options) = method, options.decomposesBoth,
      case .whole(let tensor) = change.first
    {
      needed = max(needed, (max(tensor.shape[0], tensor.shape[1]) + 1) / 2)
    }
    return max(needed, change.rank ?? 1)
  }

  private static func lokr(
    describing description: AdapterDescription, keeping kept: LoKr
  ) throws(FormatError) -> LoKr {
    var changes: [(path: String, change: KroneckerChange)] = []
    for layer in description.layers {
      guard case .kronecker(let change) = layer.change else { continue }
      guard change.magnitude == nil else { throw withMagnitudes(layer) }
      changes.append((layer.path, change))
    }
    var factors = [kept.factor, -1]
    for (_, change) in changes {
      let sizes = Self.sizes(change.first)
      factors += [sizes.rows, sizes.columns].filter { !factors.contains($0) }
      if factors.count > 64 { break }
    }
    var options = kept
    options.usesTuckerForm = changes.contains {
      if case .tucker = $0.change.second { true } else { false }
    }
    for factor in factors {
      for decomposesBoth in [kept.decomposesBoth, !kept.decomposesBoth] {
        options.factor = factor
        options.decomposesBoth = decomposesBoth
        if changes.allSatisfy({ isDivided($0.change, as: options) }) { return options }
      }
    }
    options.factor = -1
    options.decomposesBoth = false
    let bad = changes.first { !isDivided($0.change, as: options) }
    throw inexpressible(
      "layer '\(bad?.path ?? "")'",
      "no 'decompose_factor' makes PEFT divide the weights of all layers into matrices of these "
        + "sizes")
  }

  /// The extents of the matrix that a factor makes; axes of a kernel do not count where they are
  /// apart.
  private static func sizes(_ factor: KroneckerChange.Factor) -> (rows: Int, columns: Int) {
    switch factor {
    case .whole(let tensor): (tensor.shape[0], tensor.shape[1])
    case .product(let a, let b): (a.shape[0], b.shape[1])
    case .tucker(let a, let b, _): (a.shape[1], b.shape[1])
    }
  }

  private static func isWhole(_ factor: KroneckerChange.Factor) -> Bool {
    if case .whole = factor { true } else { false }
  }

  /// Whether PEFT would divide the layer's weight as it is.
  private static func isDivided(_ change: KroneckerChange, as options: LoKr) -> Bool {
    let (first, second) = (sizes(change.first), sizes(change.second))
    let (outputs, overflows) = first.rows.multipliedReportingOverflow(by: second.rows)
    let (inputs, overflowsToo) = first.columns.multipliedReportingOverflow(by: second.columns)
    guard !overflows, !overflowsToo, outputs > 0, inputs > 0 else { return false }
    let shapes = options.shapes(
      outputs: outputs, inputs: inputs, rank: rank(of: change, .lokr(options)))
    return shapes.first == first && shapes.second == second
      && shapes.isFirstWhole == isWhole(change.first)
      && shapes.isSecondWhole == isWhole(change.second)
  }

  // MARK: IA3

  /// Names of the modules whose inputs are scaled, of the same kind as the targets: PEFT wants them
  /// to be among those.
  mutating func setFeedForward(of description: AdapterDescription, among paths: [String]?) {
    guard case .ia3(var options) = method else { return }
    let isRight = { (configuration: Self) in
      description.layers.allSatisfy { layer in
        guard case .scaling(let change) = layer.change else { return false }
        return configuration.scalesInput(forPath: layer.path) == change.scalesInput
      }
    }
    if isRight(self) { return }
    let scaled = description.layers.filter { layer in
      if case .scaling(let change) = layer.change { change.scalesInput } else { false }
    }.map(\.path)
    if case .names(let names) = targets {
      options.feedForward = .names(
        names.filter { name in scaled.contains { isPath($0, namedBy: name) } })
      method = .ia3(options)
      if isRight(self) { return }
    }
    targets = .names(description.layers.map(\.path))
    options.feedForward = .names(scaled)
    method = .ia3(options)
  }

  // MARK: Parameters of the base

  /// Names what is saved along: whole modules, and biases.
  mutating func setParameters(of description: AdapterDescription) throws(FormatError) {
    let adapted = Set(description.layers.map { ExactName($0.path) })
    var modules: [String] = []
    var biases: [String] = []
    for replacement in description.replacements {
      let parts = replacement.path.split(separator: ".")
      let module = parts.dropLast().joined(separator: ".")
      guard !module.isEmpty else {
        throw Self.inexpressible(
          "'\(replacement.path)'", "PEFT saves parameters of modules, not of the model itself")
      }
      if parts.last == "bias" {
        biases.append(module)
      } else if adapted.contains(ExactName(module)) {
        throw Self.inexpressible(
          "'\(replacement.path)'", "PEFT replaces no weight of a layer that has an adapter")
      } else if !modules.contains(where: { ExactName($0) == ExactName(module) }) {
        modules.append(module)
      }
    }
    biases.removeAll { bias in modules.contains { ExactName($0) == ExactName(bias) } }
    let covered = modules.allSatisfy(savesExplicitly(modulePath:))
    if !covered || modules.isEmpty { savedModules = modules }
    for layer in description.layers where !matches(path: layer.path) {
      throw Self.inexpressible(
        "layer '\(layer.path)'", "it lies in a module that is replaced as a whole")
    }
    let wanted: LoRA.Biases =
      biases.isEmpty
      ? .none : biases.allSatisfy { adapted.contains(ExactName($0)) } ? .adapted : .all
    guard case .lora(var options) = method else {
      guard let bias = biases.first else { return }
      throw Self.inexpressible(
        "'\(bias).bias'", "PEFT's \(method.peftType) saves no single biases")
    }
    // A configuration may allow for more than there is: layers without a bias.
    if options.biases == .none || wanted == .all { options.biases = wanted }
    method = .lora(options)
  }
}
