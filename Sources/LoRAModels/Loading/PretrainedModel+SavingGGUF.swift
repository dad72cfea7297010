import LoRAArchitectures
import LoRAFiles
public import LoRATensor

extension PretrainedModel {
  /// Writes the model as a GGUF file, merged adapters included: what llama.cpp, Ollama and LM Studio open.
  ///
  /// Of a model that was opened from a folder the file is what llama.cpp's `convert_hf_to_gguf.py` makes of
  /// it, with its tokenizer and chat templates. Matrices have the type that is asked for; vectors and norms
  /// are float32, and rows that do not divide into blocks of `q8_0` float16. Weights are laid out one at a
  /// time, while they are written.
  ///
  /// Of a model from a GGUF file it is all key-values and tensors of that, bit for bit, but for the
  /// weights that adapters are merged into. A merged weight is written in the file's type if that is a
  /// plain one; where it is quantized, as ``LoRAModels/Module/mergeAdapters(_:quantized:)`` was asked:
  /// float32 or quantized again. A head that shares the embedding's table is written apart where merging
  /// made the two differ.
  ///
  /// - Parameters:
  ///   - path: the file to write.
  ///   - type: what matrices of a model from a folder become: float32, float16, bfloat16 or `q8_0`; nil:
  ///     as they are stored.
  ///
  /// - Returns: what llama.cpp computes otherwise with the file, in texts longer than a window; empty
  ///   as a rule.
  ///
  /// - Throws: `FormatError` for an architecture, options or a head that GGUF files have no place for, for
  ///   a number beyond its type, for a `type` with a model from a GGUF file, and if a merged adapter
  ///   changed what that file has no place for; `TokenizerError` for a tokenizer that llama.cpp does not
  ///   know. Nothing is written then.
  @discardableResult
  public func saveGGUF(to path: String, type: DType? = nil) throws -> [String] {
    if let directory { return try writeGGUF(of: directory, to: path, type: type) }
    guard let file else { return [] }
    guard type == nil else {
      throw FormatError(
        .unsupported, file: path, problem: "a type for all weights of a model from a GGUF file",
        remedy: "leave it out: the weights keep their types")
    }
    let base = try GGUFBase(file: file)
    guard let names = GGUFTensorNames(base) else {
      throw FormatError(
        .unsupported, file: file.path, subject: "'general.architecture'",
        problem: "the tensor names of '\(base.architecture)' are not known")
    }
    var values = try model.mergedValues(transposing: false)
    var items: [GGUFWriter.Item] = []
    for entry in file.entries {
      if let stack = try self.stack(entry, names, &values) {
        items.append(.init(name: entry.name, tensor: stack))
        continue
      }
      guard let parameter = names.parameterPath(ofTensor: entry.name),
        let value = values.removeValue(forKey: parameter)
      else {
        items.append(.init(name: entry.name, blocks: try file.blockBytes(named: entry.name)))
        continue
      }
      let stem = String(parameter[..<(parameter.lastIndex(of: ".") ?? parameter.endIndex)])
      let tensor = try stored(value, as: entry, names.module(atPath: stem)?.module, base)
      items.append(.init(name: entry.name, tensor: tensor))
    }
    if configuration.tiesWordEmbeddings, let model = model as? any LanguageModel {
      if let head = try model.mergedApart(try model.mergedValues()) {
        items.append(.init(name: "output.weight", tensor: head.tensor))
        values[head.name] = nil
      } else if let name = model.modules().first(where: { $0.module === model.head })?.path {
        values["\(name).weight"] = nil  // the table's own
      }
    }
    if let name = values.keys.min() {
      throw FormatError(
        .unsupported, file: file.path, subject: "parameter '\(name)'",
        problem: "a merged adapter changed it, and the file has no tensor for it")
    }
    try GGUFWriter.write(file.keyValues, tensors: items, to: path)
    return []
  }

  /// The experts of a tensor of all of them, if a merged adapter changed any, whose values are taken out
  /// of `values`: in the file's type if that is a plain one or all have it, else in float32.
  private func stack(
    _ entry: GGUFFile.Entry, _ names: GGUFTensorNames, _ values: inout [String: Tensor]
  ) throws -> Tensor? {
    guard let path = names.parameterPath(ofTensor: entry.name), path.contains("{}"), let file,
      entry.shape.count == 3
    else { return nil }
    let all = try file.tensor(named: entry.name)
    let changed = (0..<entry.shape[0]).map {
      values.removeValue(forKey: TensorName.filled(path, [$0]))
    }
    guard changed.contains(where: { $0 != nil }) else { return nil }
    var experts = changed.enumerated().map { $1 ?? all[row: $0] }
    let types = Set(experts.map(\.dtype))
    if types.count > 1 || !all.dtype.isQuantized {
      experts = experts.map { $0.converted(to: all.dtype.isQuantized ? .float32 : all.dtype) }
    }
    return .stacked(experts)
  }

  /// A merged value, laid out as the file has the tensor.
  private func stored(
    _ value: Tensor, as entry: GGUFFile.Entry, _ module: TensorName?, _ base: GGUFBase
  ) throws -> Tensor {
    var tensor = value
    if let module {
      if module.order != .same,
        let rows = module.order.checkpointRows(count: tensor.shape[0], base.heads)
      {
        tensor = tensor.gatheringRows(rows)
      }
      if module.addsOne { tensor = tensor.converted(to: .float32).adding(1) }
    }
    guard let type = entry.type.dtype, !type.isQuantized else { return tensor }
    return tensor.converted(to: type)
  }
}
