package import LoRAFiles
import LoRATensor

extension ModelConfiguration {
  /// Reads what a model's GGUF file says about its shape.
  ///
  /// The vocabulary is as large as the embedding, the head is tied where the file has no
  /// `output.weight`, and the factors of `rope_freqs.weight` become the settings that they follow
  /// from. Throws for an architecture that is not supported, and for a key of the architecture that
  /// nothing here knows: it may change what the model computes.
  package init(_ file: GGUFFile) throws(FormatError) {
    let base = try GGUFBase(file: file)
    var keys = GGUFModelKeys(file: file, prefix: base.architecture + ".")
    let experts = try file.int(keys.prefix + "expert_count") ?? 0
    guard let architecture = Architecture(ggufName: base.architecture, hasExperts: experts > 0)
    else {
      throw keys.unknownArchitecture(base.architecture, experts: experts)
    }
    keys.layersDiffer = architecture.layersDiffer
    let textPartType = architecture.textPart?.type(in: architecture) {
      file[base.architecture + "." + $0] != nil
    }
    try keys.refuseUnknown(knownTo: architecture.keys(ofTextPart: textPartType))
    guard let table = file.entry(named: "token_embd.weight"), table.shape.count == 2 else {
      throw FormatError(
        .missingTensor, file: file.path, tensor: "token_embd.weight",
        "there is no such matrix, which every model has")
    }
    let size = try keys.optionalSize("vocab_size") ?? table.shape[0]
    guard size == table.shape[0] else {
      throw keys.error(
        .invalidValue, "vocab_size",
        "it is \(size), the embedding has \(table.shape[0]) rows")
    }
    self.init(architecture)
    self.textPartType = textPartType
    headCount = base.headCount
    keyValueHeadCount = base.keyValueHeadCount
    headSize = base.headSize
    vocabularySize = table.shape[0]
    tiesWordEmbeddings = !base.hasOutputHead
    for key in architecture.keys(ofTextPart: textPartType) { try key.readGGUF(&self, keys) }
    // Before anything is made for each of them.
    guard layerCount <= Self.mostLayers else {
      throw keys.error(.invalidValue, "block_count", "\(layerCount) layers are too many")
    }
    if slidingWindows.count != layerCount {
      slidingWindows = Array(repeating: nil, count: layerCount)
    }
    bosTokenID = try keys.tokenID("bos", below: size)
    eosTokenIDs = try keys.endTokenIDs(below: size)
    padTokenID = try keys.tokenID("padding", below: size)
    try keys.check(headSize: base.headSize)
    try validate(.gguf(file.path, architecture))
  }
}

extension GGUFFile {
  /// The tokens that end a text: of a sequence, of a turn, of a message.
  package func endTokenIDs() throws(FormatError) -> [Int] {
    let count = entry(named: "token_embd.weight")?.shape.dimensions.first ?? 0
    return try GGUFModelKeys(file: self, prefix: "").endTokenIDs(below: count)
  }
}

/// The key-values of a model's architecture.
struct GGUFModelKeys {
  let file: GGUFFile
  let prefix: String
  /// Whether what files may say layer by layer differs between layers; a size is then the first's.
  var layersDiffer = false

  /// What is read here whatever the architecture, or changes nothing that is computed here.
  private static let known: Set<String> = [
    "vocab_size", "attention.head_count", "attention.head_count_kv", "attention.key_length",
    "attention.value_length", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
    "rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scale_linear",
    "rope.scaling.attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
    // Of texts, the positions of images are all the same.
    "rope.dimension_sections", "expert_count", "expert_used_count", "attention.causal",
    "tensor_data_layout",
  ]

  /// All keys that are read, behind the architecture's name, of an architecture with these keys.
  static func known(to table: [ConfigurationKey]) -> Set<String> {
    known.union(table.compactMap(\.gguf)).union(table.flatMap(\.otherGGUF))
  }

  func refuseUnknown(knownTo table: [ConfigurationKey]) throws(FormatError) {
    let known = Self.known(to: table)
    for item in file.keyValues where item.key.hasPrefix(prefix) {
      let key = String(item.key.dropFirst(prefix.count))
      guard known.contains(key) else {
        throw error(
          .unsupported, key, "nothing here knows this key, which may change the model")
      }
    }
    if try file.bool(prefix + "attention.causal") == false {
      throw error(.unsupported, "attention.causal", "the model's attention is not causal")
    }
  }

  /// The error for an architecture that is not known, with experts or without them.
  func unknownArchitecture(_ name: String, experts: Int) -> FormatError {
    guard Architecture(ggufName: name) != nil else {
      return FormatError(
        .unsupported, file: file.path, key: "general.architecture", "'\(name)' is not supported",
        remedy: "supported are \(listed(Architecture.ggufNames, limit: 64))")
    }
    let mixtures = Architecture.all.filter(\.hasExperts).compactMap(\.ggufName)
    return error(
      .unsupported, "expert_count",
      experts > 0
        ? "the model is a mixture of \(experts) experts, supported ones are of \(listed(mixtures))"
        : "it is missing or 0, and models of '\(name)' have experts")
  }

  func error(_ kind: FormatError.Kind, _ key: String, _ problem: String) -> FormatError {
    FormatError(kind, file: file.path, key: prefix + key, problem)
  }

  func size(_ key: String) throws(FormatError) -> Int {
    guard let value = try optionalSize(key) else {
      throw error(.missingKey, key, "the file does not have this key, which every model has")
    }
    return value
  }

  func optionalSize(_ key: String) throws(FormatError) -> Int? {
    guard let value = try GGUFBase.count(prefix + key, file, layersDiffer: layersDiffer) else {
      return nil
    }
    guard value <= 1 << 31 else {
      throw error(.invalidValue, key, "\(value) is more than any model has")
    }
    return value
  }

  func positive(_ key: String) throws(FormatError) -> Double {
    guard let value = try optionalPositive(key) else {
      throw error(.missingKey, key, "the file does not have this key, which every model has")
    }
    return value
  }

  /// How many positions are seen; nil for all, which llama.cpp's converter writes as 0.
  func window(_ key: String) throws(FormatError) -> Int? {
    try file.int(prefix + key) == 0 ? nil : try optionalSize(key)
  }

  /// A number from 0 on; nil where the file does not have the key.
  func whole(_ key: String) throws(FormatError) -> Int? {
    guard let value = try file.int(prefix + key) else { return nil }
    guard (0...1 << 28).contains(value) else {
      throw error(.invalidValue, key, "expected a number from 0 on, found \(value)")
    }
    return value
  }

  /// True or false; nil where the file does not have the key.
  func flag(_ key: String) throws(FormatError) -> Bool? { try file.bool(prefix + key) }

  /// A number; nil where the file does not have the key.
  func number(_ key: String) throws(FormatError) -> Double? { try file.double(prefix + key) }

  /// A number for each of `count` layers, which files that say one say of all; nil where the file does not
  /// have the key.
  func layerSizes(_ key: String, count: Int) throws(FormatError) -> [Int]? {
    guard let values = file[prefix + key]?.ints else {
      return try optionalSize(key).map { Array(repeating: $0, count: count) }
    }
    guard values.count == count, values.allSatisfy({ (1...1 << 31).contains($0) }) else {
      throw error(
        .invalidValue, key, "expected \(count) numbers above 0, one a layer, found \(values.count)")
    }
    return values
  }

  /// Whether something holds for each of `count` layers: an array, or a number n for all but every n-th
  /// layer; nil where the file does not have the key.
  func layerFlags(_ key: String, count: Int) throws(FormatError) -> [Bool]? {
    guard let value = file[prefix + key] else { return nil }
    if let period = value.intValue, period >= 0 {
      return (0..<count).map { period == 0 || $0 % period < period - 1 }
    }
    var flags = value.arrayValue?.ints?.map { $0 != 0 }
    if case .array(.bool(let values)) = value { flags = values }
    guard let flags, flags.count == count else {
      throw error(
        .invalidValue, key,
        "expected a number, or true or false for each of \(count) layers, found \(value.kind)")
    }
    return flags
  }

  private func optionalPositive(_ key: String) throws(FormatError) -> Double? {
    guard let value = try file.double(prefix + key) else { return nil }
    guard value > 0, value.isFinite else {
      throw error(.invalidValue, key, "expected a number above 0, found \(value)")
    }
    return value
  }

  func check(headSize: Int) throws(FormatError) {
    if let values = try optionalSize("attention.value_length"), values != headSize {
      throw error(
        .unsupported, "attention.value_length",
        "heads of \(values) for values and of \(headSize) for keys")
    }
  }

  // MARK: Tokens

  /// A token's id; nil if there is none, which some files write as a number beyond the vocabulary.
  func tokenID(_ name: String, below count: Int) throws(FormatError) -> Int? {
    guard let id = try file.int("tokenizer.ggml.\(name)_token_id") else { return nil }
    return (0..<count).contains(id) ? id : nil
  }

  func endTokenIDs(below count: Int) throws(FormatError) -> [Int] {
    var ids: [Int] = []
    for name in ["eos", "eot", "eom"] {
      if let id = try tokenID(name, below: count), !ids.contains(id) { ids.append(id) }
    }
    return ids
  }

  // MARK: Rotary positions

  /// What queries are multiplied by beside, and what the amplitude of YaRN is divided by.
  static let (queryScaling, yarnWeight) = (
    "attention.temperature_scale", "rope.scaling.yarn_log_multiplier"
  )

  /// The rotary embedding by the architecture's rule.
  func rotary(
    headSize: Int, _ rule: RotaryConfiguration.Rule = .init(), maximumPositions: Int = 0
  ) throws(FormatError) -> RotaryConfiguration {
    var result = try wholeRotary(headSize: headSize, rule)
    if rule.scalesQueries {
      try addQueryScaling(to: &result, maximumPositions: maximumPositions)
    }
    let isPartial = rule.fraction != nil
    guard let turned = try optionalSize("rope.dimension_count"), turned != headSize else {
      return result
    }
    guard isPartial, turned < headSize, turned % 2 == 0 else {
      throw error(
        .unsupported, "rope.dimension_count",
        "only \(turned) of a head's \(headSize) elements are turned")
    }
    result.fraction = Double(turned) / Double(headSize)
    return result
  }

  private func addQueryScaling(
    to rotary: inout RotaryConfiguration, maximumPositions: Int
  ) throws(FormatError) {
    if let weight = try number(Self.yarnWeight), weight != 0, case .yarn(var yarn) = rotary.scaling
    {
      yarn.amplitude /= RotaryConfiguration.Yarn.amplitude(yarn.factor, weight: weight)
      rotary.scaling = .yarn(yarn)
    }
    guard let weight = try number(Self.queryScaling), weight != 0 else { return }
    guard weight > 0, weight <= 100 else {
      throw error(
        .invalidValue, Self.queryScaling, "expected a number from 0 to 100, found \(weight)")
    }
    let period = try optionalSize("rope.scaling.original_context_length") ?? maximumPositions
    rotary.queryScaling = .init(weight: weight, period: period)
  }

  private func wholeRotary(
    headSize: Int, _ rule: RotaryConfiguration.Rule
  ) throws(FormatError) -> RotaryConfiguration {
    let base = try optionalPositive("rope.freq_base") ?? 10_000
    let kind = try file.string(prefix + "rope.scaling.type") ?? "none"
    let older = try optionalPositive("rope.scale_linear")
    let factor = try optionalPositive("rope.scaling.factor") ?? older ?? 1
    let hasFactors = file.entry(named: "rope_freqs.weight") != nil
    if file.entry(named: Self.shortFactors) != nil {
      return RotaryConfiguration(base: base, scaling: try longRoPE())
    }
    if kind == "yarn" {
      let original = try size("rope.scaling.original_context_length")
      let fast = try optionalPositive("rope.scaling.yarn_beta_fast") ?? 32
      let slow = try optionalPositive("rope.scaling.yarn_beta_slow") ?? 1
      return RotaryConfiguration(
        base: base,
        scaling: .yarn(
          RotaryConfiguration.Yarn(
            factor: factor, originalMaximumPositions: original, fastTurns: fast, slowTurns: slow,
            truncates: rule.truncatesYarn)))
    }
    let isScaled = factor != 1 && (kind == "linear" || older != nil)
    guard kind == "none" || kind == "linear" else {
      throw error(
        .unsupported, "rope.scaling.type",
        "'\(kind)' is not supported, 'none', 'linear' and 'yarn' are")
    }
    guard hasFactors else {
      return RotaryConfiguration(base: base, scaling: isScaled ? .linear(factor: factor) : .none)
    }
    guard !isScaled else {
      throw error(
        .unsupported, "rope.scaling.factor",
        "a factor for all frequencies together with those of 'rope_freqs.weight'")
    }
    return try factored(base: base, headSize: headSize)
  }

  static let shortFactors = "rope_factors_short.weight"
  static let longFactors = "rope_factors_long.weight"

  /// LongRoPE's scaling, whose factors are tensors.
  private func longRoPE() throws(FormatError) -> RotaryConfiguration.Scaling {
    func factors(_ name: String) throws(FormatError) -> [Double] {
      let tensor = try file.tensor(named: name)
      let numbers = tensor.dtype == .float32 ? tensor.scalars().map { Double($0) } : []
      guard !numbers.isEmpty, numbers.allSatisfy({ $0 > 0 && $0.isFinite }) else {
        throw FormatError(
          .invalidValue, file: file.path, tensor: name, "expected positive float32 numbers")
      }
      return numbers
    }
    return .longRoPE(
      RotaryConfiguration.LongRoPE(
        shortFactors: try factors(Self.shortFactors), longFactors: try factors(Self.longFactors),
        originalMaximumPositions: try size("rope.scaling.original_context_length"),
        amplitude: try optionalPositive("rope.scaling.attn_factor") ?? 1))
  }

  /// The settings that `rope_freqs.weight` follows from: Llama 3's scaling, or a part of the frequencies
  /// as they are and the others 0, which is written as factors of 1e30.
  private func factored(
    base: Double, headSize: Int
  ) throws(FormatError) -> RotaryConfiguration {
    let name = "rope_freqs.weight"
    let tensor = try file.tensor(named: name)
    let factors = tensor.dtype == .float32 ? tensor.scalars().map { Double($0) } : []
    let isUsable = factors.allSatisfy { $0 > 0 && $0.isFinite }
    guard factors.count == headSize / 2, isUsable else {
      throw FormatError(
        .shapeMismatch, file: file.path, tensor: name,
        "expected \(headSize / 2) positive float32 numbers, found \(tensor.dtype) \(tensor.shape)")
    }
    if factors == factors.map({ _ in 1 }) { return RotaryConfiguration(base: base) }
    let turned = factors.prefix { $0 == 1 }.count
    if turned > 0, factors.dropFirst(turned).allSatisfy({ $0 >= 1e29 }) {
      var fraction = Double(turned) / Double(factors.count)
      if Int(fraction * Double(factors.count)) < turned { fraction = fraction.nextUp }
      return RotaryConfiguration(
        base: base, scaling: .proportional(factor: 1), fraction: fraction)
    }
    let largest = factors.max() ?? 1
    for power in 4...20 {
      for high in [4.0, 2, 8, 16, 32] {
        let candidate = RotaryConfiguration.Scaling.llama3(
          factor: largest, lowFrequencyFactor: 1, highFrequencyFactor: high,
          originalMaximumPositions: 1 << power)
        let rotary = RotaryConfiguration(base: base, scaling: candidate)
        let expected = rotary.divisors(headSize: headSize)
        let isSame = zip(expected, factors).allSatisfy { abs($0 - $1) <= 1e-4 * $1 }
        if isSame { return rotary }
      }
    }
    throw FormatError(
      .unsupported, file: file.path, tensor: name,
      "its factors are neither those of Llama 3's scaling nor those of a part of each head, which alone "
        + "are supported")
  }
}
