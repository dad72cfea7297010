package import LoRAArchitectures
package import LoRAFiles
package import LoRAJSON
package import LoRATensor

/// A model as Hugging Face lays it out: a folder with `config.json` and the weights, in one
/// `model.safetensors` or in shards that `model.safetensors.index.json` lists.
///
/// Opening reads the JSON files and the headers of the weight files, and checks that index and
/// shards agree; tensors are read when asked for.
package struct ModelDirectory: Sendable {
  /// The folder.
  package let path: String
  /// The text of `config.json`, for what `ModelConfiguration` does not hold.
  package let configurationText: [UInt8]
  /// The object in `config.json`.
  package let configurationObject: JSONObject
  /// The names of the tensors: the order of the index, or of the only file.
  package let tensorNames: [String]
  /// The weight files.
  package let files: [SafetensorsFile]

  private let locations: [ExactName: Int]

  static let singleFile = "model.safetensors"
  static let indexFile = "model.safetensors.index.json"
  package static let configurationFile = "config.json"
  static let generationFile = "generation_config.json"

  /// Opens the folder at `path`; `access` is how its weights get into memory.
  package init(
    path: String, access: SafetensorsFile.Access = .mapped
  ) throws(FormatError) {
    guard FileSystem.isFolder(path) else {
      throw FormatError(
        FileSystem.exists(path) ? .unreadable : .missingFile, file: path,
        problem: FileSystem.exists(path) ? "it is not a folder" : "the folder does not exist",
        remedy: "give the folder of a model, with config.json and its weights")
    }
    try FolderJournal.check(path)
    self.path = path
    let configurationPath = FileSystem.join(path, Self.configurationFile)
    configurationText = try FileSystem.read(configurationPath, limit: 1 << 26)
    configurationObject = try FileSystem.object(
      parsing: configurationText, file: configurationPath)

    let single = FileSystem.join(path, Self.singleFile)
    let index = FileSystem.join(path, Self.indexFile)
    if FileSystem.exists(single) {
      let file = try SafetensorsFile(path: single, access: access)
      files = [file]
      tensorNames = file.names
      locations = Dictionary(uniqueKeysWithValues: file.names.map { (ExactName($0), 0) })
    } else if FileSystem.exists(index) {
      (files, tensorNames, locations) = try Self.openShards(index, folder: path, access: access)
    } else {
      throw Self.missingWeights(path)
    }
  }

  private static func missingWeights(_ path: String) -> FormatError {
    let names = FileSystem.names(in: path)
    let pickled = names.first { $0.hasPrefix("pytorch_model") && $0.contains(".bin") }
    if let pickled {
      return FormatError(
        .unsupported, file: FileSystem.join(path, pickled),
        problem: "weights in PyTorch's pickle format are not read: opening them can run code",
        remedy: "convert them in Python: AutoModelForCausalLM.from_pretrained(DIR)"
          + ".save_pretrained(DIR, safe_serialization=True)")
    }
    return FormatError(
      .missingFile, file: FileSystem.join(path, singleFile),
      problem: "neither it nor \(indexFile) exists",
      remedy: names.isEmpty ? "the folder is empty" : "the folder holds \(listed(names))")
  }

  private static func openShards(
    _ indexPath: String, folder: String, access: SafetensorsFile.Access
  ) throws(FormatError) -> ([SafetensorsFile], [String], [ExactName: Int]) {
    let object = try FileSystem.readObject(indexPath)
    guard let map = try JSONFields(object: object, file: indexPath).object("weight_map") else {
      throw FormatError(
        .missingKey, file: indexPath, key: "weight_map", "the index does not map tensors to files")
    }
    var files: [SafetensorsFile] = []
    var shards: [ExactName: Int] = [:]
    var locations: [ExactName: Int] = [:]
    for (name, value) in map.object {
      guard let shard = value.stringValue else {
        throw map.error(.typeMismatch, name, "expected a file's name, found \(value.kind)")
      }
      guard !shard.isEmpty, shard != ".", shard != "..",
        !shard.utf8.contains(where: { $0 == UInt8(ascii: "/") || $0 == 0 })
      else {
        throw map.error(
          .invalidValue, name, "'\(shard)' is not the name of a file in the same folder")
      }
      let position: Int
      if let known = shards[ExactName(shard)] {
        position = known
      } else {
        let shardPath = FileSystem.join(folder, shard)
        guard FileSystem.exists(shardPath) else {
          throw FormatError(
            .missingFile, file: shardPath,
            problem: "the shard does not exist, and \(indexFile) names it for '\(name)'",
            remedy: "copy or download the model's missing files")
        }
        position = files.count
        files.append(try SafetensorsFile(path: shardPath, access: access))
        shards[ExactName(shard)] = position
      }
      guard files[position].entry(named: name) != nil else {
        throw FormatError(
          .missingTensor, file: files[position].path, tensor: name,
          "\(indexFile) says that it is in this shard, which lacks it")
      }
      locations[ExactName(name)] = position
    }
    for (position, file) in files.enumerated() {
      for name in file.names where locations[ExactName(name)] != position {
        throw FormatError(
          .unexpectedTensor, file: file.path, tensor: name,
          "\(indexFile) does not say that it is in this shard")
      }
    }
    return (files, map.object.keys, locations)
  }

  /// The architecture's name as `config.json` has it, supported or not; nil if it has none.
  package var modelType: String? { configurationObject["model_type"]?.stringValue }

  /// The model's configuration. Throws if the architecture is not one of
  /// `Architecture.all` or if a value makes no sense.
  package func configuration() throws(FormatError) -> ModelConfiguration {
    var result = try ModelConfiguration(
      configurationObject, file: FileSystem.join(path, Self.configurationFile))
    let isFound = result.architecture.isHeadFoundInFile
    if result.architecture.textPart != nil && result.tiesWordEmbeddings || isFound {
      // Mistral 3's files say that heads are tied which they store; transformers reads those. T5's and
      // mT5's say anything.
      let names = CheckpointNames(result.architecture)
      let head = "\(result.architecture.headPath).weight"
      result.tiesWordEmbeddings = !tensorNames.contains { names.nameInModel($0) == head }
    }
    return result
  }

  /// The tensors of the parts that a model has beside its text, which alone is computed.
  package func tensorsOfOtherParts(of architecture: Architecture) -> [String] {
    guard let part = architecture.textPart else { return [] }
    return tensorNames.filter { name in
      let name = part.nameInModel(name)
      return part.otherParts.contains { name.hasPrefix($0) }
    }
  }

  /// How the model wants to be sampled: `generation_config.json`, and what it leaves open of the
  /// special tokens from `config.json`.
  package func generationConfiguration() throws(FormatError) -> GenerationConfiguration {
    let file = FileSystem.join(path, Self.generationFile)
    var result = GenerationConfiguration()
    if FileSystem.exists(file) {
      result = try GenerationConfiguration(try FileSystem.readObject(file), file: file)
    }
    let fields = JSONFields(
      object: configurationObject, file: FileSystem.join(path, Self.configurationFile))
    if result.eosTokenIDs.isEmpty { result.eosTokenIDs = try fields.tokenIDs("eos_token_id") }
    if result.bosTokenID == nil { result.bosTokenID = try fields.tokenIDs("bos_token_id").first }
    return result
  }

  /// What the header of the tensor's file says about it; nil if there is no such tensor.
  package func entry(named name: String) -> SafetensorsFile.Entry? {
    locations[ExactName(name)].flatMap { files[$0].entry(named: name) }
  }

  /// The tensor `name`. Throws as `SafetensorsFile.tensor(named:)` does.
  package func tensor(named name: String) throws(FormatError) -> Tensor {
    guard let position = locations[ExactName(name)] else {
      throw FormatError(
        .missingTensor, file: path, tensor: name,
        "the model has no such tensor; it has \(listed(tensorNames))")
    }
    return try files[position].tensor(named: name)
  }
}

extension ModelDirectory {
  /// Writes a model as a folder with one weight file, which transformers and this library read. Its
  /// files appear, or replace those of an older model, at once; the folder is made if needed.
  ///
  /// - Parameters:
  ///   - tensors: The weights under their checkpoint names; tied heads are left out.
  ///   - configuration: The text of `config.json`, as from `ModelConfiguration.encoded()`.
  ///   - generation: The text of `generation_config.json`; nil for none.
  ///   - otherFiles: More files of the folder by name, a tokenizer's for example.
  ///   - copies: The names of tensors that are copied from another file as they are; see
  ///     `SafetensorsWriter.write(_:metadata:copies:to:)`.
  ///   - path: The folder.
  ///
  /// Throws `FormatError` for tensors that cannot be written and `FileError` if writing fails.
  package static func write(
    _ tensors: [(name: String, tensor: Tensor)], configuration: [UInt8],
    generation: [UInt8]? = nil, otherFiles: [(name: String, content: [UInt8])] = [],
    copies: Set<String> = [], to path: String
  ) throws {
    var parts = [
      try SafetensorsWriter.part(
        tensors, metadata: ["format": "pt"], copies: copies, path: FileSystem.join(path, singleFile)
      )
    ]
    if let generation {
      parts.append(AtomicFile.Part(FileSystem.join(path, generationFile), generation))
    }
    for (name, content) in otherFiles {
      parts.append(AtomicFile.Part(FileSystem.join(path, name), content))
    }
    // What a reader opens first comes last.
    parts.append(AtomicFile.Part(FileSystem.join(path, configurationFile), configuration))
    try AtomicFolder.write(parts, as: FolderResult.model, to: path)
  }
}
