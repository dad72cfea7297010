public import LoRAFiles

/// What examples with labels are told apart by: the names, and whether one may have several.
public struct LabelSet: Sendable, Hashable {
  /// The names, in the order of their numbers.
  public let names: [String]
  /// Whether an example may have several labels, or none.
  public let isMultiLabel: Bool
  private let positions: [String: Int]

  /// Creates a set of labels.
  public init(names: [String], isMultiLabel: Bool = false) {
    self.names = names
    self.isMultiLabel = isMultiLabel
    positions = Dictionary(zip(names, names.indices), uniquingKeysWith: { first, _ in first })
  }

  /// The labels of `examples`, sorted by name, so that they do not depend on the examples' order; numbers
  /// are called LABEL_0, LABEL_1, ..., as in transformers.
  ///
  /// Throws `FormatError` for an example without a label, and for names beside numbers, or lists beside
  /// single labels; `file` is the examples' for that.
  public init(of examples: [LabelledText], file: String) throws(FormatError) {
    try self.init(of: [DataPart(source: file, examples: examples)])
  }

  /// The labels of the examples of several files.
  public init(of parts: [DataPart<LabelledText>]) throws(FormatError) {
    var collection = Collection()
    let first = parts.lazy.compactMap { part in part.examples.first.map { (part.source, $0) } }
      .first
    for part in parts {
      let file = part.source
      for example in part.examples {
        guard let labels = example.labels else {
          throw LabelledText.error(file, example.line, "it has no 'label'", "add it")
        }
        if let (other, first) = first, example.isList != first.isList {
          throw LabelledText.error(
            file, example.line,
            "'label' is \(example.isList ? "a list" : "one label"), and on line \(first.line)"
              + (other == file ? "" : " of \(other)") + " it is "
              + (first.isList ? "a list" : "one label"),
            "where examples may have several labels, each has a list")
        }
        try collection.add(labels, file, line: example.line)
      }
    }
    self.init(
      names: try collection.sortedNames(parts.first?.source ?? "the data"),
      isMultiLabel: first?.1.isList ?? false)
  }

  /// The tags of the words of `examples`, in the same order.
  ///
  /// Throws `FormatError` for an example without tags, and for names beside numbers; `file` is the
  /// examples' for that.
  public init(of examples: [TaggedText], file: String) throws(FormatError) {
    try self.init(of: [DataPart(source: file, examples: examples)])
  }

  /// The tags of the words of the examples of several files.
  public init(of parts: [DataPart<TaggedText>]) throws(FormatError) {
    var collection = Collection()
    for part in parts {
      for example in part.examples {
        try collection.add(example.tagged(part.source).tags, part.source, line: example.line)
      }
    }
    self.init(names: try collection.sortedNames(parts.first?.source ?? "the data"))
  }

  /// The numbers of the labels of `example`. Throws `FormatError` for a label that is not in the set, and
  /// for none or several where there is one.
  package func numbers(of example: LabelledText, file: String) throws(FormatError) -> [Int] {
    guard let labels = example.labels else {
      throw LabelledText.error(file, example.line, "it has no 'label'", "add it")
    }
    guard isMultiLabel || labels.count == 1 else {
      throw LabelledText.error(
        file, example.line, "it has \(labels.count) labels, and the model gives each text one",
        "train a model for several: with lists as labels")
    }
    return try numbers(of: labels, file: file, line: example.line)
  }

  /// The numbers of `labels`. Throws `FormatError` for one that is not in the set.
  package func numbers(
    of labels: [LabelledText.Label], file: String, line: Int
  ) throws(FormatError) -> [Int] {
    var numbers: [Int] = []
    for label in labels {
      switch label {
      case .number(let number) where number < names.count: numbers.append(number)
      case .number(let number):
        throw LabelledText.error(
          file, line,
          "the label \(number) is not one of the model's \(names.count), 0 to \(names.count - 1)",
          ""
        )
      case .name(let name):
        guard let number = positions[name] else {
          throw LabelledText.error(
            file, line, "the label '\(name)' is not one of the model's \(names.count)",
            "it tells apart " + listed(names))
        }
        numbers.append(number)
      }
    }
    return numbers
  }
}

extension LabelSet {
  /// The labels of examples: names, or numbers.
  private struct Collection {
    private var names: Set<String> = []
    private var greatest: Int?

    /// Throws for names beside numbers.
    mutating func add(
      _ labels: [LabelledText.Label], _ file: String, line: Int
    ) throws(FormatError) {
      for label in labels {
        switch label {
        case .name(let name): names.insert(name)
        case .number(let number): greatest = max(greatest ?? 0, number)
        }
      }
      if greatest != nil, !names.isEmpty {
        throw LabelledText.error(
          file, line, "some labels are names, others are numbers", "name them all")
      }
    }

    /// The names in their order. Throws if there are too many.
    func sortedNames(_ file: String) throws(FormatError) -> [String] {
      guard let greatest else { return names.sorted() }
      guard greatest < 1 << 20 else {
        throw LabelledText.error(
          file, 1, "there are \(greatest + 1) labels, which are too many", "")
      }
      return (0...greatest).map { "LABEL_\($0)" }
    }
  }
}
