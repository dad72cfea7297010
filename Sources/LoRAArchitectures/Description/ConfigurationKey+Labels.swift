package import LoRAFiles
package import LoRAJSON

extension ConfigurationKey {
  /// The labels of a classifier: `id2label`, or a number of labels without names, and whether a text may
  /// have several (`problem_type`). Read for a class of transformers whose name ends in
  /// "ForSequenceClassification".
  public static let labels: [ConfigurationKey] = [
    ConfigurationKey(
      name: "id2label",
      read: { (configuration, fields) throws(FormatError) in
        guard configuration.isSequenceClassifier else { return }
        configuration.labels = try fields.labels()
      },
      write: { configuration in
        guard !configuration.labels.isEmpty else { return nil }
        return .object(
          JSONObject(configuration.labels.enumerated().map { ("\($0)", JSONValue.string($1)) }))
      }),
    ConfigurationKey(
      name: "label2id", read: { (_, _) throws(FormatError) in },
      write: { configuration in
        // Labels of one name have no place in it.
        guard !configuration.labels.isEmpty,
          Set(configuration.labels).count == configuration.labels.count
        else { return nil }
        return .object(
          JSONObject(
            configuration.labels.enumerated().map { ($1, JSONValue.integer(Int64($0))) }))
      }),
    ConfigurationKey(
      name: "problem_type",
      read: { (configuration, fields) throws(FormatError) in
        guard configuration.isSequenceClassifier else { return }
        switch try fields.string("problem_type") {
        case nil, "single_label_classification": break
        case multiLabel: configuration.isMultiLabel = true
        case let other?:
          throw fields.error(
            .unsupported, "problem_type", "'\(other)' is not supported",
            "supported are single_label_classification and \(multiLabel)")
        }
      },
      write: { configuration in
        configuration.labels.isEmpty
          ? nil
          : .string(configuration.isMultiLabel ? multiLabel : "single_label_classification")
      }),
  ]

  private static let multiLabel = "multi_label_classification"
}

extension JSONFields {
  /// The most labels that a classifier may have.
  private static let mostLabels = 1 << 20

  /// The labels in the order of their numbers. Without names there are `num_labels` of them, or two,
  /// as transformers has it.
  fileprivate func labels() throws(FormatError) -> [String] {
    guard let names = try object("id2label") else {
      let count = try size("num_labels") ?? 2
      guard count <= Self.mostLabels else {
        throw error(.invalidValue, "num_labels", "\(count) labels are too many")
      }
      return (0..<count).map { "LABEL_\($0)" }
    }
    var labels: [String] = []
    for index in 0..<names.object.count {
      guard let label = try names.string("\(index)") else {
        throw names.error(
          .missingKey, "\(index)",
          "there are \(names.object.count) labels, and none of this number",
          "labels are numbered from 0")
      }
      labels.append(label)
    }
    guard !labels.isEmpty else {
      throw error(.invalidValue, "id2label", "a classifier without labels")
    }
    return labels
  }
}

extension ModelConfiguration {
  /// Whether the checkpoint is that of a classifier of sequences. A configuration that is made in code
  /// and names no class is of its architecture's.
  public var isSequenceClassifier: Bool {
    (classNames.first ?? architecture.className).hasSuffix("ForSequenceClassification")
  }

  /// Whether a text may have several of a classifier's labels, or none: each is then decided by itself.
  public var isMultiLabel: Bool {
    get { self[flag: "problem_type"] }
    set { options["problem_type"] = newValue ? .flag(true) : nil }
  }

  /// The same model with a classifier of sequences that tells `labels` apart; `file` is for the error.
  ///
  /// Throws `FormatError` for an architecture without such a head, and for labels that are none.
  package func classifying(
    _ labels: [String], isMultiLabel: Bool, file: String
  ) throws(FormatError) -> ModelConfiguration {
    guard architecture.path(of: "cls.output") != nil else {
      let known = Architecture.all.filter { $0.path(of: "cls.output") != nil }
      throw FormatError(
        .unsupported, file: file, subject: "the architecture '\(architecture)'",
        problem: "it has no classifier of sequences here",
        remedy: "supported are " + known.map { "'\($0)'" }.joined(separator: ", "))
    }
    guard !labels.isEmpty, Set(labels).count == labels.count else {
      throw FormatError(
        .invalidValue, file: file, subject: "the labels",
        problem: labels.isEmpty ? "there are none" : "one occurs twice",
        remedy: "give each label once")
    }
    var result = self
    result.classNames = [architecture.className]
    result.labels = labels
    result.isMultiLabel = isMultiLabel
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
