/// An expression of a template. `at` counts characters before the place that an error names.
indirect enum Expression: Sendable {
  case literal(Literal)
  case name(Name, at: Int)
  case tuple([Expression])
  case list([Expression])
  case dictionary([(key: Expression, value: Expression)], at: Int)
  case conditional(if: Expression, then: Expression, else: Expression?, at: Int)
  case or(Expression, Expression)
  case and(Expression, Expression)
  case not(Expression)
  case compare(Expression, [(by: Comparison, with: Expression)], at: Int)
  case arithmetic(Expression, [(by: Operation, with: Expression, at: Int)])
  case sign(isNegative: Bool, Expression, at: Int)
  case concatenation([Expression], at: Int)
  case attribute(Expression, Text, at: Int)
  case item(Expression, Expression, at: Int)
  case slice(Expression, from: Expression?, to: Expression?, by: Expression?, at: Int)
  case call(Expression, Arguments, at: Int)
  /// Without an expression, in `{% filter %}` and `{% set %}`, the filter is of the text between tags.
  case filter(Expression?, Text, Arguments, at: Int)
  case test(Expression, Text, Arguments, at: Int)

  enum Literal: Sendable, Hashable {
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(Text)
  }

  enum Comparison: Sendable, Hashable {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, `in`, notIn
  }

  enum Operation: String, Sendable, Hashable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case divideDown = "//"
    case remainder = "%"
    case power = "**"
  }

  struct Arguments: Sendable {
    var positional: [Expression] = []
    var named: [(name: Text, value: Expression)] = []
    /// `*list` and `**dictionary`.
    var list: Expression?
    var dictionary: Expression?
  }
}

/// A variable's name: its number among the names of the template.
struct Name: Hashable, Sendable {
  var number: Int
}

/// The names of a template, numbered.
struct NameTable: Sendable {
  private(set) var texts: [Text] = []
  private var numbers: [Text: Int] = [:]

  mutating func name(_ text: Text) -> Name {
    if let number = numbers[text] { return Name(number: number) }
    numbers[text] = texts.count
    texts.append(text)
    return Name(number: texts.count - 1)
  }

  /// The name if the template mentions it.
  func existing(_ text: Text) -> Name? { numbers[text].map(Name.init(number:)) }
  subscript(name: Name) -> Text { texts[name.number] }
}
