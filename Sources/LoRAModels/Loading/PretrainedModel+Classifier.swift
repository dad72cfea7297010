public import LoRAArchitectures
import LoRAAutograd
public import LoRAFiles
public import LoRAFormats
import LoRAJSON
public import LoRATensor

// Classifiers whose head is not in the checkpoint: to be trained, or brought by an adapter.

extension PretrainedModel {
  /// Opens the Hugging Face directory at `path` as a classifier that tells `labels` apart.
  ///
  /// ```swift
  /// let pretrained = try PretrainedModel(path: "MiniLM", classifying: ["refund", "delivery"])
  /// let model = try pretrained.sequenceClassifier
  /// let recipe = pretrained.trainingHead(PEFTAdapterConfiguration(rank: 8, alpha: 16, targets: .allLinear))
  /// try model.inject(recipe, named: "intents")
  /// ```
  ///
  /// What the checkpoint lacks of the head (``freshModules``) begins as in transformers: weights normal
  /// with `initializer_range` of `config.json` (0.02 without), biases zero. The numbers depend on the
  /// seed and the module's path. The checkpoint of a classifier is opened as it is; it must be of the same
  /// kind, and its labels must be `labels`, in the same order.
  ///
  /// - Parameters:
  ///   - path: the folder of an encoder, with or without a head, or of a decoder for a classifier of tokens.
  ///   - labels: what the logits stand for, each once.
  ///   - kind: what the labels are given to.
  ///   - isMultiLabel: whether a text may have several labels, or none.
  ///   - type: the type of the weights in memory; nil: as stored.
  ///   - seed: the seed of what is fresh.
  ///
  /// Throws `FormatError` as ``init(path:type:textOnly:)`` does, for an architecture without a classifier,
  /// and for a checkpoint that tells other labels apart.
  public init(
    path: String, classifying labels: [String], of kind: ClassifierKind = .sequences,
    isMultiLabel: Bool = false, type: DType? = nil, seed: UInt64 = 0
  ) throws {
    try self.init(
      path: path, as: ClassifierDescription(kind, labels: labels, isMultiLabel: isMultiLabel),
      type: type, seed: seed)
  }

  /// The same of a description.
  package init(
    path: String, as classifier: ClassifierDescription, type: DType? = nil, seed: UInt64 = 0
  ) throws {
    let content = try PathContent(path)
    guard content != .gguf else {
      throw FormatError(
        .unsupported, file: path,
        problem: "a GGUF file has no \(classifier.kind.title.dropFirst(2))",
        remedy: "give the Hugging Face directory that it was made from")
    }
    guard content == .modelFolder || content == .folder else { throw content.isNoModel(path) }
    let directory = try ModelDirectory(path: path)
    let base = try directory.configuration()
    if let own = base.classifier, own != classifier {
      throw FormatError(
        .invalidValue, file: FileSystem.join(path, "config.json"),
        subject: own.kind == classifier.kind ? "'id2label'" : "'architectures'",
        problem: "the checkpoint is \(own.summary), and \(classifier.summary) is wanted",
        remedy: "use its labels, or the encoder that it was trained from")
    }
    let file = FileSystem.join(path, "config.json")
    let configuration = try base.classifying(classifier, file: file)
    try self.init(
      directory, configuration, type: type,
      fresh: FreshHead(directory, configuration, seed: seed))
  }

  /// Opens the base at `path` with the head that `adapter` brings: that of the checkpoint where it has
  /// one, or else one of as many labels as the adapter's, which `AdapterFile.classifier(on:)` names. The
  /// adapter is not attached.
  ///
  /// Throws `FormatError` as ``init(path:type:textOnly:)`` does; where the checkpoint is a classifier of
  /// another kind; and where neither the checkpoint nor the adapter has a part of the head, which would be
  /// numbers that nobody trained.
  public init(path: String, headOf adapter: AdapterFile, type: DType? = nil) throws {
    let base = try Self.configuration(at: path)
    guard let base, let brought = try adapter.classifier(on: base) else {
      self = try PretrainedModel(path: path, type: type)
      return
    }
    if let own = base.classifier {
      guard own.kind == brought.kind else {
        throw FormatError(
          .invalidValue, file: adapter.path, subject: "the adapter's head",
          problem: "it is that of \(brought.summary), and the base '\(path)' is \(own.summary)",
          remedy: "give the base that the adapter was made for")
      }
      self = try PretrainedModel(path: path, type: type)
      return
    }
    self = try PretrainedModel(path: path, as: brought, type: type)
    let saved = Set(adapter.description.replacements.map(\.path))
    for module in freshModules where !saved.contains("\(module).weight") {
      throw FormatError(
        .missingTensor, file: adapter.path, subject: "the classifier's '\(module)'",
        problem: "neither the base '\(path)' nor the adapter has it",
        remedy: "it was left untrained, or not saved: train again with it in modules_to_save")
    }
  }

  /// What the `config.json` of the model's folder at `path` says; nil for what
  /// ``init(path:type:textOnly:)`` does not read one of.
  package static func configuration(at path: String) throws(FormatError) -> ModelConfiguration? {
    switch try PathContent(path) {
    case .modelFolder, .folder: return try ModelDirectory(path: path).configuration()
    case .adapterFolder where FileSystem.exists(FileSystem.join(path, "config.json")):
      return try ModelDirectory(path: path).configuration()
    default: return nil
    }
  }

  /// The paths of the modules of the head that ``trainingHead(_:)`` trains: what of it is fresh, and the
  /// output layer.
  package var headModules: [String] {
    let output = model.linearLayers().first { $0.layer === model.outputHead }?.path
    return freshModules.filter { $0 != output } + [output].compactMap(\.self)
  }

  /// `recipe` for a classifier whose head is trained beside the adapter, as PEFT has it: for the task
  /// SEQ_CLS or TOKEN_CLS, with the output layer in `modules_to_save`, and what else of the head is fresh.
  public func trainingHead(_ recipe: PEFTAdapterConfiguration) -> PEFTAdapterConfiguration {
    var result = recipe
    result.taskType = (configuration.classifierKind ?? .sequences).peftTask
    for path in headModules {
      // PEFT names a head of several layers by what holds them.
      let name = path.hasPrefix("classifier.") ? "classifier" : path
      if !result.savedModules.contains(name) { result.savedModules.append(name) }
    }
    return result
  }

  /// The text of a `config.json` with the labels: transformers reads them from there, and so does this
  /// library where it lies beside an adapter. Nil for a model that is no classifier, or was not opened from
  /// a folder.
  public func labelledConfiguration() -> [UInt8]? {
    guard let directory, model is any Classifier else { return nil }
    let object = configuration.labelled(directory.configurationObject)
    return JSONValue.object(object).encodedBytes(pretty: true) + [0x0A]
  }
}

extension AdapterFile {
  /// The classifier that the adapter's own head makes of the base that `configuration` describes. Its labels
  /// are those of a `config.json` in the adapter's folder, or else LABEL_0, LABEL_1, ..., as many as its
  /// output layer has rows. Nil for an adapter without a head, and for a base without classifiers.
  ///
  /// Throws `FormatError` for a `config.json` that does not fit the head.
  public func classifier(
    on configuration: ModelConfiguration
  ) throws(FormatError) -> ClassifierDescription? {
    let file = FileSystem.join(
      FileSystem.isFolder(path) ? path : FileSystem.folder(of: path), "config.json")
    var stored: ModelConfiguration?
    if FileSystem.exists(file) {
      stored = try ModelConfiguration(
        parsing: try FileSystem.read(file, limit: 1 << 26), file: file)
    }
    // A head alone does not always say which kind it is: BERT's have one name.
    let said =
      stored?.classifier?.kind
      ?? ClassifierKind.allCases.first { $0.peftTask == peftConfiguration?.taskType }
    for kind in said.map({ [$0] }) ?? ClassifierKind.allCases {
      guard let output = try configuration.headPaths(of: kind).last,
        let weight = description.replacements.first(where: { $0.path == "\(output).weight" }),
        weight.value.shape.count == 2
      else { continue }
      let count = weight.value.shape[0]
      guard let stored else {
        return ClassifierDescription(kind, labels: (0..<count).map { "LABEL_\($0)" })
      }
      guard stored.labels.count == count else {
        throw FormatError(
          .invalidValue, file: file, subject: "'id2label'",
          problem: "it names \(stored.labels.count) labels, and the adapter's head has \(count)",
          remedy: "the file belongs to another adapter; remove it, or put the right one there")
      }
      return ClassifierDescription(
        kind, labels: stored.labels, isMultiLabel: stored.isMultiLabel)
    }
    return nil
  }
}

/// The parts of a classifier's head that a checkpoint has no weights of, as transformers initializes
/// them.
struct FreshHead: Sendable {
  /// The paths of the modules.
  let modules: [String]
  private let standardDeviation: Float
  /// The path of the norm, whose weight begins as one.
  private let norm: String?
  private let seed: UInt64

  /// What `directory` lacks of the head of the classifier that `configuration` describes.
  init(
    _ directory: ModelDirectory, _ configuration: ModelConfiguration, seed: UInt64
  ) throws(FormatError) {
    let architecture = configuration.architecture
    let stored = directory.storedNames(for: architecture)
    let head = try configuration.classifierKind.map { kind throws(FormatError) in
      try configuration.headPaths(of: kind)
    }
    modules = (head ?? []).filter { path in
      stored["\(path).weight"] == nil && stored["\(path).bias"] == nil
    }
    norm = architecture.path(of: "cls.norm")
    standardDeviation = Float(
      directory.configurationObject["initializer_range"]?.doubleValue ?? 0.02)
    self.seed = seed
  }

  /// The fresh parameter called `name`; nil for one that the checkpoint has.
  func parameter(_ name: String, _ shape: Shape) -> Parameter? {
    guard modules.contains(where: { name == "\($0).weight" || name == "\($0).bias" }) else {
      return nil
    }
    if let norm, name == "\(norm).weight" {
      return Parameter(Tensor(Array(repeating: Float(1), count: shape[0])), isTrainable: false)
    }
    if shape.count == 1 { return Parameter(.zeros(shape), isTrainable: false) }
    var random = SeededRandom(seed: seed, path: name)
    return Parameter(
      random.normal(shape, standardDeviation: standardDeviation), isTrainable: false)
  }
}
