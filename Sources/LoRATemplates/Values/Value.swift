/// A value in a template, as Python has it. Lists and dictionaries do not change, since nothing in a
/// template may change them.
enum Value {
  case undefined(Missing)
  case none
  case bool(Bool)
  case integer(Int)
  case float(Double)
  case string(Text)
  /// Text whose `<`, `>`, `&` and quotes are escaped, as `escape` makes it.
  case markup(Text)
  case list(ListValue)
  case tuple(ListValue)
  case dictionary(DictionaryValue)
  case view(DictionaryView)
  case range(RangeValue)
  case iterator(IteratorValue)
  case namespace(NamespaceValue)
  case loop(LoopValue)
  case function(FunctionValue)
}

extension Value {
  /// The text of a string.
  var text: Text? {
    switch self {
    case .string(let text), .markup(let text): text
    default: nil
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }
  var isNone: Bool { if case .none = self { true } else { false } }

  /// An integer; true and false are 1 and 0.
  var integer: Int? {
    switch self {
    case .integer(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var number: Double? {
    if case .float(let value) = self { value } else { integer.map(Double.init) }
  }

  /// Python's name of the type.
  var typeName: String {
    switch self {
    case .undefined: "Undefined"
    case .none: "NoneType"
    case .bool: "bool"
    case .integer: "int"
    case .float: "float"
    case .string: "str"
    case .markup: "Markup"
    case .list: "list"
    case .tuple: "tuple"
    case .dictionary: "dict"
    case .view(let view): view.part.typeName
    case .range: "range"
    case .iterator: "generator"
    case .namespace(let object): object.typeName
    case .loop: "LoopContext"
    case .function(let function): function.typeName
    }
  }

  /// Levels of values in values. Bounded, so that functions can walk values by recursion.
  var depth: Int {
    switch self {
    case .list(let list), .tuple(let list): list.depth
    case .dictionary(let dictionary): dictionary.depth
    case .view(let view): view.dictionary.depth + 1
    case .iterator(let iterator): iterator.depth
    case .loop(let loop): loop.depth
    case .function(.method(let receiver, _)): receiver.depth + 1
    default: 0
    }
  }

  /// How many steps it takes to visit the value with all that is in it, however often it is in it.
  var weight: Int {
    switch self {
    case .string(let text), .markup(let text): 1 + text.count / 64
    case .list(let list), .tuple(let list): list.weight
    case .dictionary(let dictionary): dictionary.weight
    default: 1
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .float(let value): value != 0
    case .string(let text), .markup(let text): !text.isEmpty
    case .list(let list), .tuple(let list): !list.items.isEmpty
    case .dictionary(let dictionary): !dictionary.isEmpty
    case .view(let view): !view.dictionary.isEmpty
    case .range(let range): range.count > 0
    case .iterator, .namespace, .loop, .function: true
    }
  }
}

/// Why a value is not there.
indirect enum Missing {
  case variable(Text)
  case attribute(of: String, Text)
  case element(of: String, String)
  case hint(String)
  case forbidden(String)

  var failure: Failure {
    switch self {
    case .variable(let name): Failure(.undefined, "\"\(name.string)\" is undefined")
    case .attribute(let type, let name):
      Failure(.undefined, "a \(type) has no attribute \"\(name.string)\"")
    case .element(let type, let key): Failure(.undefined, "a \(type) has no element \(key)")
    case .hint(let text): Failure(.undefined, text)
    case .forbidden(let text): Failure(.forbidden, text)
    }
  }
}
