/// Why a template was refused or stopped: what happened, and where in the template.
///
/// ```text
/// line 3, column 17: 'dict object' has no attribute 'tool'
/// ```
public struct TemplateError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The kind of error.
  public enum Kind: Sendable, Hashable {
    /// The text is no template: an unknown tag, a missing end, a wrong expression.
    case syntax
    /// An operation on a variable or an attribute that does not exist.
    case undefined
    /// An operation that its values do not allow, as the sum of a number and a text.
    case value
    /// The template called `raise_exception`: it does not take this conversation.
    case raised
    /// The template asked for something that templates must not do, as to change a list.
    case forbidden
    /// The template exceeded one of ``TemplateLimits``.
    case limit
    /// A conversation, a tool or a variable that is not what a template is given.
    case input
    /// Which part of the text the assistant wrote cannot be told.
    case mask
  }

  /// The kind of error.
  public var kind: Kind
  /// What happened and what to do, without the place.
  public var message: String
  /// The line of the template, counted from 1; 0 if the error is not at a place in it.
  public var line: Int
  /// The character in that line, counted from 1; 0 if the error is not at a place in it.
  public var column: Int

  package init(_ kind: Kind, _ message: String, line: Int = 0, column: Int = 0) {
    self.kind = kind
    self.message = message
    self.line = line
    self.column = column
  }

  /// The place and the message.
  public var description: String {
    line > 0 ? "line \(line), column \(column): \(message)" : message
  }
}
