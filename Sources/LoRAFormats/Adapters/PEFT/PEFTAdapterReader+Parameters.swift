import LoRAFiles
import LoRATensor

// Adapters of parameters: PEFT's `target_parameters`. A module with several adapted parameters is
// wrapped once for each, so that the names of the inner ones' tensors go through `base_layer`.
//
// Source: `ParamWrapper` in PEFT's `tuners/lora/layer.py`.

extension PEFTAdapterReader {
  /// The layers that the tensors of one wrapper make: one for each expert; nil if it wraps no parameter.
  func parameterLayers(_ module: Module) throws(FormatError) -> [AdapterDescription.Layer]? {
    guard !configuration.targetParameters.isEmpty else { return nil }
    var (path, depth) = (module.path, 0)
    while path.hasSuffix(".base_layer") {
      path = String(path.dropLast(".base_layer".count))
      depth += 1
    }
    let parameters = configuration.targetParameters(ofModule: path)
    if parameters.isEmpty || depth == 0 && configuration.matchesModule(path) { return nil }
    let first = module.parts.values.min() ?? ""
    guard depth < parameters.count else {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: first,
        "it is of one more parameter of '\(path)' than 'target_parameters' names: "
          + listed(parameters))
    }
    let place = ParameterPath(module: path, parameter: parameters[parameters.count - 1 - depth])
    var keyed = module
    keyed.path = place.key
    var parts = PEFTLayerReader(keyed, self)
    let (a, b) = (try parts.require("lora_A"), try parts.require("lora_B"))
    if let (part, name) = parts.names.min(by: { $0.key < $1.key }) {
      throw FormatError(
        .unexpectedTensor, file: file.path, tensor: name,
        "adapters of parameters have no part '\(part)'")
    }
    let changes = try Self.changes(a, b, parts, isMatrix: place.parameter == "weight")
    return changes.enumerated().map { index, change in
      var place = place
      if place.parameter != "weight" { place.expert = index }
      return AdapterDescription.Layer(
        path: place.path, change: change, storedType: parts.storedType)
    }
  }

  /// The change of each expert, whose factors lie in A as blocks of rows and in B as columns that take
  /// turns: A is [experts · rank, inputs], B [outputs, rank · experts].
  private static func changes(
    _ a: PEFTLayerReader.Part, _ b: PEFTLayerReader.Part, _ parts: PEFTLayerReader, isMatrix: Bool
  ) throws(FormatError) -> [LowRankChange] {
    let rank = parts.rank
    guard a.tensor.shape.count == 2, a.tensor.shape[0] % rank == 0,
      !isMatrix || a.tensor.shape[0] == rank
    else {
      throw parts.mismatch(
        a,
        isMatrix
          ? "expected [\(rank), inputs] for the configured rank \(rank)"
          : "expected rows for each expert, of the configured rank \(rank)",
        remedy: PEFTLayerReader.rankRemedy)
    }
    guard b.tensor.shape.count == 2, b.tensor.shape[1] == a.tensor.shape[0] else {
      throw parts.mismatch(b, "expected [outputs, \(a.tensor.shape[0])] as '\(a.name)' has it")
    }
    let experts = a.tensor.shape[0] / rank
    return (0..<experts).map { expert in
      LowRankChange(
        a: a.tensor[rows: expert * rank..<(expert + 1) * rank],
        b: b.tensor.columns(of: expert, among: experts), alpha: parts.alpha, scale: parts.scale)
    }
  }

  /// Throws unless each module of which a parameter was read has an adapter of all that
  /// `target_parameters` names of it: which tensors are whose follows from their number.
  func checkParameters(_ layers: [AdapterDescription.Layer]) throws(FormatError) {
    var found: [ExactName: (module: String, parameters: Set<String>)] = [:]
    for layer in layers {
      guard let path = ParameterPath(layer.path) else { continue }
      found[ExactName(path.module), default: (path.module, [])].parameters.insert(path.parameter)
    }
    for (module, parameters) in found.values {
      let missing = configuration.targetParameters(ofModule: module)
        .filter { !parameters.contains($0) }
      guard let first = missing.first else { continue }
      throw FormatError(
        .missingTensor, file: file.path, subject: "'\(module).\(first)'",
        problem:
          "'target_parameters' in \(PEFTAdapterConfiguration.fileName) names it, but the file "
          + "has no factors for it", remedy: "the file is incomplete: save the adapter again")
    }
  }
}

extension Tensor {
  /// The columns j · count + index of a float32 matrix, [rows, columns / count].
  fileprivate func columns(of index: Int, among count: Int) -> Tensor {
    let (rows, columns) = (shape[0], shape[1] / count)
    return withUnsafeElements(of: Float.self) { source in
      Tensor(
        (0..<rows * columns).map { place in
          source[place / columns * shape[1] + place % columns * count + index]
        }, shape: [rows, columns])
    }
  }
}
