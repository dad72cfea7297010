import LoRAFiles
import LoRAJSON

extension ConfigurationKey {
  /// The labels of a classifier: `id2label`, or a number of labels without names, and of a classifier of
  /// sequences whether one may have several (`problem_type`). Read where the class is a classifier's, see
  /// ``ModelConfiguration/classifierKind``.
  public static let labels: [ConfigurationKey] = [
    ConfigurationKey(
      name: "id2label",
      read: { (configuration, fields) throws(FormatError) in
        guard configuration.classifierKind != nil else { return }
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
        guard configuration.classifierKind == .sequences else { return }
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
        configuration.labels.isEmpty || configuration.classifierKind != .sequences
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
