/// A Jinja template, as transformers runs the templates of conversations: in a sandbox in which nothing
/// can be run or read, with `trim_blocks` and `lstrip_blocks`, `break` and `continue`,
/// `{% generation %}`, `tojson`, `raise_exception` and `strftime_now`.
///
/// ```swift
/// let template = try Template("{% for name in names %}{{ loop.index }}: {{ name }}\n{% endfor %}")
/// try template.render(["names": ["Ada", "Grace"]]).text  // "1: Ada\n2: Grace\n"
/// ```
///
/// All of Jinja's language is there but what needs other templates (`include`, `import`, `extends`),
/// and what gives another text each time (`random`, `lipsum`). Values print as Python prints them.
/// Integers have 64 bits; a result beyond them is an error.
public struct Template: Sendable {
  /// The text of the template.
  public let source: String
  private let program: Program

  /// Reads a template.
  ///
  /// - Throws: ``TemplateError`` of the kind `syntax`, with its place.
  public init(_ source: String) throws(TemplateError) {
    self.source = source
    program = try Program(source, filters: FilterTable.names, tests: CheckTable.names)
  }

  /// Runs the template.
  ///
  /// - Parameters:
  ///   - variables: Its variables, an object.
  ///   - now: What `strftime_now` writes.
  ///   - limits: What it may use.
  public func render(
    _ variables: TemplateValue, now: CalendarTime = .now, limits: TemplateLimits = TemplateLimits()
  ) throws(TemplateError) -> RenderedText {
    guard case .object(let members) = variables else {
      throw TemplateError(.input, "the variables of a template are an object with their names")
    }
    let interpreter = Interpreter(program, limits: limits, now: now)
    do throws(Failure) {
      var given: [(name: Text, value: Value)] = []
      for member in members { given.append((Text(member.name), try Value(member.value))) }
      try interpreter.run(given)
    } catch {
      throw error.located(in: program.source)
    }
    return RenderedText(
      text: Text(interpreter.output).string, generated: interpreter.generated,
      hasUnplacedGeneration: interpreter.hasUnplacedGeneration)
  }

  /// Whether the template marks with `{% generation %}` what the assistant writes.
  public var marksGeneration: Bool {
    program.body.hasGeneration || program.blocks.values.contains { $0.body.hasGeneration }
  }
}

/// What a template made.
public struct RenderedText: Sendable, Hashable {
  /// The text.
  public var text: String
  /// The ranges of the text that `{% generation %}` enclosed, in Unicode scalars (Python's characters).
  public var generated: [Range<Int>]
  /// Whether `{% generation %}` stood inside of a macro or another part whose text is kept before it is
  /// written: where that went in the text is not known, and `generated` lacks it.
  public var hasUnplacedGeneration: Bool
}

extension [Statement] {
  fileprivate var hasGeneration: Bool {
    contains { statement in
      if case .generation = statement { return true }
      return statement.enclosed.contains(where: \.hasGeneration)
    }
  }
}
