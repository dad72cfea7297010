/// A part of a template: text, something printed, or a tag with what it encloses.
///
/// `frame` says which names the enclosed part has of its own, see ``Frame``.
indirect enum Statement: Sendable {
  case text(Text)
  case print([Expression])
  case condition([(if: Expression, body: [Statement])], else: [Statement])
  case loop(Loop)
  case set(Target, Expression, isTopLevel: Bool, at: Int)
  case setBlock(Target, filter: Expression?, [Statement], frame: Frame, isTopLevel: Bool, at: Int)
  case with([(target: Target, value: Expression)], [Statement], frame: Frame, at: Int)
  case macro(Name, Callable, isTopLevel: Bool)
  case callBlock(Expression, Callable, at: Int)
  case filterBlock(Expression, [Statement], frame: Frame, at: Int)
  case generation(Callable, at: Int)
  /// `{% autoescape %}`, which may be off only.
  case escaping(Expression, [Statement], frame: Frame, at: Int)
  case block(Name, isScoped: Bool, isRequired: Bool, at: Int)
  case `break`(at: Int)
  case `continue`(at: Int)
  /// `include`, `import`, `from` and `extends` need other templates, and there are none.
  case otherTemplate(Text, stores: [Name], at: Int)

  struct Loop: Sendable {
    var target: Target
    var values: Expression
    var condition: Expression?
    var isRecursive: Bool
    var body: [Statement]
    var otherwise: [Statement]
    /// Whether the body mentions `loop`.
    var hasLoopVariable = false
    var frame = Frame()
    var conditionFrame = Frame()
    var elseFrame = Frame()
    var position: Int
  }

  /// A macro, or the enclosed part of a call block, which is one without a name.
  struct Callable: Sendable {
    var name: Name?
    var parameters: [Name]
    /// Of the last parameters.
    var defaults: [Expression]
    var body: [Statement]
    var frame = Frame()
    var takesCaller = false
    var takesNamed = false
    var takesFurther = false
    var position: Int
  }

  /// What is assigned to.
  indirect enum Target: Sendable {
    case name(Name, at: Int)
    case attribute(of: Name, Text, at: Int)
    case tuple([Target], at: Int)
  }
}

/// The names that a part of a template has of its own, and what they are when it begins.
struct Frame: Sendable {
  enum Start: Sendable, Hashable {
    /// Given a value before the part begins: a parameter, the variable of a loop.
    case parameter
    /// The template's variable of that name, as it is then.
    case variable
    /// What the name is in the surrounding part.
    case surrounding
    case undefined
  }

  var names: [(name: Name, start: Start)] = []
}
