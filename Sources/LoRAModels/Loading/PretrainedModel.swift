public import LoRAArchitectures
import LoRAAutograd
package import LoRAFiles
package import LoRAFormats
public import LoRATensor
public import LoRAText

/// A model that was opened from files, with what lies beside its weights.
///
/// ```swift
/// let pretrained = try PretrainedModel(path: "SmolLM2-135M")
/// let tokenizer = try pretrained.tokenizer()
/// let options = GenerationOptions(stopTokens: pretrained.stopTokens(with: tokenizer))
/// let text = try pretrained.languageModel.generateText(
///   after: "Once upon a time", tokenizer: tokenizer, options: options)
/// ```
public struct PretrainedModel: Sendable {
  /// The model, of whichever kind. Its base is frozen.
  public let model: any PretrainedTokenModel
  /// The folder that it was opened from; nil for a GGUF file.
  package let directory: ModelDirectory?
  /// The GGUF file that it was opened from; nil for a folder.
  package let file: GGUFFile?
  /// The shape and options.
  public let configuration: ModelConfiguration
  /// What `generation_config.json` says: stop tokens and sampling.
  public let generation: GenerationConfiguration
  /// The paths of the modules of a classifier's head that the checkpoint has no weights of: they begin
  /// as a model does that nobody trained, see ``init(path:classifying:of:isMultiLabel:type:seed:)``.
  public let freshModules: [String]

  /// Opens the Hugging Face directory, or the GGUF file, at `path`; which it is follows from its
  /// content. Weights stay memory-mapped, in the
  /// type they are stored in, unless `type` names another.
  ///
  /// Strict: a missing, unexpected or misshapen tensor, one that is not finite, an architecture
  /// that is not supported, each is an error that names it. Every weight is read once for that. So are
  /// the parts of a model that also reads images, unless `textOnly`: then its text part is opened, and
  /// the rest is neither read nor changed.
  public init(path: String, type: DType? = nil, textOnly: Bool = false) throws {
    let content = try PathContent(path)
    switch content {
    case .modelFolder, .folder: break
    case .adapterFolder where FileSystem.exists(FileSystem.join(path, "config.json")): break
    case .gguf:
      let file = try GGUFFile(path: path)
      configuration = try ModelConfiguration(file)
      generation = GenerationConfiguration(
        bosTokenID: configuration.bosTokenID, eosTokenIDs: configuration.eosTokenIDs,
        padTokenID: configuration.padTokenID)
      model = try configuration.makeModel(file: file, type: type)
      self.file = file
      directory = nil
      freshModules = []
      return
    default: throw content.isNoModel(path)
    }
    let directory = try ModelDirectory(path: path)
    configuration = try directory.configuration()
    if !textOnly { try directory.refuseOtherParts(of: configuration.architecture) }
    generation = try directory.generationConfiguration()
    model = try configuration.makeModel(directory: directory, type: type)
    self.directory = directory
    file = nil
    freshModules = []
  }

  /// The model of `directory` as `configuration` has it, with what of its head is fresh.
  init(
    _ directory: ModelDirectory, _ configuration: ModelConfiguration, type: DType?,
    fresh: FreshHead
  ) throws {
    self.configuration = configuration
    generation = try directory.generationConfiguration()
    model = try configuration.makeModel(directory: directory, type: type, fresh: fresh)
    self.directory = directory
    file = nil
    freshModules = fresh.modules
  }

  /// The tokenizer that lies beside the weights, or in the same file. Where its files name no token
  /// that ends a sequence, that is the model's first stop token.
  public func tokenizer() throws -> any Tokenizer {
    if let file { return try file.tokenizer() }
    let end = generation.eosTokenIDs.first { $0 < model.vocabularySize }
    return try TokenizerPipeline(
      contentsOf: path, endOfSequence: end, targetStart: model.targetStart)
  }

  /// The model as one that predicts the next token. Throws `FormatError` if it is of another kind.
  public var languageModel: any PretrainedLanguageModel {
    get throws(FormatError) { try model.languageModel(of: path) }
  }

  /// The model as one that tells labels of a sequence apart. Throws `FormatError` if it is of another
  /// kind.
  public var sequenceClassifier: any PretrainedSequenceClassifier {
    get throws(FormatError) { try model.sequenceClassifier(of: path) }
  }

  /// The model as one that tells labels of each token apart. Throws `FormatError` if it is of another
  /// kind.
  public var tokenClassifier: any PretrainedTokenClassifier {
    get throws(FormatError) { try model.tokenClassifier(of: path) }
  }

  /// Where it was opened from.
  public var path: String { directory?.path ?? file?.path ?? "" }

  /// The type that the weights are stored in: the embedding's; float32 where that is quantized.
  public var storedType: DType {
    if let file {
      let type = file.entry(named: "token_embd.weight")?.type.dtype ?? .float32
      return type.isQuantized ? .float32 : type
    }
    let embedding = "\(configuration.architecture.embeddingPath).weight"
    guard let directory else { return .float32 }
    let stored = directory.tensorNames.first {
      directory.parameterName($0, configuration.architecture) == embedding
    }
    return stored.flatMap { directory.entry(named: $0)?.dtype } ?? .float32
  }

  /// The tokens that end a text by the model's own files: those of `generation_config.json`, or else
  /// of `config.json`. Where a tokenizer is at hand `stopTokens(with:)` is what to stop at.
  public var stopTokens: Set<Int> { Set(generation.eosTokenIDs) }
}

extension ModelConfiguration {
  /// Builds the model of `directory`, strictly.
  fileprivate func makeModel(
    directory: ModelDirectory, type: DType?, fresh: FreshHead? = nil
  ) throws -> any PretrainedTokenModel {
    try checkLayerCount(of: directory)
    do {
      return try makeModel(of: directory, type: type, fresh: fresh)
    } catch let error as FormatError {
      throw explained(error, directory)
    }
  }

  /// Throws if the weights are those of more or fewer blocks than the configuration has.
  private func checkLayerCount(of directory: ModelDirectory) throws(FormatError) {
    guard let list = architecture.tensors.lazy.compactMap(\.pathInBlock).first?.list else { return }
    let last = directory.storedNames(for: architecture).keys.compactMap { name -> Int? in
      guard name.hasPrefix(list + ".") else { return nil }
      return Int(name.dropFirst(list.count + 1).prefix { $0 != "." })
    }.max()
    guard let last, last + 1 != layerCount else { return }
    throw FormatError(
      .shapeMismatch, file: FileSystem.join(directory.path, ModelDirectory.configurationFile),
      key: architecture.key(of: \.layerCount),
      "it is \(layerCount), and the weights are those of \(last + 1) layers",
      remedy: "the configuration and the weights are of different models")
  }

  /// The error of building the model of `directory`, with the file's place, and with the head that is
  /// not supported where that is why tensors are missing or too many.
  private func explained(_ error: FormatError, _ directory: ModelDirectory) -> FormatError {
    let file = FileSystem.join(directory.path, ModelDirectory.configurationFile)
    if error.file == ModelDirectory.configurationFile {
      return FormatError(
        error.kind, file: file, subject: error.subject, problem: error.problem,
        remedy: error.remedy)
    }
    func head(_ className: String) -> Substring? {
      className.ranges(of: "For").last.map { className[$0.lowerBound...] }
    }
    guard error.kind == .missingTensor || error.kind == .unexpectedTensor,
      let name = classNames.first, let found = head(name)
    else { return error }
    let known =
      architecture.classifierKinds.map(architecture.className(of:))
      + (architecture.tokenHead == nil ? [] : [architecture.className])
    let supported = known.isEmpty ? [architecture.className] : known
    guard !supported.contains(where: { head($0) == found }) else { return error }
    return FormatError(
      .unsupported, file: file, key: "architectures",
      "the head of '\(name)' is not supported (\(error.subject))",
      remedy: "supported \(supported.count == 1 ? "is" : "are") \(listed(supported))")
  }

  private func makeModel(
    of directory: ModelDirectory, type: DType?, fresh: FreshHead?
  ) throws -> any PretrainedTokenModel {
    var used: Set<String> = []
    let stored = directory.storedNames(for: architecture)
    let source = ParameterSource { full, shape in
      if let parameter = fresh?.parameter(full, shape) { return parameter }
      if let stack = architecture.stack(of: full) {
        let count = Int(self[number: "num_local_experts"] ?? 0)
        let (tensor, names) = try directory.part(
          ofStack: stack.name, expert: stack.expert, of: count, shape: shape)
        used.formUnion(names)
        return try directory.parameter(tensor, named: stack.name, type: type)
      }
      let name = stored[full] ?? full
      used.insert(name)
      return try directory.parameter(named: name, shape: shape, type: type)
    }
    let model = try makeModel(source)
    let unread = unreadModules
    for name in directory.tensorNames where !used.contains(name) {
      let parameter = directory.parameterName(name, architecture)
      if unread.contains(where: { parameter.hasPrefix($0 + ".") }) { continue }
      // A classifier leaves out the head that predicted the next token.
      if model is any Classifier, parameter.hasPrefix("\(architecture.headPath).") { continue }
      try directory.checkUnused(name, of: architecture, tied: tiesWordEmbeddings)
    }
    return model
  }
}

extension ModelConfiguration {
  /// The paths of modules that checkpoints have and nobody reads: what would make keys in blocks that
  /// read those of others.
  var unreadModules: [String] {
    let blocks = (try? architecture.structure(self))?.blocks ?? []
    let roles = ["attn_k", "attn_v", "attn_k_norm"]
    return blocks.enumerated().flatMap { index, block -> [String] in
      guard case .queries = block.attention.projections else { return [] }
      return architecture.tensors.filter { roles.contains($0.role) }
        .map { $0.path(inBlock: index) }
    }
  }
}

extension ModelDirectory {
  /// Throws for a model that also reads images.
  fileprivate func refuseOtherParts(of architecture: Architecture) throws(FormatError) {
    let tensors = tensorsOfOtherParts(of: architecture)
    guard let first = tensors.first else { return }
    throw FormatError(
      .unsupported, file: path, subject: "the model",
      problem: "'\(architecture)' also reads images, and only the text part of such a model is "
        + "supported; \(tensors.count) tensors belong to other parts, the first is '\(first)'",
      remedy:
        "--text-only (in Swift: textOnly: true) uses the text part and leaves the others unchanged"
    )
  }

  /// What the checkpoint calls each parameter that it has a tensor of.
  func storedNames(for architecture: Architecture) -> [String: String] {
    Dictionary(tensorNames.map { (parameterName($0, architecture), $0) }) { first, _ in first }
  }

  /// The parameter that a tensor is.
  func parameterName(_ tensor: String, _ architecture: Architecture) -> String {
    architecture.parameterName(ofTensor: tensor, isBody: isBody(of: architecture))
  }

  /// Whether it is the checkpoint of a model without its head, as the first GPT-2's: parameters are
  /// named from there.
  fileprivate func isBody(of architecture: Architecture) -> Bool {
    let embedding = "\(architecture.embeddingPath).weight"
    return entry(named: embedding) == nil
      && entry(named: String(embedding.dropFirst(architecture.bodyPrefix.count))) != nil
  }

  fileprivate func parameter(named name: String, shape: Shape, type: DType?) throws -> Parameter {
    let tensor = try tensor(named: name)
    guard tensor.shape == shape else {
      throw FormatError(
        .shapeMismatch, file: path, subject: "tensor '\(name)'",
        problem: "config.json makes it \(shape), the file has \(tensor.shape)",
        remedy: "the configuration and the weights are of different models")
    }
    return try parameter(tensor, named: name, type: type)
  }

  fileprivate func parameter(_ tensor: Tensor, named name: String, type: DType?) throws -> Parameter
  {
    var tensor = tensor
    guard tensor.dtype == .float32 || tensor.dtype == .bfloat16 || tensor.dtype == .float16 else {
      throw FormatError(
        .typeMismatch, file: path, subject: "tensor '\(name)'",
        problem: "its elements are \(tensor.dtype)",
        remedy: "weights must be float32, bfloat16 or float16")
    }
    if let index = tensor.firstNonFiniteIndex() {
      throw FormatError(
        .nonFinite, file: path, subject: "tensor '\(name)'",
        problem: "element \(index) is not a finite number",
        remedy: "the weights are damaged; copy or download them again")
    }
    // Vectors are few and read in every pass: widened once.
    let storedType = tensor.dtype
    let wanted = tensor.shape.count == 1 ? .float32 : type ?? storedType
    if storedType != wanted {
      let stored = tensor
      tensor = stored.converted(to: wanted)
      stored.releaseMappedPages()
    }
    return Parameter(tensor, isTrainable: false, storedType: storedType)
  }

  /// Accepts what checkpoints are known to hold beside the parameters, refuses everything else.
  fileprivate func checkUnused(
    _ name: String, of architecture: Architecture, tied: Bool
  ) throws {
    // A body's checkpoint that got a head of its own keeps the body's names.
    if architecture.isDerived(name) || architecture.isOfOtherHead(parameterName(name, architecture))
      || architecture.isOfOtherHead(architecture.bodyPrefix + name)
    {
      return
    }
    let isCopy = architecture.embeddingCopies.contains(name)
    if isCopy || name == "\(architecture.headPath).weight" && tied {
      var embedding = "\(architecture.embeddingPath).weight"
      if isBody(of: architecture) {
        embedding = String(embedding.dropFirst(architecture.bodyPrefix.count))
      }
      let (head, table) = (try tensor(named: name), try tensor(named: embedding))
      if head == table { return }
      throw FormatError(
        .unexpectedTensor, file: path, subject: "tensor '\(name)'",
        problem:
          "\(isCopy ? "it" : "config.json ties it to the embedding, but it") differs from the "
          + "embedding, '\(embedding)'",
        remedy: isCopy
          ? "tables of their own for encoder and decoder are not supported"
          : "set tie_word_embeddings to false, or remove the tensor")
    }
    throw FormatError(
      .unexpectedTensor, file: path, subject: "tensor '\(name)'",
      problem: "the architecture that config.json describes has no such tensor",
      remedy: "the configuration and the weights are of different models")
  }
}
