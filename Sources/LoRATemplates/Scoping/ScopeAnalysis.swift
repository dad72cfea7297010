/// Adds to every part of a template the names of its own, and refuses what Jinja's compiler refuses:
/// filters and tests that do not exist, assignments to `loop`, `break` outside of loops.
struct ScopeAnalysis {
  /// Names with a meaning of their own.
  struct Reserved {
    let loop: Name
    let caller: Name
    let kwargs: Name
    let varargs: Name
    /// `self` and `super`.
    let template: Name
    let parent: Name

    init(_ names: inout NameTable) {
      loop = names.name("loop")
      caller = names.name("caller")
      kwargs = names.name("kwargs")
      varargs = names.name("varargs")
      template = names.name("self")
      parent = names.name("super")
    }
  }

  let names: NameTable
  let reserved: Reserved
  let filters: Set<Text>
  let tests: Set<Text>

  /// Where a statement stands.
  struct Place {
    var symbols: Symbols
    /// Whether its variables are the template's.
    var isTopLevel = false
    /// Inside of a condition, what does not exist is an error only when it is reached.
    var isConditional = false
    var isInLoop = false

    /// An enclosed part with names of its own.
    func inner(_ symbols: Symbols, isInLoop: Bool) -> Place {
      Place(symbols: symbols, isInLoop: isInLoop)
    }
  }

  /// The whole template, or a block, which sees no variables but the template's.
  func root(
    _ body: [Statement], isBlock: Bool = false
  ) throws(Failure) -> (body: [Statement], frame: Frame) {
    var symbols = Symbols()
    for name in [reserved.template, reserved.parent] {
      if !body.readsUndeclared([name]).isEmpty, isBlock || name == reserved.template {
        symbols.parameter(name)
      }
    }
    symbols.collect(body)
    let place = Place(symbols: symbols, isTopLevel: !isBlock)
    return (try analyze(body, place), symbols.frame)
  }

  func analyze(_ statements: [Statement], _ place: Place) throws(Failure) -> [Statement] {
    var result: [Statement] = []
    result.reserveCapacity(statements.count)
    for statement in statements { result.append(try analyze(statement, place)) }
    return result
  }

  private func analyze(_ statement: Statement, _ place: Place) throws(Failure) -> Statement {
    switch statement {
    case .text, .block, .otherTemplate: return statement
    case .print(let values):
      try check(values, place)
      return statement
    case .condition(let branches, let otherwise):
      var soft = place
      soft.isConditional = true
      var result: [(if: Expression, body: [Statement])] = []
      for (condition, body) in branches {
        try check([condition], soft)
        result.append((condition, try analyze(body, soft)))
      }
      return .condition(result, else: try analyze(otherwise, soft))
    case .loop(let loop): return .loop(try analyze(loop, place))
    case .set(let target, let value, _, let position):
      try check([value], place)
      return .set(target, value, isTopLevel: place.isTopLevel, at: position)
    case .setBlock(let target, let filter, let body, _, _, let position):
      var symbols = Symbols(in: place.symbols)
      symbols.collect(body)
      symbols.load(filter)
      let inner = place.inner(symbols, isInLoop: place.isInLoop)
      let analyzed = try analyze(body, inner)
      if let filter { try check([filter], inner) }
      return .setBlock(
        target, filter: filter, analyzed, frame: symbols.frame, isTopLevel: place.isTopLevel,
        at: position)
    case .with(let pairs, let body, _, let position):
      try check(pairs.map(\.value), place)
      var symbols = Symbols(in: place.symbols)
      for (target, _) in pairs { symbols.store(target, asParameter: true) }
      symbols.collect(body)
      return .with(
        pairs, try analyze(body, place.inner(symbols, isInLoop: place.isInLoop)),
        frame: symbols.frame, at: position)
    case .macro(let name, let callable, _):
      return .macro(name, try analyze(callable, place), isTopLevel: place.isTopLevel)
    case .callBlock(let call, let callable, let position):
      let analyzed = try analyze(callable, place)
      try check([call], place)
      return .callBlock(call, analyzed, at: position)
    case .generation(let callable, let position):
      return .generation(try analyze(callable, place), at: position)
    case .filterBlock(let filter, let body, _, let position):
      var symbols = Symbols(in: place.symbols)
      symbols.collect(body)
      symbols.load(filter)
      let inner = place.inner(symbols, isInLoop: place.isInLoop)
      let analyzed = try analyze(body, inner)
      try check([filter], inner)
      return .filterBlock(filter, analyzed, frame: symbols.frame, at: position)
    case .escaping(let condition, let body, _, let position):
      var symbols = Symbols(in: place.symbols)
      symbols.load(condition)
      symbols.collect(body)
      let inner = place.inner(symbols, isInLoop: place.isInLoop)
      try check([condition], inner)
      return .escaping(
        condition, try analyze(body, inner), frame: symbols.frame, at: position)
    case .break(let position), .continue(let position):
      guard place.isInLoop else {
        throw Failure(.syntax, "this tag is only allowed inside of a loop", at: position)
      }
      return statement
    }
  }

  private func analyze(
    _ loop: Statement.Loop, _ place: Place
  ) throws(Failure) -> Statement.Loop {
    var assignsLoop = false
    [Statement.loop(loop)].forEachName { name, use in
      if use == .store, name == reserved.loop { assignsLoop = true }
    }
    if assignsLoop {
      throw Failure(
        .syntax, "\"loop\" cannot be assigned to inside of a loop", at: loop.position)
    }
    var result = loop
    result.hasLoopVariable =
      loop.isRecursive || !loop.body.readsUndeclared([reserved.loop]).isEmpty
      || loop.body.hasScopedBlock || loop.otherwise.hasScopedBlock
    try check([loop.values], place)

    var body = Symbols(in: place.symbols)
    if result.hasLoopVariable { body.parameter(reserved.loop) }
    body.store(loop.target, asParameter: true)
    body.collect(loop.body)
    result.frame = body.frame

    if let condition = loop.condition {
      var test = Symbols(in: place.symbols)
      test.store(loop.target, asParameter: true)
      test.load(condition)
      result.conditionFrame = test.frame
      try check([condition], place.inner(test, isInLoop: false))
    }
    result.body = try analyze(loop.body, place.inner(body, isInLoop: true))

    var otherwise = Symbols(in: place.symbols)
    otherwise.collect(loop.otherwise)
    result.elseFrame = otherwise.frame
    // What stands behind a loop may leave the one around it, unless the loop is a function.
    result.otherwise = try analyze(
      loop.otherwise,
      place.inner(otherwise, isInLoop: place.isInLoop && !loop.isRecursive))
    return result
  }

  private func analyze(
    _ callable: Statement.Callable, _ place: Place
  ) throws(Failure) -> Statement.Callable {
    var result = callable
    var symbols = Symbols(in: place.symbols)
    for parameter in callable.parameters { symbols.parameter(parameter) }
    for value in callable.defaults { symbols.load(value) }
    symbols.collect(callable.body)
    let special = [reserved.caller, reserved.kwargs, reserved.varargs]
    let undeclared = callable.body.readsUndeclared(special)
    let explicit = callable.parameters.firstIndex(of: reserved.caller)
    result.takesCaller = undeclared.contains(reserved.caller)
    if result.takesCaller, let explicit {
      guard explicit >= callable.parameters.count - callable.defaults.count else {
        throw Failure(
          .syntax, "the parameter \"caller\" needs a default", at: callable.position)
      }
    } else if result.takesCaller {
      symbols.parameter(reserved.caller)
    }
    result.takesNamed =
      undeclared.contains(reserved.kwargs) && !callable.parameters.contains(reserved.kwargs)
    result.takesFurther =
      undeclared.contains(reserved.varargs) && !callable.parameters.contains(reserved.varargs)
    if result.takesNamed { symbols.parameter(reserved.kwargs) }
    if result.takesFurther { symbols.parameter(reserved.varargs) }
    result.frame = symbols.frame
    let inner = place.inner(symbols, isInLoop: false)
    try check(callable.defaults, inner)
    result.body = try analyze(callable.body, inner)
    return result
  }

  private func check(_ expressions: [Expression], _ place: Place) throws(Failure) {
    for expression in expressions {
      try check(expression, isConditional: place.isConditional)
    }
  }

  private func check(_ expression: Expression, isConditional: Bool) throws(Failure) {
    switch expression {
    case .filter(_, let name, _, let position) where !isConditional && !filters.contains(name):
      throw Failure(.syntax, "there is no filter \"\(name.string)\"", at: position)
    case .test(_, let name, _, let position) where !isConditional && !tests.contains(name):
      throw Failure(.syntax, "there is no test \"\(name.string)\"", at: position)
    default: break
    }
    var isSoft = isConditional
    if case .conditional = expression { isSoft = true }
    var parts: [Expression] = []
    expression.forEachPart { parts.append($0) }
    for part in parts { try check(part, isConditional: isSoft) }
  }
}
