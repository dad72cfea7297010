import LoRAJSON

extension AdapterFormat {
  /// The format of the adapter at `path`, by its content and never by its name alone.
  ///
  /// Throws ``FormatError`` for what is no adapter, is one of two formats, or is pickled; the error
  /// says what was looked for.
  public init(detecting path: String) throws(FormatError) {
    if FileSystem.isFolder(path) {
      self = try Self.folder(path)
      return
    }
    let start = try Self.firstBytes(of: path)
    if start.starts(with: Array("GGUF".utf8)) {
      self = .gguf
      return
    }
    let ends = [".bin", ".pt", ".pth", ".ckpt", ".pkl"]
    // A pickle begins with 0x80, which may also be the length of a safetensors header: behind that
    // stands a brace.
    let isPickle = start.first == 0x80 && start.last != UInt8(ascii: "{")
    if start.starts(with: [0x50, 0x4B, 0x03, 0x04]) || isPickle
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

  private static func firstBytes(of path: String) throws(FormatError) -> [UInt8] {
    let file = try OpenFile(path)
    var failure: FormatError?
    let length = min(9, file.byteCount)
    let bytes = [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      do throws(FormatError) {
        try file.read(
          at: 0, into: UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: length))
        count = length
      } catch {
        failure = error
      }
    }
    if let failure { throw failure }
    return bytes
  }

  // MARK: - Folders

  private static func folder(_ path: String) throws(FormatError) -> AdapterFormat {
    try FolderJournal.check(path)
    let configuration = FileSystem.join(path, PEFTAdapterConfiguration.fileName)
    if FileSystem.exists(configuration) {
      let object = try FileSystem.readObject(configuration)
      let isPEFT = object["peft_type"] != nil
      let isMLX = object["fine_tune_type"] != nil || object["lora_parameters"] != nil
      switch (isPEFT, isMLX) {
      case (true, false): return .peft
      case (false, true): return .mlx
      case (true, true):
        throw FormatError(
          .invalidValue, file: configuration,
          problem: "it has fields of PEFT ('peft_type') and of MLX ('lora_parameters')",
          remedy: "remove those of the format that the factors do not have")
      case (false, false):
        throw FormatError(
          .missingKey, file: configuration,
          problem: "it is neither PEFT's ('peft_type') nor MLX's ('fine_tune_type', "
            + "'lora_parameters')",
          remedy: "give an adapter's folder as PEFT or mlx-lm wrote it")
      }
    }
    if !components(in: path).isEmpty { return .peft }
    let names = FileSystem.names(in: path)
    let subfolders = names.filter { name in
      FileSystem.exists(
        FileSystem.join(FileSystem.join(path, name), PEFTAdapterConfiguration.fileName))
    }
    let files = names.filter { $0.hasSuffix(".safetensors") || $0.hasSuffix(".gguf") }
    throw FormatError(
      .missingFile, file: path,
      problem: "no adapter is in this folder: it has neither adapter_config.json (PEFT, MLX) nor "
        + "folders of an image model's parts with one (unet, text_encoder, ...)",
      remedy: !subfolders.isEmpty
        ? "it holds named adapters: give one of \(listed(subfolders))"
        : files.isEmpty ? "give an adapter's folder or file" : "give a file: \(listed(files))")
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

  /// What each format's tensors are called.
  private static let looks: [(format: AdapterFormat, example: String)] = [
    (.peft, "base_model.model.<path>.lora_A.weight"), (.mlx, "<path>.lora_a"),
    (.kohya, "lora_unet_<path>.lora_down.weight"),
    (.lycoris, "lora_unet_<path>.hada_w1_a, .lokr_w1, .dora_scale"),
    (.diffusers, "unet.<path>.lora_A.weight"), (.loralib, "<path>.lora_A"),
  ]

  /// The format that a tensor's name belongs to.
  private static func format(ofTensor name: String) -> AdapterFormat? {
    if name.hasPrefix("base_model.model.") { return .peft }
    if name.hasSuffix(".lora_a") || name.hasSuffix(".lora_b") { return .mlx }
    let pieces = name.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    if pieces.count == 2 {
      let part = String(pieces[1])
      let isLyCORIS =
        pieces[0].hasPrefix(ImageModuleNames.genericPrefix) || part.hasPrefix("hada_")
        || part.hasPrefix("lokr_") || part == "lora_mid.weight" || part == "dora_scale"
        || KohyaAdapterFile.unsupportedParts.contains { $0.part == part }
      let isPrefixed =
        pieces[0].hasPrefix("lora_") || pieces[0].hasPrefix(ImageModuleNames.genericPrefix)
      if isLyCORIS, isPrefixed { return .lycoris }
      if KohyaAdapterFile.parts.contains(part) { return isLyCORIS ? .lycoris : .kohya }
    }
    if DiffusersAdapterFile.key(name) != nil { return .diffusers }
    if name.hasSuffix(".lora_A") || name.hasSuffix(".lora_B") { return .loralib }
    return nil
  }

  private static func safetensors(_ path: String) throws(FormatError) -> AdapterFormat {
    let file = try SafetensorsFile(path: path)
    var examples: [AdapterFormat: String] = [:]
    for name in file.names {
      if let format = format(ofTensor: name), examples[format] == nil { examples[format] = name }
    }
    // LyCORIS's files hold kohya's tensors too.
    if examples[.lycoris] != nil { examples[.kohya] = nil }
    let found = looks.map(\.format).filter { examples[$0] != nil }
    guard let format = found.first else {
      let looked = looks.map { "'\($0.example)' (\($0.format.title))" }.joined(separator: ", ")
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
      let isBeside = FileSystem.exists(
        FileSystem.join(folder, PEFTAdapterConfiguration.fileName))
      throw FormatError(
        .missingFile, file: path,
        problem: "a \(format.title) adapter is a folder: this file does not hold its scale, "
          + "which is in adapter_config.json",
        remedy: isBeside ? "give the folder '\(folder)'" : "put its adapter_config.json beside it")
    }
    return format
  }
}
