import LoRATensor

extension PEFTAdapterReader {
  /// The change that the parts of one module make.
  func layer(_ module: Module) throws(FormatError) -> AdapterDescription.Layer {
    let path = module.path
    let first = module.parts.values.min() ?? ""
    if configuration.targets != .unspecified, !configuration.matches(path: path) {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: first,
        "the targets in \(PEFTAdapterConfiguration.fileName) do not match '\(path)'")
    }
    if let stray = module.parts.keys.filter({ !isKnown($0) }).min() {
      throw self.stray(stray, module.parts[stray] ?? "")
    }
    var parts = Parts(module, self)
    let change: LayerChange =
      switch configuration.method {
      case .lora(let options): .lowRank(try lowRank(&parts, options))
      case .loha: .hadamard(try hadamard(&parts))
      case .lokr: .kronecker(try kronecker(&parts))
      case .ia3: .scaling(try scaling(&parts))
      }
    if let (part, name) = parts.names.min(by: { $0.key < $1.key }) { throw stray(part, name) }
    return AdapterDescription.Layer(path: path, change: change, storedType: parts.storedType)
  }

  /// Whether the method can have the part at all.
  private func isKnown(_ part: String) -> Bool {
    switch configuration.method {
    case .lora(let options):
      switch part {
      case "lora_magnitude_vector": options.isDoRA
      case "lora_B.bias": options.hasFactorBias
      default: part.hasPrefix("lora_")
      }
    case .loha: part.hasPrefix("hada_")
    case .lokr: part.hasPrefix("lokr_")
    case .ia3: part == "ia3_l"
    }
  }

  /// A part that belongs to none.
  private func stray(_ part: String, _ tensor: String) -> FormatError {
    FormatError(
      .unexpectedTensor, file: file.path, tensor: tensor,
      "\(configuration.method.peftType) as \(PEFTAdapterConfiguration.fileName) describes it has no "
        + "part '\(part)'",
      remedy: Self.remedy(forPart: part))
  }

  private static func remedy(forPart part: String) -> String {
    switch part {
    case "lora_magnitude_vector": "DoRA's configurations say 'use_dora': true"
    case "lora_B.bias": "configurations of such adapters say 'lora_bias': true"
    default: "check 'peft_type': the configuration may belong to another file"
    }
  }

  /// The parts of a module that are still to be read.
  struct Parts {
    let path: String
    private(set) var names: [String: String]
    private let reader: PEFTAdapterReader
    private var types: Set<DType> = []

    init(_ module: Module, _ reader: PEFTAdapterReader) {
      path = module.path
      names = module.parts
      self.reader = reader
    }

    /// The type that holds all of them exactly.
    var storedType: DType { types.count == 1 ? types.first ?? .float32 : .float32 }

    /// A tensor with its name.
    struct Part {
      var name: String
      var tensor: Tensor
    }

    mutating func take(_ part: String) throws(FormatError) -> Part? {
      guard let name = names.removeValue(forKey: part) else { return nil }
      let (tensor, type) = try reader.checkedTensor(name)
      types.insert(type)
      return Part(name: name, tensor: tensor)
    }

    /// A part without which the others mean nothing.
    mutating func require(_ part: String) throws(FormatError) -> Part {
      let others = names.values.sorted()
      if let found = try take(part) { return found }
      let ending = ["lora_A", "lora_B"].contains(part) ? ".weight" : ""
      throw FormatError(
        .missingTensor, file: reader.file.path,
        tensor: "\(PEFTTensorName.prefix)\(path).\(part)\(ending)",
        "it is missing, although '\(others.first ?? path)' is there",
        remedy: "the file is incomplete: save the adapter again")
    }
  }

  func mismatch(
    _ part: Parts.Part, _ problem: String, remedy: String = ""
  ) -> FormatError {
    FormatError(
      .shapeMismatch, file: file.path, tensor: part.name,
      "\(problem), found \(part.tensor.shape)", remedy: remedy)
  }

  // MARK: LoRA

  private func lowRank(
    _ parts: inout Parts, _ options: PEFTAdapterConfiguration.LoRA
  ) throws(FormatError) -> LowRankChange {
    let isEmbedding = parts.names.keys.contains { $0.hasPrefix("lora_embedding") }
    let prefix = isEmbedding ? "lora_embedding_" : "lora_"
    let (a, b) = (try parts.require(prefix + "A"), try parts.require(prefix + "B"))
    let rank = configuration.rank(forPath: parts.path)
    try checkFactors(a, b, rank: rank, isEmbedding: isEmbedding)
    let outputs = b.tensor.shape[0]
    let alpha = configuration.alpha(forPath: parts.path)
    var change = LowRankChange(
      a: a.tensor, b: b.tensor, alpha: alpha, scale: configuration.scale(alpha: alpha, rank: rank),
      isEmbedding: isEmbedding)
    if options.hasFactorBias, !isEmbedding {
      let bias = try parts.require("lora_B.bias")
      guard bias.tensor.shape == [outputs] else {
        throw mismatch(bias, "expected [\(outputs)], one number for each row of B")
      }
      change.bias = bias.tensor
    }
    if options.isDoRA {
      let magnitude = try parts.require("lora_magnitude_vector")
      // Of a convolution's it is [1, out, 1, 1].
      let rest = Array(repeating: 1, count: a.tensor.shape.count - 2)
      let isConvolution = !rest.isEmpty
      guard
        magnitude.tensor.shape == [outputs]
          || isConvolution && Array(magnitude.tensor.shape) == [1, outputs] + rest
      else {
        throw mismatch(
          magnitude, "expected [\(outputs)], one norm for each row of B",
          remedy: magnitude.tensor.elementCount == outputs
            ? "reshape it: LyCORIS keeps [\(outputs), 1], PEFT [\(outputs)]"
            : "the magnitudes belong to another layer or adapter")
      }
      change.magnitude = magnitude.tensor.reshaped(to: [outputs])
    }
    return change
  }

  /// A is [rank, inputs], B [outputs, rank]; of convolutions [rank, inputs, height, width] and
  /// [outputs, rank, 1, 1].
  private func checkFactors(
    _ a: Parts.Part, _ b: Parts.Part, rank: Int, isEmbedding: Bool
  ) throws(FormatError) {
    let (shapeA, shapeB) = (a.tensor.shape, b.tensor.shape)
    let expectedA = "expected [\(rank), inputs] for the configured rank \(rank)"
    let expectedB = "expected [outputs, \(rank)] for the configured rank \(rank)"
    let dimensions = isEmbedding ? 2...2 : 2...5
    guard dimensions.contains(shapeA.count) else { throw mismatch(a, expectedA) }
    guard shapeB.count == shapeA.count else {
      // Most adapters are of matrices: of a pair with one matrix the other one is wrong.
      throw shapeB.count == 2
        ? mismatch(a, expectedA + ", as '\(b.name)' is \(shapeB)") : mismatch(b, expectedB)
    }
    guard shapeB.dropFirst(2).allSatisfy({ $0 == 1 }) else {
      let ones = shapeB.dropFirst(2).map { _ in ", 1" }.joined()
      throw mismatch(b, "expected [outputs, \(rank)\(ones)] for the configured rank \(rank)")
    }
    if shapeA[0] == rank, shapeB[1] == rank { return }
    let isTransposed =
      shapeA.count == 2 && shapeA[1] == shapeB[0] && shapeA[0] != rank && shapeB[1] != rank
      && (shapeA[1] == rank || shapeA[0] != shapeB[1])
    if isTransposed {
      throw mismatch(
        a, "both factors lie transposed: \(expectedA)",
        remedy: "MLX keeps them so: transpose them, or read the file as what it is")
    }
    guard shapeA[0] == shapeB[1] else {
      let wrong = shapeA[0] == rank ? b : a
      let isFlipped =
        wrong.tensor.shape.count == 2 && wrong.tensor.shape[shapeA[0] == rank ? 0 : 1] == rank
      throw mismatch(
        wrong, shapeA[0] == rank ? expectedB : expectedA,
        remedy: isFlipped
          ? "it lies transposed: transpose it"
          : "'\(a.name)' and '\(b.name)' have different ranks: they are not of one adapter")
    }
    throw mismatch(
      a, expectedA,
      remedy: "both factors have rank \(shapeA[0]): set 'r', or 'rank_pattern' for this layer; the "
        + "scale depends on it")
  }

  // MARK: LoHa

  private func hadamard(_ parts: inout Parts) throws(FormatError) -> HadamardChange {
    let rank = configuration.rank(forPath: parts.path)
    let (b1, a1) = (try parts.require("hada_w1_a"), try parts.require("hada_w1_b"))
    let (b2, a2) = (try parts.require("hada_w2_a"), try parts.require("hada_w2_b"))
    var t1: Parts.Part?
    var t2: Parts.Part?
    if parts.names["hada_t1"] != nil || parts.names["hada_t2"] != nil {
      (t1, t2) = (try parts.require("hada_t1"), try parts.require("hada_t2"))
    }
    let isTucker = t1 != nil
    for part in [b1, b2] {
      // In Tucker form [rank, outputs], otherwise [outputs, rank].
      guard part.tensor.shape.count == 2, part.tensor.shape[isTucker ? 0 : 1] == rank else {
        throw mismatch(
          part, isTucker ? "expected [\(rank), outputs]" : "expected [outputs, \(rank)]",
          remedy: rankRemedy)
      }
    }
    for part in [a1, a2] {
      guard part.tensor.shape.count == 2, part.tensor.shape[0] == rank else {
        throw mismatch(part, "expected [\(rank), inputs]", remedy: rankRemedy)
      }
    }
    for (part, other) in [(b2, b1), (a2, a1)] where part.tensor.shape != other.tensor.shape {
      throw mismatch(part, "expected \(other.tensor.shape), the shape of '\(other.name)'")
    }
    for core in [t1, t2].compactMap({ $0 }) {
      try checkCore(core, rank)
      guard core.tensor.shape == t1?.tensor.shape else {
        throw mismatch(core, "expected the shape of '\(t1?.name ?? "")'")
      }
    }
    let alpha = configuration.alpha(forPath: parts.path)
    return HadamardChange(
      b1: b1.tensor, a1: a1.tensor, b2: b2.tensor, a2: a2.tensor, t1: t1?.tensor, t2: t2?.tensor,
      alpha: alpha, scale: configuration.scale(alpha: alpha, rank: rank))
  }

  private var rankRemedy: String {
    "check 'r' and 'rank_pattern': the scale depends on them"
  }

  private func checkCore(_ core: Parts.Part, _ rank: Int) throws(FormatError) {
    guard core.tensor.shape.count == 4, core.tensor.shape[0] == rank, core.tensor.shape[1] == rank
    else {
      throw mismatch(core, "expected [\(rank), \(rank), height, width]", remedy: rankRemedy)
    }
  }

  // MARK: LoKr

  private func kronecker(_ parts: inout Parts) throws(FormatError) -> KroneckerChange {
    let rank = configuration.rank(forPath: parts.path)
    let first = try kroneckerFactor("lokr_w1", core: nil, rank, &parts)
    let second = try kroneckerFactor("lokr_w2", core: "lokr_t2", rank, &parts)
    let alpha = configuration.alpha(forPath: parts.path)
    // Unlike LyCORIS PEFT scales by alpha / rank even where neither matrix is a product.
    return KroneckerChange(
      first: first, second: second, rank: rank, alpha: alpha,
      scale: configuration.scale(alpha: alpha, rank: rank))
  }

  private func kroneckerFactor(
    _ name: String, core: String?, _ rank: Int, _ parts: inout Parts
  ) throws(FormatError) -> KroneckerChange.Factor {
    if let whole = try parts.take(name) {
      guard (core == nil ? 2...2 : 2...4).contains(whole.tensor.shape.count) else {
        throw mismatch(whole, "expected [rows, columns]")
      }
      return .whole(whole.tensor)
    }
    guard parts.names["\(name)_a"] != nil || parts.names["\(name)_b"] != nil else {
      _ = try parts.require(name)
      throw FormatError(.missingTensor, file: file.path, tensor: name, "it is missing")
    }
    let (a, b) = (try parts.require("\(name)_a"), try parts.require("\(name)_b"))
    let t = try core.flatMap { (core) throws(FormatError) in try parts.take(core) }
    for (part, axis) in [(a, t == nil ? 1 : 0), (b, 0)] {
      guard part.tensor.shape.count == 2, part.tensor.shape[axis] == rank else {
        throw mismatch(
          part, axis == 1 ? "expected [rows, \(rank)]" : "expected [\(rank), columns]",
          remedy: rankRemedy)
      }
    }
    guard let t else { return .product(a.tensor, b.tensor) }
    try checkCore(t, rank)
    return .tucker(a.tensor, b.tensor, core: t.tensor)
  }

  // MARK: IA3

  private func scaling(_ parts: inout Parts) throws(FormatError) -> ScalingChange {
    let vector = try parts.require("ia3_l")
    let shape = vector.tensor.shape
    guard shape.count == 2 else {
      throw FormatError(
        shape.count == 4 ? .unsupported : .shapeMismatch, file: file.path, tensor: vector.name,
        "expected [outputs, 1] or [1, inputs], found \(shape)",
        remedy: shape.count == 4 ? "IA3 on convolutions is not supported" : "")
    }
    let scalesInput: Bool
    if case .ia3(let options) = configuration.method, options.feedForward == .unspecified {
      scalesInput = shape[0] == 1 && shape[1] != 1
    } else {
      scalesInput = configuration.scalesInput(forPath: parts.path)
    }
    guard shape[scalesInput ? 0 : 1] == 1 else {
      throw mismatch(
        vector,
        scalesInput
          ? "expected [1, inputs], as 'feedforward_modules' names the module"
          : "expected [outputs, 1], as 'feedforward_modules' does not name the module")
    }
    return ScalingChange(
      vector: vector.tensor.reshaped(to: [vector.tensor.elementCount]), scalesInput: scalesInput)
  }
}
