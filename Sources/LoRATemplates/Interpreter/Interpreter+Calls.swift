extension Interpreter {
  func evaluateCall(
    _ function: Expression, _ arguments: Expression.Arguments, _ scope: Scope, at position: Int,
    caller: Value?
  ) throws(Failure) -> Value {
    let function = try evaluate(function, scope)
    var arguments = try evaluate(arguments, scope)
    if let caller {
      guard !arguments.named.contains(where: { $0.name == "caller" }) else {
        throw .value("a call block gives the argument \"caller\" itself")
      }
      arguments.named.append(("caller", caller))
    }
    self.position = position
    return try call(function, arguments)
  }

  func call(_ function: Value, _ arguments: CallArguments) throws(Failure) -> Value {
    try charge()
    switch function {
    case .undefined(let missing): throw missing.failure
    case .function(.method(let receiver, let name)):
      return try nested { () throws(Failure) in try callMethod(name, receiver, arguments) }
    case .function(.macro(let macro)): return .string(try invoke(macro, arguments))
    case .function(.global(let name)): return try callGlobal(name, arguments)
    case .function(.block(let name)):
      _ = try arguments.bound(to: [], of: "block")
      return try nested { () throws(Failure) in
        .string(
          try capture { () throws(Failure) in
            try renderBlock(name, nil)
            return .normal
          }.text)
      }
    case .loop(let loop):
      guard let recursion = loop.recursion else {
        throw .value("\"loop\" can only be called in a loop that is marked \"recursive\"")
      }
      let items = try arguments.bound(to: ["iterable"], of: "loop", required: 1)[0] ?? .none
      return .string(
        try runRecursively(
          recursion.loop, over: items, recursion.scope, depth: loop.recursionDepth + 1))
    case .namespace(let object) where object.kind == .joiner:
      defer { object.index = 1 }
      return .string(object.index == 0 ? Text() : object.separator)
    default: throw .value("a \(function.typeName) cannot be called")
    }
  }

  /// The text that a macro makes.
  func invoke(_ macro: MacroValue, _ arguments: CallArguments) throws(Failure) -> Text {
    let callable = macro.callable
    let name = macro.name?.string ?? "caller"
    let count = callable.parameters.count
    var named = arguments.named
    func take(_ name: Text) -> Value? {
      named.firstIndex { $0.name == name }.map { named.remove(at: $0).value }
    }
    var values = arguments.positional.prefix(count).map(Optional.some)
    var hasCaller = macro.parameterNames.contains("caller") && values.count == count
    for name in macro.parameterNames.dropFirst(values.count) {
      if name == "caller" { hasCaller = true }
      values.append(take(name))
    }
    var caller: Value?
    if callable.takesCaller, !hasCaller {
      caller = take("caller")
      if caller?.isNone ?? true { caller = .undefined(.hint("no caller is defined")) }
    }
    if !callable.takesNamed, let extra = named.first {
      throw .value("the macro \"\(name)\" takes no argument \"\(extra.name.string)\"")
    }
    if !callable.takesFurther, arguments.positional.count > count {
      throw .value(
        "the macro \"\(name)\" takes at most \(count) arguments, \(arguments.positional.count) are "
          + "given")
    }
    let scope = inner(callable.frame, in: macro.scope)
    enter(callable.frame, scope)
    if callable.takesCaller, !macro.parameterNames.contains("caller") {
      scope.define(program.reserved.caller, caller)
    }
    if callable.takesNamed {
      scope.define(
        program.reserved.kwargs,
        .dictionary(try DictionaryValue(named.map { (.string($0.name), $0.value) })))
    }
    if callable.takesFurther {
      scope.define(
        program.reserved.varargs,
        try .tuple(of: Array(arguments.positional.dropFirst(count))))
    }
    return try nested { () throws(Failure) in
      try fill(callable, values, scope)
      return try capture { () throws(Failure) in try execute(callable.body, scope) }.text
    }
  }

  private func fill(
    _ callable: Statement.Callable, _ values: [Value?], _ scope: Scope
  ) throws(Failure) {
    let count = callable.parameters.count
    for (parameter, value) in zip(callable.parameters, values) { scope.define(parameter, value) }
    for (index, parameter) in callable.parameters.enumerated() where values[index] == nil {
      let place = index - (count - callable.defaults.count)
      let value =
        place >= 0
        ? try evaluate(callable.defaults[place], scope)
        : Value.undefined(
          .hint("the parameter \"\(program.names[parameter].string)\" is not given"))
      scope.define(parameter, value)
    }
  }
}
