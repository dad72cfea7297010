/// An error without its line and column, which the template adds: the functions that fail know no
/// source text.
struct Failure: Error {
  var kind: TemplateError.Kind
  var message: String
  /// Characters before the place in the template, where it is known.
  var position: Int?

  init(_ kind: TemplateError.Kind, _ message: String, at position: Int? = nil) {
    self.kind = kind
    self.message = message
    self.position = position
  }

  /// An operation that its values do not allow.
  static func value(_ message: String) -> Failure { Failure(.value, message) }

  /// The error with line and column, counted in `source`.
  func located(in source: Text) -> TemplateError {
    guard let position else { return TemplateError(kind, message) }
    var line = 1
    var column = 1
    for scalar in source.scalars.prefix(position) {
      if scalar == "\n" {
        line += 1
        column = 1
      } else {
        column += 1
      }
    }
    return TemplateError(kind, message, line: line, column: column)
  }
}
