extension Interpreter {
  /// Gives the names of a part their values at its beginning. Those of parameters are set elsewhere.
  func enter(_ frame: Frame, _ scope: Scope) {
    for (name, start) in frame.names {
      switch start {
      case .parameter: continue
      case .variable: scope.define(name, variables[name])
      case .surrounding: scope.define(name, scope.outer?.value(name))
      case .undefined: scope.define(name, nil)
      }
    }
  }

  /// A part inside of another, with its parameters still without values.
  func inner(_ frame: Frame, in scope: Scope?) -> Scope {
    let result = Scope(in: scope)
    for (name, start) in frame.names where start == .parameter { result.define(name, nil) }
    return result
  }

  func defineSelf(in scope: Scope, _ frame: Frame) {
    for (name, start) in frame.names where start == .parameter {
      if name == program.reserved.template {
        scope.define(name, register(NamespaceValue(.template)))
      } else {
        scope.define(name, .undefined(.hint("there is no parent block: templates stand alone")))
      }
    }
  }

  func execute(_ statements: [Statement], _ scope: Scope) throws(Failure) -> Signal {
    for statement in statements {
      try charge()
      let signal = try execute(statement, scope)
      if signal != .normal { return signal }
    }
    return .normal
  }

  private func execute(_ statement: Statement, _ scope: Scope) throws(Failure) -> Signal {
    switch statement {
    case .text(let text):
      try write(text)
      return .normal
    case .print(let values):
      for value in values { try write(try self.text(of: try evaluate(value, scope))) }
      return .normal
    case .break: return .breaks
    case .continue: return .continues
    case .set(let target, let value, let isTopLevel, let position):
      let value = try evaluate(value, scope)
      self.position = position
      try assign(value, to: target, scope, isTopLevel: isTopLevel)
      return .normal
    default:
      return try nested { () throws(Failure) in try executeTag(statement, scope) }
    }
  }

  private func executeTag(_ statement: Statement, _ scope: Scope) throws(Failure) -> Signal {
    switch statement {
    case .condition(let branches, let otherwise):
      for (condition, body) in branches where try evaluate(condition, scope).isTrue {
        return try execute(body, scope)
      }
      return try execute(otherwise, scope)
    case .loop(let loop): return try run(loop, scope)
    case .setBlock(let target, let filter, let body, let frame, let isTopLevel, let position):
      return try setBlock(target, filter, body, frame, isTopLevel, position, scope)
    case .with(let pairs, let body, let frame, let position):
      let inner = inner(frame, in: scope)
      enter(frame, inner)
      for (target, value) in pairs {
        let value = try evaluate(value, scope)
        self.position = position
        try assign(value, to: target, inner, isTopLevel: false)
      }
      return try execute(body, inner)
    case .macro(let name, let callable, let isTopLevel):
      let macro = makeMacro(callable, scope)
      scope.assign(name, macro)
      if isTopLevel { variables[name] = macro }
      return .normal
    case .callBlock(let call, let callable, let position):
      let caller = makeMacro(callable, scope)
      guard case .call(let function, let arguments, _) = call else { return .normal }
      let value = try evaluateCall(function, arguments, scope, at: position, caller: caller)
      try write(try text(of: value))
      return .normal
    case .generation(let callable, let position):
      self.position = position
      let macro = MacroValue(callable, name: nil, parameterNames: [], scope: scope)
      let start = output.count
      try write(try invoke(macro, CallArguments()))
      noteGeneration(from: start)
      return .normal
    case .filterBlock(let filter, let body, let frame, _):
      let inner = inner(frame, in: scope)
      enter(frame, inner)
      let (text, signal) = try capture { () throws(Failure) in try execute(body, inner) }
      if signal != .normal { return signal }
      try write(try self.text(of: try evaluateFilter(filter, of: .string(text), inner)))
      return .normal
    case .escaping(let condition, let body, let frame, let position):
      let inner = inner(frame, in: scope)
      enter(frame, inner)
      if try evaluate(condition, inner).isTrue {
        throw Failure(
          .forbidden, "prompts are not HTML: escaping cannot be switched on", at: position)
      }
      return try execute(body, inner)
    case .block(let name, let isScoped, let isRequired, let position):
      self.position = position
      if isRequired { throw .value("a required block has no content: templates stand alone") }
      try renderBlock(name, isScoped ? scope : nil)
      return .normal
    case .otherTemplate(let tag, _, let position):
      throw Failure(
        .forbidden, "{% \(tag.string) %} needs other templates, and there are none", at: position)
    default: return .normal
    }
  }

  private func setBlock(
    _ target: Statement.Target, _ filter: Expression?, _ body: [Statement], _ frame: Frame,
    _ isTopLevel: Bool, _ position: Int, _ scope: Scope
  ) throws(Failure) -> Signal {
    let inner = inner(frame, in: scope)
    enter(frame, inner)
    let (text, signal) = try capture { () throws(Failure) in try execute(body, inner) }
    if signal != .normal { return signal }
    var value = Value.string(text)
    if let filter { value = try evaluateFilter(filter, of: value, inner) }
    self.position = position
    try assign(value, to: target, scope, isTopLevel: isTopLevel)
    return .normal
  }

  private func makeMacro(_ callable: Statement.Callable, _ scope: Scope) -> Value {
    register(
      MacroValue(
        callable, name: callable.name.map { program.names[$0] },
        parameterNames: callable.parameters.map { program.names[$0] }, scope: scope))
  }

  /// Writes a block, which sees the template's variables, and if it is scoped those around it.
  func renderBlock(_ name: Name, _ scope: Scope?) throws(Failure) {
    guard let block = program.blocks[name] else { return }
    let outer = variables
    if let scope {
      for number in program.names.texts.indices {
        let name = Name(number: number)
        if let value = scope.value(name) { variables[name] = value }
      }
    }
    let inner = Scope(in: nil)
    defineSelf(in: inner, block.frame)
    enter(block.frame, inner)
    _ = try execute(block.body, inner)
    if scope != nil { variables = outer }
  }

  // MARK: Assignment

  func assign(
    _ value: Value, to target: Statement.Target, _ scope: Scope, isTopLevel: Bool
  ) throws(Failure) {
    switch target {
    case .name(let name, _):
      scope.assign(name, value)
      if isTopLevel { variables[name] = value }
    case .attribute(let name, let attribute, let position):
      self.position = position
      guard case .namespace(let object)? = scope.value(name) ?? variables[name],
        object.kind == .namespace
      else {
        throw .value(
          "\"\(program.names[name].string)\" is no namespace: only attributes of namespaces can "
            + "be set")
      }
      try setAttribute(attribute, of: object, to: value)
    case .tuple(let targets, let position):
      self.position = position
      let items = try iterate(value)
      guard items.count == targets.count else {
        throw .value("expected \(targets.count) values to unpack, found \(items.count)")
      }
      for (target, item) in zip(targets, items) {
        try assign(item, to: target, scope, isTopLevel: isTopLevel)
      }
    }
  }

  func setAttribute(
    _ name: Text, of object: NamespaceValue, to value: Value
  ) throws(Failure) {
    guard name.scalars.first != "_" else {
      throw Failure(
        .forbidden,
        "attributes of a namespace must not begin with \"_\", as \"\(name.string)\" does")
    }
    object.set(name, to: value)
  }

  // MARK: Loops

  private func run(_ loop: Statement.Loop, _ scope: Scope) throws(Failure) -> Signal {
    let values = try evaluate(loop.values, scope)
    position = loop.position
    guard loop.isRecursive else { return try run(loop, over: values, scope, depth: 0) }
    try write(try runRecursively(loop, over: values, scope, depth: 0))
    return .normal
  }

  func runRecursively(
    _ loop: Statement.Loop, over values: Value, _ scope: Scope, depth: Int
  ) throws(Failure) -> Text {
    try nested { () throws(Failure) in
      try capture { () throws(Failure) in try run(loop, over: values, scope, depth: depth) }.text
    }
  }

  private func run(
    _ loop: Statement.Loop, over values: Value, _ scope: Scope, depth: Int
  ) throws(Failure) -> Signal {
    var passes: ((Value) throws(Failure) -> Bool)?
    if let condition = loop.condition {
      let test = inner(loop.conditionFrame, in: scope)
      enter(loop.conditionFrame, test)
      passes = { [self] (item) throws(Failure) in
        position = loop.position
        try assign(item, to: loop.target, test, isTopLevel: false)
        return try evaluate(condition, test).isTrue
      }
    }
    let state = try LoopValue(
      try iterate(values), recursionDepth: depth,
      recursion: loop.isRecursive ? (loop, scope) : nil, passing: passes)
    let inner = inner(loop.frame, in: scope)
    var hasCompleted = false
    while let item = try state.advance() {
      try charge()
      if loop.hasLoopVariable { inner.define(program.reserved.loop, .loop(state)) }
      position = loop.position
      try assign(item, to: loop.target, inner, isTopLevel: false)
      enter(loop.frame, inner)
      let signal = try execute(loop.body, inner)
      if signal == .breaks { break }
      // Jinja takes a loop whose every turn was cut short for one without items.
      if signal == .normal { hasCompleted = true }
    }
    guard !hasCompleted, !loop.otherwise.isEmpty else { return .normal }
    let otherwise = self.inner(loop.elseFrame, in: scope)
    enter(loop.elseFrame, otherwise)
    return try execute(loop.otherwise, otherwise)
  }
}
