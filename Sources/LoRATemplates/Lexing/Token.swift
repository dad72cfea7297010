/// A word of a template.
struct Token: Sendable {
  enum Kind: Hashable, Sendable {
    case data
    case blockBegin
    case blockEnd
    case variableBegin
    case variableEnd
    case name
    case string
    case integer(Int)
    case float(Double)
    case symbol(Symbol)
    case end
  }

  enum Symbol: String, CaseIterable, Sendable {
    case floorDivide = "//"
    case power = "**"
    case equal = "=="
    case notEqual = "!="
    case greaterOrEqual = ">="
    case lessOrEqual = "<="
    case plus = "+"
    case minus = "-"
    case divide = "/"
    case multiply = "*"
    case remainder = "%"
    case tilde = "~"
    case leftBracket = "["
    case rightBracket = "]"
    case leftParenthesis = "("
    case rightParenthesis = ")"
    case leftBrace = "{"
    case rightBrace = "}"
    case greater = ">"
    case less = "<"
    case assign = "="
    case dot = "."
    case colon = ":"
    case pipe = "|"
    case comma = ","
    case semicolon = ";"
  }

  var kind: Kind
  /// The text of data, names and strings.
  var text = Text()
  var position: Int

  /// As an error names it.
  var description: String {
    switch kind {
    case .data: "text"
    case .blockBegin: "the begin of a tag"
    case .blockEnd: "the end of the tag"
    case .variableBegin: "\"{{\""
    case .variableEnd: "\"}}\""
    case .name: "\"\(text.string)\""
    case .string: "a string"
    case .integer, .float: "a number"
    case .symbol(let symbol): "\"\(symbol.rawValue)\""
    case .end: "the end of the template"
    }
  }
}
