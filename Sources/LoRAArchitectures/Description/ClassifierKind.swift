package import LoRAFiles
package import LoRAJSON

/// What a classifier gives labels to.
public enum ClassifierKind: Sendable, Hashable, CaseIterable {
  /// A whole sequence: transformers' classes whose names end in "ForSequenceClassification".
  case sequences
  /// Each of its tokens: those whose names end in "ForTokenClassification".
  case tokens

  /// What the names of transformers' classes end in.
  package var classSuffix: String {
    switch self {
    case .sequences: "ForSequenceClassification"
    case .tokens: "ForTokenClassification"
    }
  }

  /// What PEFT calls the task (`task_type`).
  package var peftTask: String {
    switch self {
    case .sequences: "SEQ_CLS"
    case .tokens: "TOKEN_CLS"
    }
  }

  /// What such a model is called in sentences.
  package var title: String {
    switch self {
    case .sequences: "a classifier of sequences"
    case .tokens: "a classifier of tokens"
    }
  }
}

/// The labels that a classifier tells apart, and what it gives them to.
public struct ClassifierDescription: Sendable, Hashable {
  /// What the labels are given to.
  public var kind: ClassifierKind
  /// The labels, in the order of the logits.
  public var labels: [String]
  /// Whether a sequence may have several labels, or none: each is then decided by itself.
  public var isMultiLabel: Bool

  /// Creates a description.
  public init(_ kind: ClassifierKind, labels: [String], isMultiLabel: Bool = false) {
    self.kind = kind
    self.labels = labels
    self.isMultiLabel = isMultiLabel
  }

  /// What it is, for errors.
  package var summary: String {
    "\(kind.title) with the labels \(listed(labels))" + (isMultiLabel ? ", several a text" : "")
  }
}

extension Architecture {
  /// The kinds of classifiers that there are of it: of encoders both.
  package var classifierKinds: [ClassifierKind] {
    if className.hasSuffix(ClassifierKind.sequences.classSuffix) { return [.sequences, .tokens] }
    return tokenHead == nil ? [] : [.tokens]
  }

  /// The class of transformers of a classifier, as in "LlamaForTokenClassification".
  package func className(of kind: ClassifierKind) -> String {
    let end = className.ranges(of: "For").last ?? className.firstRange(of: "LMHeadModel")
    return className[..<(end?.lowerBound ?? className.endIndex)] + kind.classSuffix
  }
}

extension ModelConfiguration {
  /// What kind of classifier the model is; nil for other models. A configuration that is made in code and
  /// names no class is of its architecture's.
  public var classifierKind: ClassifierKind? {
    let name = classNames.first ?? architecture.className
    return architecture.classifierKinds.first { name.hasSuffix($0.classSuffix) }
  }

  /// The classifier that the checkpoint says it is; nil for other models, and for a file that names no
  /// class.
  public var classifier: ClassifierDescription? {
    guard !classNames.isEmpty, let kind = classifierKind else { return nil }
    return ClassifierDescription(kind, labels: labels, isMultiLabel: isMultiLabel)
  }

  /// Whether a text may have several of a classifier's labels, or none: each is then decided by itself.
  public var isMultiLabel: Bool {
    get { self[flag: "problem_type"] }
    set { options["problem_type"] = newValue ? .flag(true) : nil }
  }

  /// The head of an encoder: that of the classifier that the model is, or none.
  public func encoderHead(
    sequences: TransformerStructure.Classification, tokens: TransformerStructure.Classification
  ) -> TransformerStructure.Head {
    switch classifierKind {
    case .sequences: .classification(sequences)
    case .tokens: .classification(tokens)
    case nil: .none
    }
  }

  /// The paths of the modules that make logits in a classifier of this kind, the output layer's last;
  /// empty if the architecture has no such classifier.
  package func headPaths(of kind: ClassifierKind) throws(FormatError) -> [String] {
    guard architecture.classifierKinds.contains(kind) else { return [] }
    var classifier = self
    classifier.classNames = [architecture.className(of: kind)]
    guard case .classification(let head) = try architecture.structure(classifier).head else {
      return []
    }
    return head.roles.compactMap(architecture.path(of:))
  }

  /// The same model with the head of a classifier; `file` is for the error.
  ///
  /// Throws `FormatError` for an architecture without such a head, and for labels that are none.
  package func classifying(
    _ classifier: ClassifierDescription, file: String
  ) throws(FormatError) -> ModelConfiguration {
    let (kind, labels) = (classifier.kind, classifier.labels)
    guard architecture.classifierKinds.contains(kind) else {
      let known = Architecture.all.filter { $0.classifierKinds.contains(kind) }
      throw FormatError(
        .unsupported, file: file, subject: "the architecture '\(architecture)'",
        problem: "it has no \(kind.title.dropFirst(2)) here",
        remedy: "supported are " + known.map { "'\($0)'" }.joined(separator: ", "))
    }
    guard !labels.isEmpty, Set(labels).count == labels.count else {
      throw FormatError(
        .invalidValue, file: file, subject: "the labels",
        problem: labels.isEmpty ? "there are none" : "one occurs twice",
        remedy: "give each label once")
    }
    guard kind == .sequences || !classifier.isMultiLabel else {
      throw FormatError(
        .unsupported, file: file, subject: "the labels",
        problem: "a token can't have several", remedy: "give each token one label")
    }
    var result = self
    result.classNames = [architecture.className(of: kind)]
    result.labels = labels
    result.isMultiLabel = classifier.isMultiLabel
    return result
  }

  /// The object of a `config.json`, with the class and the labels of this configuration in the place of
  /// its own.
  package func labelled(_ object: JSONObject) -> JSONObject {
    var result = object
    result["architectures"] = .array(classNames.map { .string($0) })
    for key in ConfigurationKey.labels {
      if let value = key.write(self) { result[key.name] = value }
    }
    return result
  }
}
