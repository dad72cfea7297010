package import LoRAFiles

extension PEFTAdapterConfiguration {
  /// A configuration that describes `description`, so that PEFT gives every layer its rank and its
  /// scale: the commonest as the rule, the others as patterns. It is for language models unless
  /// ``taskType`` is changed.
  ///
  /// - Parameters:
  ///   - description: the adapter.
  ///   - paths: the paths of all modules of the model that could have an adapter; targets are then
  ///     the last components of the layers' paths where those name no other module. nil, if no
  ///     model is at hand: whole paths.
  ///   - kept: a configuration to start from, as of the adapter that was read or trained. If it
  ///     describes `description` it is taken as it is; otherwise what it says of training, names and
  ///     rsLoRA is kept.
  ///
  /// Throws `FormatError` (`unsupported`) for what PEFT cannot express, by name: several methods
  /// in one adapter, magnitudes of some layers alone, a LoCon's middle factor, LoHa or LoKr with
  /// magnitudes, LoKr's matrices in sizes that PEFT does not divide into, parameters of layers that
  /// have an adapter, an adapter of replaced parameters alone.
  package init(
    describing description: AdapterDescription, among paths: [String]? = nil,
    keeping kept: PEFTAdapterConfiguration? = nil
  ) throws(FormatError) {
    var start = kept
    if start?.initialization.changesBase == true { start?.initialization = .standard }
    let layers = description.layers.map(\.path)
    if let start, start.names(exactly: layers, among: paths),
      (try? start.check(describes: description)) != nil
    {
      self = start
      return
    }
    let method = try Self.method(describing: description, keeping: start?.method)
    var result = start ?? PEFTAdapterConfiguration(method: method, targets: .unspecified)
    result.method = method
    if start == nil, description.replacements.contains(where: { Self.isTaskHead($0.path) }) {
      // No language model, for which PEFT would want methods that classifiers lack.
      result.taskType = nil
    }
    if method.options.type.isOfModel {
      result.targets = .unspecified
    } else {
      result.setTargets(layers, among: paths)
    }
    try result.setRanks(of: description)
    try result.setParameters(of: description)
    let options = result.method.options
    options.complete(&result, describing: description)
    try result.check(describes: description)
    self = result
  }

  /// Checks what ``PEFTAdapterFile/write(to:storedType:)`` checks but the numbers.
  private func check(describes description: AdapterDescription) throws(FormatError) {
    try PEFTAdapterWriter(configuration: self, file: Self.fileName, storedType: nil)
      .check(description)
  }

  static func inexpressible(_ subject: String, _ problem: String) -> FormatError {
    FormatError(.unsupported, file: fileName, subject: subject, problem: problem)
  }

  // MARK: Targets

  private static func last(_ path: String) -> String {
    path.split(separator: ".").last.map(String.init) ?? path
  }

  /// Whether PEFT adapts just these layers by the targets, and meets nothing that it can't adapt.
  ///
  /// PEFT looks at all modules of a model and refuses those that are no layers, blocks and activations
  /// among them. Which there are is not known here, so that no expression is ever sure to be right,
  /// nor is a name that a block has too.
  private func names(exactly layers: [String], among paths: [String]?) -> Bool {
    switch targets {
    // PEFT takes the head of a classifier of tokens for one of them, and then refuses to save it whole.
    case .allLinear: return taskType != "TOKEN_CLS"
    case .unspecified: return true
    case .pattern: return false
    case .names(let names):
      let adapted = NameSet(ends: layers)
      let blocks = NameSet(ends: Self.blocks(around: paths ?? layers))
      guard names.allSatisfy({ adapted.contains($0) && !blocks.contains($0) }) else { return false }
      let others = Set((paths ?? []).map(ExactName.init)).subtracting(layers.map(ExactName.init))
      return !others.contains { matches(path: $0.text) }
    }
  }

  /// The paths of the modules that hold those at `paths`.
  private static func blocks(around paths: [String]) -> [String] {
    var blocks: Set<String> = []
    for path in paths {
      var rest = path[...]
      while let dot = rest.lastIndex(of: ".") {
        rest = rest[..<dot]
        guard blocks.insert(String(rest)).inserted else { break }
      }
    }
    return Array(blocks)
  }

  private mutating func setTargets(_ layers: [String], among paths: [String]?) {
    let isRight = { (configuration: Self) in
      configuration.names(exactly: layers, among: paths)
        && layers.allSatisfy(configuration.matches)
        && (paths ?? layers).filter(configuration.matches).count == layers.count
    }
    // Targets that were kept, if they still say the same.
    if paths != nil, targets != .unspecified, targets != .allLinear, isRight(self) { return }
    setTargetParameters(layers, among: paths)
    let modules = layers.filter { ParameterPath($0) == nil }
    excluded = nil
    layersToTransform = nil
    layersPattern = []
    targets = .names(modules)
    guard paths != nil else { return }
    var short = self
    short.targets = .names(Set(modules.map(Self.last)).sorted())
    short.savedModules = []
    if isRight(short) { targets = short.targets }
  }

  /// Names the parameters among `layers`: by the module's last name and their own where that names no
  /// other, else by whole paths.
  private mutating func setTargetParameters(_ layers: [String], among paths: [String]?) {
    guard var options = lora else { return }
    let parameters = layers.compactMap(ParameterPath.init)
    let keys = Set(parameters.map(\.key))
    let all = Set((paths ?? []).compactMap { ParameterPath($0)?.key })
    let short = Set(
      parameters.map { path in
        "\(path.module.split(separator: ".").last ?? "").\(path.parameter)"
      })
    options.targetParameters = (paths == nil ? keys : short).sorted()
    method = .lora(options)
    if all.subtracting(keys).contains(where: matchesParameter) {
      options.targetParameters = keys.sorted()
      method = .lora(options)
    }
  }

  // MARK: Ranks and scales

  private mutating func setRanks(of description: AdapterDescription) throws(FormatError) {
    var ranks: [(path: String, value: Int)] = []
    var alphas: [(path: String, value: Double)] = []
    for layer in description.layers {
      guard let (rank, alpha, scale) = method.options.rankAndScale(ofAny: layer.change)
      else { continue }
      guard scale != 0 else {
        throw Self.inexpressible(
          "layer '\(layer.path)'", "its scale is 0, which PEFT would write as an alpha of 0")
      }
      // The experts of a parameter have one rank and one alpha.
      let path = ParameterPath.patternKey(of: layer.path)
      if path != layer.path, ranks.contains(where: { $0.path == path }) { continue }
      ranks.append((path, rank))
      alphas.append((path, self.alpha(for: scale, rank: rank, hint: alpha)))
    }
    guard !ranks.isEmpty else { return }
    rank = Self.commonest(ranks.map(\.value)) ?? rank
    alpha = Self.commonest(alphas.map(\.value)) ?? alpha
    rankPattern = Self.pattern(ranks, but: rank)
    alphaPattern = Self.pattern(alphas, but: alpha)
    let isRight = { (configuration: Self) in
      zip(ranks, alphas).allSatisfy { one, other in
        configuration.rank(forPath: one.path) == one.value
          && configuration.alpha(forPath: other.path) == other.value
      }
    }
    if isRight(self) { return }
    // A key that matches more than it should: as PEFT reads keys, a dot stands for anything.
    rankPattern = Self.literalPattern(ranks, but: rank)
    alphaPattern = Self.literalPattern(alphas, but: alpha)
  }

  /// The alpha that makes `scale`: `hint` if that does, otherwise a whole or a short number. A scale
  /// that is a float32 may be one that was rounded, 2/3 for example: what it was before is meant.
  private func alpha(for scale: Double, rank: Int, hint: Double) -> Double {
    let exact =
      scale * (usesRankStabilizedScale ? Double(rank).squareRoot() : Double(rank))
    let isRounded = Double(Float(scale)) == scale
    let short = Double(Float(exact).description) ?? exact
    return [hint, exact.rounded(), short].first {
      let made = self.scale(alpha: $0, rank: rank)
      return made == scale || isRounded && Self.isSameScale(made, scale)
    } ?? exact
  }

  /// Whether two scales are one up to the roundings of computing it in float32.
  static func isSameScale(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= abs(b) * 0x1p-22 }

  private static func commonest<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
    Dictionary(values.map { ($0, 1) }, uniquingKeysWith: +)
      .max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
  }

  /// Overrides for the values other than `rule`: one for all layers of a name that agree.
  private static func pattern<Value: Hashable>(
    _ values: [(path: String, value: Value)], but rule: Value
  ) -> [Override<Value>] {
    var shared: [String: Set<Value>] = [:]
    for (path, value) in values { shared[last(path), default: []].insert(value) }
    var result: [Override<Value>] = []
    var done: Set<String> = []
    for (path, value) in values where value != rule {
      let key = shared[last(path)]?.count == 1 ? last(path) : path
      if done.insert(key).inserted { result.append(Override(key: key, value: value)) }
    }
    return result
  }

  private static func literalPattern<Value: Equatable>(
    _ values: [(path: String, value: Value)], but rule: Value
  ) -> [Override<Value>] {
    values.filter { $0.value != rule }.map { path, value in
      let key = path.reduce(into: "^") { text, character in
        let isPlain = character.isLetter || character.isNumber || character == "_"
        text += isPlain ? String(character) : "\\\(character)"
      }
      return Override(key: key, value: value)
    }
  }
}

extension PEFTAdapterFile {
  /// The adapter in PEFT's layout, with a configuration that describes it: see
  /// ``PEFTAdapterConfiguration/init(describing:among:keeping:)``.
  package init(
    describing description: AdapterDescription, among paths: [String]? = nil,
    keeping kept: PEFTAdapterConfiguration? = nil
  ) throws(FormatError) {
    self.init(
      configuration: try PEFTAdapterConfiguration(
        describing: description, among: paths, keeping: kept),
      description: description)
  }
}
