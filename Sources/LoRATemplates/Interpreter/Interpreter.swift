/// Runs a program once.
final class Interpreter {
  let program: Program
  let limits: TemplateLimits
  /// What `strftime_now` writes.
  let now: CalendarTime
  /// The template's variables: given, or set outside of all loops and macros.
  var variables: [Name: Value] = [:]
  /// Where an operation that fails now stands in the template.
  var position = 0

  private var steps = 0
  private var copies = 0
  private var depth = 0

  /// What was written; while text is captured, what was captured.
  private(set) var output: [Unicode.Scalar] = []
  private(set) var captures = 0

  /// The ranges of the output that `{% generation %}` enclosed.
  private(set) var generated: [Range<Int>] = []
  /// Whether such a part was captured, so that its place in the output is not known.
  private(set) var hasUnplacedGeneration = false

  /// Everything with a state, to be emptied in the end.
  private var objects: [NamespaceValue] = []
  private var macros: [MacroValue] = []

  init(_ program: Program, limits: TemplateLimits, now: CalendarTime) {
    self.program = program
    self.limits = limits
    self.now = now
  }

  /// Runs the template with variables, of which only those that it mentions are kept.
  func run(_ given: [(name: Text, value: Value)]) throws(Failure) {
    defer { finish() }
    do throws(Failure) {
      for (name, value) in globals {
        if let name = program.names.existing(name) { variables[name] = value }
      }
      for (name, value) in given {
        if let name = program.names.existing(name) { variables[name] = value }
      }
      let scope = Scope(in: nil)
      defineSelf(in: scope, program.frame)
      enter(program.frame, scope)
      _ = try execute(program.body, scope)
    } catch {
      throw Failure(error.kind, error.message, at: error.position ?? position)
    }
  }

  /// Objects refer to each other, and macros to the variables that hold them.
  private func finish() {
    for object in objects { object.clear() }
    for macro in macros {
      macro.scope?.clear()
      macro.scope = nil
    }
    variables = [:]
  }

  func register(_ object: NamespaceValue) -> Value {
    objects.append(object)
    return .namespace(object)
  }

  func register(_ macro: MacroValue) -> Value {
    macros.append(macro)
    return .function(.macro(macro))
  }

  // MARK: Limits

  /// Counts work.
  func charge(_ count: Int = 1) throws(Failure) {
    steps += max(0, min(count, limits.steps))
    if steps > limits.steps {
      throw Failure(
        .limit,
        "the template took more than \(limits.steps) steps: it may never end; raise "
          + "TemplateLimits.steps if it should go on")
    }
  }

  /// Counts characters and items that are about to be made.
  func charge(copies count: Int) throws(Failure) {
    guard count <= limits.length else {
      throw Failure(
        .limit,
        "a text or list of the template grows beyond \(limits.length) characters or items")
    }
    copies += count
    if copies > limits.copies {
      throw Failure(
        .limit,
        "the texts and lists of the template have more than \(limits.copies) characters and "
          + "items in all")
    }
  }

  func nested<Result>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
    depth += 1
    guard depth <= limits.depth else {
      throw Failure(
        .limit, "the template nests calls and expressions deeper than \(limits.depth) levels")
    }
    let result = try body()
    depth -= 1
    return result
  }

  // MARK: Output

  func write(_ text: Text) throws(Failure) {
    guard output.count + text.count <= limits.length else {
      throw Failure(.limit, "the text grows beyond \(limits.length) characters")
    }
    output += text.scalars
  }

  /// What `body` writes, and how it ended.
  func capture(
    _ body: () throws(Failure) -> Signal
  ) throws(Failure) -> (text: Text, signal: Signal) {
    var outer: [Unicode.Scalar] = []
    swap(&outer, &output)
    captures += 1
    let signal = try body()
    captures -= 1
    swap(&outer, &output)
    try charge(copies: outer.count)
    return (Text(outer), signal)
  }

  func noteGeneration(from start: Int) {
    if captures > 0 {
      hasUnplacedGeneration = true
    } else {
      generated.append(start..<output.count)
    }
  }
}

/// How a list of statements ended.
enum Signal {
  case normal
  case breaks
  case continues
}
