public import LoRAFiles
import LoRAJSON

extension AdapterFormat {
  /// The format of the adapter at `path`, by its content and never by its name alone.
  ///
  /// Throws `FormatError` for what is no adapter, is one of two formats, or is pickled; the error
  /// says what was looked for.
  public init(detecting path: String) throws(FormatError) {
    if FileSystem.isFolder(path) {
      self = try Self.folder(path)
      return
    }
    let start = try FileSystem.firstBytes(of: path, count: 9)
    if let codec = Self.codecs.first(where: { !$0.magic.isEmpty && start.starts(with: $0.magic) }) {
      self = codec.format
      return
    }
    if NPZFile.isOne(startingWith: start, path: path) {
      self = try Self.arrays(path)
      return
    }
    let ends = [".bin", ".pt", ".pth", ".ckpt", ".pkl"]
    // A pickle begins with 0x80, which may also be the length of a safetensors header: behind that
    // stands a brace. PyTorch's own files are archives of one.
    let isPickle = start.first == 0x80 && start.last != UInt8(ascii: "{")
    if start.starts(with: ZipArchive.magic) || isPickle
      || ends.contains(where: path.lowercased().hasSuffix)
    {
      throw FormatError(
        .unsupported, file: path,
        problem: "files in PyTorch's pickle format are not read: opening them can run code",
        remedy: "convert it in Python: safetensors.torch.save_file(torch.load(FILE, "
          + "weights_only=True), 'adapter.safetensors')")
    }
    self = try Self.safetensors(path)
  }

  // MARK: - Folders

  private static func folder(_ path: String) throws(FormatError) -> AdapterFormat {
    try FolderJournal.check(path)
    let configuration = FileSystem.join(path, PEFTAdapterConfiguration.fileName)
    if FileSystem.exists(configuration) {
      let object = try FileSystem.readObject(configuration)
      let codecs = codecs.filter { $0.describes(object) }
      switch codecs.count {
      case 1: return codecs[0].format
      case 2...:
        // Converters write both: the weights tell.
        let holding = codecs.filter { codec in
          codec.weightsFiles.contains { FileSystem.exists(FileSystem.join(path, $0)) }
        }
        if holding.count == 1 { return holding[0].format }
        throw FormatError(
          .invalidValue, file: configuration,
          problem:
            "it has fields of \(codecs.map(keys).joined(separator: " and of ")), and "
            + "the folder has the weights of \(holding.isEmpty ? "neither" : "both")",
          remedy: "remove those of the format that the factors do not have")
      default:
        throw FormatError(
          .missingKey, file: configuration,
          problem: "it has the fields of no format: "
            + Self.codecs.filter { !$0.configurationKeys.isEmpty }.map(keys)
            .joined(separator: ", "),
          remedy: "give an adapter's folder as the program wrote it that trained it")
      }
    }
    if !components(in: path).isEmpty { return .peft }
    if let file = onlyFile(in: path) { return try AdapterFormat(detecting: file) }
    let names = FileSystem.names(in: path)
    let folders = adapterFolders(in: path)
    let files = names.filter { name in adapterSuffixes.contains { name.hasSuffix($0) } }
    throw FormatError(
      .missingFile, file: path,
      problem: names.isEmpty
        ? "the folder is empty"
        : "no adapter is in this folder: it has neither adapter_config.json nor "
          + "folders of an image model's parts with one (unet, text_encoder, ...)",
      remedy: !folders.isEmpty
        ? "it holds \(kind(ofFolders: folders)): give one of \(listed(folders))"
        : files.isEmpty ? "give an adapter's folder or file" : "give a file: \(listed(files))")
  }

  /// A format and the keys that its configuration is known by.
  private static func keys(_ codec: any AdapterCodec) -> String {
    "\(codec.format.title) ('\(codec.configurationKeys.joined(separator: "' or '"))')"
  }

  /// How files of adapters end.
  private static let adapterSuffixes = [".safetensors", ".gguf", ".npz"]

  /// The file that a folder without a configuration is known by: diffusers' weights, or MLX's older
  /// ones; nil if it has neither.
  static func onlyFile(in folder: String) -> String? {
    ["pytorch_lora_weights.safetensors", MLXAdapterFile.arraysFile]
      .map { FileSystem.join(folder, $0) }.first { FileSystem.exists($0) }
  }

  /// The same where `path` is a folder and has no `adapter_config.json`.
  static func fileWithoutConfiguration(at path: String) -> String? {
    guard FileSystem.isFolder(path),
      !FileSystem.exists(FileSystem.join(path, PEFTAdapterConfiguration.fileName))
    else { return nil }
    return onlyFile(in: path)
  }

  /// The folders within one that have an adapter's configuration, in natural order.
  static func adapterFolders(in path: String) -> [String] {
    FileSystem.names(in: path).filter { name in
      FileSystem.exists(
        FileSystem.join(FileSystem.join(path, name), PEFTAdapterConfiguration.fileName))
    }.sorted { a, b in
      naturallyPrecedes(a.replacing("-", with: "."), b.replacing("-", with: "."))
    }
  }

  /// What such folders are: a training run's checkpoints, or adapters with names.
  static func kind(ofFolders names: [String]) -> String {
    names.allSatisfy { $0.hasPrefix("checkpoint-") }
      ? "checkpoints of a training run" : "named adapters"
  }

  /// The parts of an image model that have a PEFT adapter in the folder at `path`.
  static func components(in path: String) -> [String] {
    ImageModuleNames.components.filter { component in
      FileSystem.exists(
        FileSystem.join(
          FileSystem.join(path, component), PEFTAdapterConfiguration.fileName))
    }
  }

  // MARK: - Tensor files

  /// The format that a tensor's name belongs to.
  private static func format(ofTensor name: String) -> AdapterFormat? {
    codecs.first { $0.hasTensor(named: name) }?.format
  }

  /// The format of an archive of arrays: MLX's older adapters.
  private static func arrays(_ path: String) throws(FormatError) -> AdapterFormat {
    let names = try NPZFile(path: path).names
    if names.contains(where: { format(ofTensor: $0) == .mlx }) { return .mlx }
    throw FormatError(
      .unexpectedTensor, file: path,
      problem:
        "it holds arrays of other names than an adapter's: \(listed(names, limit: 3)); of such "
        + "archives MLX's older adapters are read, '<path>.lora_a'",
      remedy: "give an adapter")
  }

  private static func safetensors(_ path: String) throws(FormatError) -> AdapterFormat {
    let file = try SafetensorsFile(path: path)
    if let codec = codecs.first(where: { $0.marks(file) }) { return codec.format }
    var examples: [AdapterFormat: String] = [:]
    for name in file.names {
      if let format = format(ofTensor: name), examples[format] == nil { examples[format] = name }
    }
    // LyCORIS's files hold kohya's tensors too.
    if examples[.lycoris] != nil { examples[.kohya] = nil }
    let found = codecs.map(\.format).filter { examples[$0] != nil }
    guard let format = found.first else {
      let looked = codecs.compactMap { codec in
        codec.example.map { "'\($0)' (\(codec.format.title))" }
      }.joined(separator: ", ")
      throw FormatError(
        .unexpectedTensor, file: path,
        problem: "no adapter's format has tensors of these names: \(listed(file.names, limit: 3)); "
          + "looked for \(looked)",
        remedy: "give an adapter; of a model, give its folder where a model is expected")
    }
    guard found.count == 1 else {
      let names = found.map { "\($0.title) ('\(examples[$0] ?? "")')" }.joined(separator: " and ")
      throw FormatError(
        .invalidValue, file: path, problem: "it holds tensors of several formats: \(names)",
        remedy: "keep the tensors of one format in a file")
    }
    if format.isFolder {
      // The file of a folder: what it lacks lies beside it.
      let folder = FileSystem.folder(of: path)
      guard
        FileSystem.exists(FileSystem.join(folder, PEFTAdapterConfiguration.fileName))
      else {
        throw FormatError(
          .missingFile, file: path,
          problem: "a \(format.title) adapter is a folder: this file does not hold its scale, "
            + "which is in adapter_config.json",
          remedy: "put its adapter_config.json beside it")
      }
      let beside = try self.folder(folder)
      guard beside == format else {
        throw FormatError(
          .invalidValue, file: path,
          problem:
            "its tensors are called as in \(format.title), the adapter_config.json beside it "
            + "is of \(beside.title)",
          remedy: "put the configuration of this file beside it")
      }
    }
    return format
  }
}
