/// Something with a state: `namespace()`, whose attributes a template sets, and the like. The
/// interpreter keeps all of them and empties them in the end: they may refer to each other in circles
/// and in chains of any length.
final class NamespaceValue {
  enum Kind {
    case namespace, cycler, joiner
    /// `self`, whose items are the template's blocks.
    case template
  }

  let kind: Kind
  var attributes: [(name: Text, value: Value)] = []
  /// Of a cycler: the items, and the index of the current one.
  var items: [Value] = []
  var index = 0
  /// Of a joiner.
  var separator = Text()

  init(_ kind: Kind) { self.kind = kind }

  var typeName: String {
    switch kind {
    case .namespace: "TemplateNamespace"
    case .cycler: "Cycler"
    case .joiner: "Joiner"
    case .template: "TemplateReference"
    }
  }

  func attribute(_ name: Text) -> Value? {
    attributes.first { $0.name == name }?.value
  }

  func set(_ name: Text, to value: Value) {
    if let index = attributes.firstIndex(where: { $0.name == name }) {
      attributes[index].value = value
    } else {
      attributes.append((name, value))
    }
  }

  func clear() {
    attributes = []
    items = []
  }
}

/// The variables of a part of a template while it runs.
final class Scope {
  let outer: Scope?
  private var names: [Name] = []
  private var values: [Value?] = []

  init(in outer: Scope?) { self.outer = outer }

  /// The place of the variable: the nearest part that has the name.
  private func find(_ name: Name) -> (scope: Scope, index: Int)? {
    var scope: Scope? = self
    while let current = scope {
      if let index = current.names.firstIndex(of: name) { return (current, index) }
      scope = current.outer
    }
    return nil
  }

  func knows(_ name: Name) -> Bool { find(name) != nil }
  func value(_ name: Name) -> Value? { find(name).flatMap { $0.scope.values[$0.index] } }

  func assign(_ name: Name, _ value: Value) {
    if let (scope, index) = find(name) {
      scope.values[index] = value
    } else {
      define(name, value)
    }
  }

  /// Gives this part a variable of its own.
  func define(_ name: Name, _ value: Value?) {
    if let index = names.firstIndex(of: name) {
      values[index] = value
    } else {
      names.append(name)
      values.append(value)
    }
  }

  func clear() {
    names = []
    values = []
  }
}

/// A macro, where it was defined.
final class MacroValue {
  let callable: Statement.Callable
  let name: Text?
  let parameterNames: [Text]
  var scope: Scope?

  init(_ callable: Statement.Callable, name: Text?, parameterNames: [Text], scope: Scope) {
    self.callable = callable
    self.name = name
    self.parameterNames = parameterNames
    self.scope = scope
  }
}

/// Something to call.
indirect enum FunctionValue {
  case method(of: Value, Text)
  case macro(MacroValue)
  case global(Text)
  case block(Name)

  var typeName: String {
    switch self {
    case .method: "builtin_function_or_method"
    case .macro: "Macro"
    case .global: "function"
    case .block: "BlockReference"
    }
  }

  var identity: String {
    switch self {
    case .method(_, let name): "method \(name.string)"
    case .macro(let macro): "macro \(ObjectIdentifier(macro))"
    case .global(let name): "global \(name.string)"
    case .block(let name): "block \(name.number)"
    }
  }
}
