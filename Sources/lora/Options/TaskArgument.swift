import ArgumentParser

/// The tasks by their names on the command line.
enum TaskArgument: String, ExpressibleByArgument, CaseIterable {
  /// The next token of texts.
  case text
  /// The labels of texts.
  case classification
  /// The labels of each word of texts.
  case tokenClassification = "token-classification"
  /// Vectors of texts.
  case embedding
  /// Which of several completions of a prompt is preferred.
  case preference

  static let help =
    "the next token of texts (text), the labels of texts (classification) or of each of their words "
    + "(token-classification), vectors that are close for texts of a pair, or of a label (embedding), or to "
    + "prefer some completions to others (preference)"
}
