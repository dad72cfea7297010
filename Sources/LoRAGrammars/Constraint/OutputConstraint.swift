/// What a generated text must be: one of several texts, a text that a pattern describes, or JSON
/// that a schema describes.
///
/// ```swift
/// let answer = try OutputConstraint.choices(["yes", "no"])
/// let person = try OutputConstraint(
///   jsonSchema: #"{"type": "object", "properties": {"name": {"type": "string"}}}"#)
/// ```
///
/// A constraint is compiled once and serves any number of generations, each with a
/// ``ConstraintMatcher`` of its own. A text that was ended fulfils its constraint exactly; one that
/// met a limit of tokens is the beginning of such a text.
///
/// **JSON schema** is that of draft 2020-12. Supported are `type`, `enum`, `const`, `$ref` within
/// the schema (recursive ones too), `allOf`, `anyOf`, `oneOf` whose alternatives exclude each
/// other, `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf` a whole
/// number, `minLength`, `maxLength`, `pattern`, `format` (date, date-time, duration, email,
/// hostname, ipv4, ipv6, time, uri, uuid), `properties`, `required`, `additionalProperties`,
/// `patternProperties`, `minProperties`, `maxProperties`, `prefixItems`, `items`, `minItems` and
/// `maxItems`. Titles, descriptions, defaults and examples say nothing about what is valid. Every
/// other keyword is an error that names it.
///
/// Of the texts that a schema describes, those are written that have
/// - properties in the schema's order, and behind them those that `additionalProperties` allows. As
///   in JSON schema, that is any unless it is false;
/// - keys, `enum` and `const` spelled as JSON writes them, without needless escapes, and no
///   `\uXXXX` for printable characters of ASCII in other names and in strings with a `pattern` or
///   `format`;
/// - integers without a point, and numbers with at most 20 digits on either side of it (15 in all
///   where a bound is exclusive, as doubles tell no more apart), and an exponent of at most two
///   digits where no range is given;
/// - the blanks that ``JSONWhitespace`` describes, and values nested at most about 100 deep.
///
/// Names that the schema does not list may be written twice, which most readers take (the last one
/// counts).
///
/// **Patterns** are regular expressions as Python's `re` and JSON schema have them in common:
/// literals, classes, groups, alternation, repetition, `^` and `$`. In a schema a pattern may match
/// anywhere in the string; ``pattern(_:)`` describes the whole text.
public struct OutputConstraint: Sendable {
  private enum Source: Hashable {
    case schema(String, JSONWhitespace)
    case choices([String])
    case pattern(String)
  }

  private let source: Source
  package let grammar: Grammar

  private init(_ source: Source, _ grammar: Grammar) {
    self.source = source
    self.grammar = grammar
  }

  /// JSON that a schema describes.
  ///
  /// Takes milliseconds for usual schemas. Throws ``ConstraintError``, which names the keyword and
  /// its place, for a schema that cannot be guaranteed or that nothing fulfils.
  public init(
    jsonSchema text: String, whitespace: JSONWhitespace = .spaced
  ) throws(ConstraintError) {
    self.init(
      .schema(text, whitespace), try SchemaCompiler.grammar(of: text, whitespace: whitespace))
  }

  /// Any JSON value.
  public static func json(
    whitespace: JSONWhitespace = .spaced
  ) throws(ConstraintError) -> OutputConstraint {
    try OutputConstraint(jsonSchema: "true", whitespace: whitespace)
  }

  /// Any JSON object, which is what servers call `json_object`.
  public static func jsonObject(
    whitespace: JSONWhitespace = .spaced
  ) throws(ConstraintError) -> OutputConstraint {
    try OutputConstraint(jsonSchema: #"{"type": "object"}"#, whitespace: whitespace)
  }

  /// Exactly one of these texts. Throws ``ConstraintError`` if there are none, or an empty one.
  public static func choices(_ texts: [String]) throws(ConstraintError) -> OutputConstraint {
    guard !texts.isEmpty, !texts.contains("") else {
      throw ConstraintError(
        .malformed, place: "choices", expected: "at least one text, and none that is empty",
        found: texts.isEmpty ? "none" : "an empty one", advice: "give the texts to choose among")
    }
    var builder = GrammarBuilder()
    let start = builder.state()
    builder.literals(start, texts.map { Array($0.utf8) }, to: builder.end)
    return OutputConstraint(.choices(texts), try builder.grammar(from: start, place: "choices"))
  }

  /// A text that a regular expression matches from its beginning to its end.
  ///
  /// Throws ``ConstraintError`` for what is not supported (lookahead, lookbehind, references to
  /// groups, word boundaries), and for a pattern that needs more than 20,000 states.
  public static func pattern(_ pattern: String) throws(ConstraintError) -> OutputConstraint {
    let automaton = try TextAutomaton(pattern: pattern, isSearch: false, place: "pattern")
    var builder = GrammarBuilder()
    let start = builder.state()
    builder.text(start, automaton, as: .plain, to: builder.end)
    return OutputConstraint(.pattern(pattern), try builder.grammar(from: start, place: "pattern"))
  }
}

extension OutputConstraint: Hashable {
  /// Whether both were made of the same schema, choices or pattern.
  public static func == (left: OutputConstraint, right: OutputConstraint) -> Bool {
    left.source == right.source
  }

  /// Hashes what it was made of.
  public func hash(into hasher: inout Hasher) { hasher.combine(source) }
}
