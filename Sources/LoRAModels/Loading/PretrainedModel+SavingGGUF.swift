import LoRAArchitectures
import LoRAFiles
import LoRATensor

extension PretrainedModel {
  /// Writes the model as a GGUF file: all key-values and tensors of the file that it was opened from,
  /// bit for bit, but for the weights that adapters are merged into.
  ///
  /// A merged weight is written in the file's type if that is a plain one; where it is quantized, as
  /// ``LoRAModels/Module/mergeAdapters(_:quantized:)`` was asked: float32 or quantized again. A head
  /// that shares the embedding's table is written apart where merging made the two differ.
  ///
  /// Throws `FormatError` for a model that was opened from a folder, and if a merged adapter
  /// changed what the file has no place for.
  public func saveGGUF(to path: String) throws {
    guard let file else {
      throw FormatError(
        .unsupported, file: path, problem: "the model was opened from a folder, not a GGUF file",
        remedy: "save a folder, and convert that with llama.cpp's convert_hf_to_gguf.py")
    }
    let base = try GGUFBase(file: file)
    guard let names = GGUFTensorNames(architecture: base.architecture) else {
      throw FormatError(
        .unsupported, file: file.path, subject: "'general.architecture'",
        problem: "the tensor names of '\(base.architecture)' are not known")
    }
    var values = try model.mergedValues(transposing: false)
    var items: [GGUFWriter.Item] = []
    for entry in file.entries {
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
  }

  /// A merged value, laid out as the file has the tensor.
  private func stored(
    _ value: Tensor, as entry: GGUFFile.Entry, _ module: TensorName?, _ base: GGUFBase
  ) throws -> Tensor {
    var tensor = value
    if let module {
      if let heads = base.heads(of: module.order),
        let rows = TensorName.RowOrder.checkpointRows(count: tensor.shape[0], heads: heads)
      {
        tensor = tensor.gatheringRows(rows)
      }
      if module.addsOne { tensor = tensor.converted(to: .float32).adding(1) }
    }
    guard let type = entry.type.dtype, !type.isQuantized else { return tensor }
    return tensor.converted(to: type)
  }
}
