import LoRAArchitectures
import LoRAAutograd
import LoRAFiles
import LoRAFormats
import LoRAJSON
public import LoRATensor

extension PretrainedModel {
  /// Writes the model as a Hugging Face directory, merged adapters included: every tensor of the files
  /// that it was opened from, each in the type that it had there.
  ///
  /// What neither training nor merging changed keeps its bits, tensors that are no parameters included
  /// (`inv_freq`, a tied head that is stored all the same). Other numbers are rounded once, to the
  /// type of their tensor. `config.json` stays as it is but for what changed: a head that shares the
  /// embedding's table is written apart where merging made the two differ. Of a GGUF file, what was
  /// quantized becomes float32.
  ///
  /// - Parameters:
  ///   - path: the folder to write; made if it is missing.
  ///   - type: what all parameters are stored as instead; float32, bfloat16 or float16.
  ///   - otherFiles: more files of the folder, a tokenizer's for example.
  ///
  /// Throws `FormatError` of the kind `nonFinite`, before anything is written, if a number is beyond
  /// its type; and as ``PretrainedTokenModel/save(to:type:generation:otherFiles:)`` does.
  public func save(
    to path: String, type: DType? = nil,
    otherFiles: [(name: String, content: [UInt8])] = []
  ) throws {
    let weights = try StoredWeights(
      self, type: type, file: FileSystem.join(path, "model.safetensors"))
    try ModelDirectory.write(
      weights.tensors, configuration: try configurationText(weights, type),
      generation: directory == nil ? generation.encoded() : nil, otherFiles: otherFiles,
      copies: weights.copies, to: path)
  }

  /// The text of `config.json`.
  private func configurationText(_ weights: StoredWeights, _ type: DType?) throws -> [UInt8] {
    guard let directory else {
      var stored = configuration
      stored.storedType = type ?? storedType
      if weights.isHeadApart { stored.tiesWordEmbeddings = false }
      return stored.encoded()
    }
    guard weights.isHeadApart || type != nil || !freshModules.isEmpty else {
      return directory.configurationText
    }
    var object =
      freshModules.isEmpty
      ? directory.configurationObject : configuration.labelled(directory.configurationObject)
    if weights.isHeadApart, !configuration.architecture.isHeadFoundInFile {
      object["tie_word_embeddings"] = false
    }
    if let type {
      let key = object["dtype"] == nil && object["torch_dtype"] != nil ? "torch_dtype" : "dtype"
      object[key] = .string(type.rawValue)
    }
    return JSONValue.object(object).encodedBytes(pretty: true)
  }
}

/// A model's tensors as its files have them.
private struct StoredWeights {
  var tensors: [(name: String, tensor: Tensor)] = []
  /// The names of tensors that are no parameters.
  var copies: Set<String> = []
  /// Whether the head has numbers of its own that used to be the embedding's.
  var isHeadApart = false

  private let file: String

  init(_ pretrained: PretrainedModel, type: DType?, file: String) throws {
    self.file = file
    let model = pretrained.model
    let merged = try model.mergedValues()
    let transposed = Set(
      model.linearLayers().filter(\.layer.storesTransposedWeight).map { "\($0.path).weight" })
    var values: [(name: String, tensor: Tensor)] = model.namedParameters().map { name, parameter in
      let base = parameter.value
      return (name, merged[name] ?? (transposed.contains(name) ? base.layoutTransposed() : base))
    }
    values = try pretrained.stacked(values)
    var head: (name: String, tensor: Tensor)?
    if model.configuration.tiesWordEmbeddings, let model = model as? any LanguageModel {
      head = try model.mergedApart(merged)
      isHeadApart = head != nil
    }
    if let head { values.append(head) }
    guard let directory = pretrained.directory else {
      for (name, value) in values {
        try append(name, value, as: type ?? pretrained.typeInFile(ofParameter: name))
      }
      return
    }
    try fill(from: directory, values, type, pretrained)
  }

  /// The tensors of `directory`, with `values` in the place of its parameters.
  private mutating func fill(
    from directory: ModelDirectory, _ values: [(name: String, tensor: Tensor)], _ type: DType?,
    _ pretrained: PretrainedModel
  ) throws {
    let architecture = pretrained.configuration.architecture
    var rest = Dictionary(values.map { ($0.name, $0.tensor) }) { first, _ in first }
    let table = rest["\(architecture.embeddingPath).weight"]
    for name in directory.tensorNames {
      let stored = try directory.tensor(named: name)
      let parameter = directory.parameterName(name, architecture)
      if let value = rest.removeValue(forKey: parameter) {
        try append(name, value, as: type ?? stored.dtype)
      } else if let table,
        architecture.embeddingCopies.contains(name)
          || (name == "\(architecture.headPath).weight" && pretrained.model is any LanguageModel)
      {
        // Tied, and stored all the same.
        try append(name, table, as: type ?? stored.dtype)
      } else {
        copies.insert(name)
        tensors.append((name, stored))
      }
    }
    // A checkpoint with a head names what is beside it as parts of a whole.
    if !pretrained.freshModules.isEmpty {
      for index in tensors.indices where !copies.contains(tensors[index].name) {
        tensors[index].name = directory.parameterName(tensors[index].name, architecture)
      }
    }
    for (name, value) in values where rest[name] != nil {
      try append(name, value, as: type ?? pretrained.storedType)
    }
  }

  private mutating func append(_ name: String, _ value: Tensor, as type: DType) throws {
    tensors.append((name, try value.stored(as: type, named: name, file: file)))
  }
}

extension PretrainedModel {
  /// The type that a GGUF file has a parameter in; float32 where that is quantized or unknown.
  fileprivate func typeInFile(ofParameter name: String) -> DType {
    guard let file, let names = (try? GGUFBase(file: file)).flatMap({ GGUFTensorNames($0) }),
      let stored = names.tensorName(ofParameter: name),
      let type = file.entry(named: stored)?.type.dtype, type.isFloatingPoint, !type.isQuantized
    else { return name == "\(configuration.architecture.headPath).weight" ? storedType : .float32 }
    return type
  }
}
