public import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
public import LoRATensor

extension Module {
  /// Writes every parameter of this module to a safetensors file, under its path.
  ///
  /// A tied parameter is written once. Adapters are not part of it.
  public func saveParameters(to path: String, metadata: [String: String] = [:]) throws {
    try SafetensorsWriter.write(
      namedParameters().map { (name: $0.path, tensor: $0.parameter.value) }, metadata: metadata,
      to: path)
  }

  /// Reads every parameter of this module from a file that ``saveParameters(to:metadata:)`` wrote.
  ///
  /// Strict and all or nothing: a missing, unexpected, misshapen or non-finite tensor is an error
  /// that names it, and nothing has changed.
  public func loadParameters(from path: String) throws {
    let file = try SafetensorsFile(path: path, access: .copied)
    let wanted = namedParameters()
    try replaceParameters(wanted, named: file.names, file: path) { try file.tensor(named: $0) }
  }

  /// Checks all of `names` against `wanted`, then replaces the values.
  private func replaceParameters(
    _ wanted: [NamedParameter], named names: [String], file: String,
    tensor: (String) throws -> Tensor
  ) throws {
    let paths = Set(wanted.map(\.path))
    for name in names where !paths.contains(name) {
      throw FormatError(
        .unexpectedTensor, file: file, subject: "tensor '\(name)'",
        problem: "the module has no such parameter", remedy: "this is the file of another module")
    }
    var values: [(Parameter, Tensor)] = []
    for (name, parameter) in wanted {
      let value = try tensor(name)
      guard value.shape == parameter.shape else {
        throw FormatError(
          .shapeMismatch, file: file, subject: "tensor '\(name)'",
          problem: "the module's is \(parameter.shape), the file's \(value.shape)",
          remedy: "this is the file of another module")
      }
      if let index = value.firstNonFiniteIndex() {
        throw FormatError(
          .nonFinite, file: file, subject: "tensor '\(name)'",
          problem: "element \(index) is not a finite number", remedy: "the file is damaged")
      }
      values.append((parameter, value))
    }
    for (parameter, value) in values { parameter.value = value }
  }
}

extension PretrainedTokenModel {
  /// Writes the model as a Hugging Face directory that transformers and this library read, merged
  /// adapters included.
  ///
  /// - Parameters:
  ///   - path: the folder to write; made if it is missing.
  ///   - type: what matrices and vectors are stored as; float32, bfloat16 or float16.
  ///   - generation: what becomes `generation_config.json`; no such file if nil.
  ///   - otherFiles: more files of the folder, a tokenizer's for example.
  ///
  /// A head that shares the embedding's table is written apart where merging made the two differ.
  /// Throws if a merged adapter changed what the file can't hold, as a bias that the architecture
  /// lacks.
  public func save(
    to path: String, type: DType = .float32, generation: GenerationConfiguration? = nil,
    otherFiles: [(name: String, content: [UInt8])] = []
  ) throws {
    let values = try mergedValues()
    let transposed = Set(
      linearLayers().filter(\.layer.storesTransposedWeight).map { "\($0.path).weight" })
    let file = FileSystem.join(path, "model.safetensors")
    let all = namedParameters().map { name, parameter in
      let base = parameter.value
      let value = values[name] ?? (transposed.contains(name) ? base.layoutTransposed() : base)
      return (name: name, tensor: value)
    }
    var tensors = try configuration.architecture.stacked(all).map { name, value in
      (name: name, tensor: try value.stored(as: type, named: name, file: file))
    }
    var stored = configuration
    stored.storedType = type
    if configuration.tiesWordEmbeddings,
      let head = try (self as? any LanguageModel)?.mergedApart(values)
    {
      stored.tiesWordEmbeddings = false
      tensors.append(
        (name: head.name, tensor: try head.tensor.stored(as: type, named: head.name, file: file)))
    }
    try ModelDirectory.write(
      tensors, configuration: stored.encoded(), generation: generation?.encoded(),
      otherFiles: otherFiles, to: path)
  }
}

extension Module {
  /// The merged values of parameters, under their names in checkpoints and as these have them.
  ///
  /// - Parameter transposing: whether weights that checkpoints have as their transposes are given so;
  ///   else every weight is `[outputSize, inputSize]`, quantized ones as they are.
  func mergedValues(transposing: Bool = true) throws -> [String: Tensor] {
    var values: [String: Tensor] = [:]
    for (path, module) in adaptableModules() where !(module is PairedLinear) {
      guard let merged = module.slot.withState({ $0.merged }) else { continue }
      let isTransposed =
        transposing && ((module as? any LinearLayer)?.storesTransposedWeight ?? false)
      values["\(path).weight"] = isTransposed ? merged.weight.layoutTransposed() : merged.weight
      guard let bias = merged.bias else { continue }
      guard module.parameters["bias"] != nil else {
        throw AdapterError.unsupported(
          layer: path, reason: "the merged bias has no place in this architecture's files")
      }
      values["\(path).bias"] = bias
    }
    return values
  }
}

extension LanguageModel {
  /// The weight of a tied head if `values` make it another than the embedding's table.
  func mergedApart(
    _ values: [String: Tensor]
  ) throws -> (name: String, tensor: Tensor)? {
    let all = modules()
    guard let weight = head.weight, let path = all.first(where: { $0.module === head })?.path,
      let table = namedParameters().first(where: { $0.parameter === weight })
    else { return nil }
    let name = "\(path).weight"
    let (mine, shared) = (values[name] ?? weight.value, values[table.path] ?? weight.value)
    return mine == shared ? nil : (name, mine)
  }
}

extension Tensor {
  /// The transpose of a matrix of any floating-point type, of a quantized one as float32.
  func layoutTransposed() -> Tensor {
    // Through float32, which holds every number of a narrower type: its transposition has a kernel.
    converted(to: .float32).transposed().converted(to: dtype.isQuantized ? .float32 : dtype)
  }
}
