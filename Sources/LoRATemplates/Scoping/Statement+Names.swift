/// A mention of a name.
enum NameUse {
  case load, store, parameter
}

extension [Statement] {
  /// Visits all names, also those of enclosed parts, in their order.
  func forEachName(_ visit: (Name, NameUse) -> Void) {
    for statement in self { statement.forEachName(visit) }
  }

  /// Which of `names` are read before they are assigned to, anywhere inside.
  func readsUndeclared(_ names: [Name]) -> Set<Name> {
    var open = Set(names)
    var result: Set<Name> = []
    forEachName { name, use in
      if use == .load, open.contains(name) {
        result.insert(name)
      } else {
        open.remove(name)
      }
    }
    return result
  }

  var hasScopedBlock: Bool {
    contains { statement in
      if case .block(_, let isScoped, _, _) = statement { return isScoped }
      return statement.enclosed.contains(where: \.hasScopedBlock)
    }
  }
}

extension Statement {
  /// The lists of statements that a tag encloses.
  var enclosed: [[Statement]] {
    switch self {
    case .condition(let branches, let otherwise): branches.map(\.body) + [otherwise]
    case .loop(let loop): [loop.body, loop.otherwise]
    case .setBlock(_, _, let body, _, _, _), .with(_, let body, _, _), .escaping(_, let body, _, _),
      .filterBlock(_, let body, _, _):
      [body]
    case .macro(_, let callable, _), .callBlock(_, let callable, _), .generation(let callable, _):
      [callable.body]
    default: []
    }
  }

  fileprivate func forEachName(_ visit: (Name, NameUse) -> Void) {
    func loads(_ expression: Expression?) { expression?.forEachName { visit($0, .load) } }
    switch self {
    case .text, .block, .break, .continue, .otherTemplate: return
    case .print(let values): values.forEach(loads)
    case .condition(let branches, let otherwise):
      for (condition, body) in branches {
        loads(condition)
        body.forEachName(visit)
      }
      otherwise.forEachName(visit)
    case .loop(let loop):
      loop.target.forEachName(.store, visit)
      loads(loop.values)
      loop.body.forEachName(visit)
      loop.otherwise.forEachName(visit)
      loads(loop.condition)
    case .set(let target, let value, _, _):
      target.forEachName(.store, visit)
      loads(value)
    case .setBlock(let target, let filter, let body, _, _, _):
      target.forEachName(.store, visit)
      loads(filter)
      body.forEachName(visit)
    case .with(let pairs, let body, _, _):
      for (target, _) in pairs { target.forEachName(.parameter, visit) }
      for (_, value) in pairs { loads(value) }
      body.forEachName(visit)
    case .macro(_, let callable, _), .generation(let callable, _): callable.forEachName(visit)
    case .callBlock(let call, let callable, _):
      loads(call)
      callable.forEachName(visit)
    case .filterBlock(let filter, let body, _, _):
      body.forEachName(visit)
      loads(filter)
    case .escaping(let condition, let body, _, _):
      loads(condition)
      body.forEachName(visit)
    }
  }
}

extension Statement.Callable {
  fileprivate func forEachName(_ visit: (Name, NameUse) -> Void) {
    for parameter in parameters { visit(parameter, .parameter) }
    for value in defaults { value.forEachName { visit($0, .load) } }
    body.forEachName(visit)
  }
}

extension Statement.Target {
  fileprivate func forEachName(_ use: NameUse, _ visit: (Name, NameUse) -> Void) {
    switch self {
    case .name(let name, _): visit(name, use)
    case .attribute: return
    case .tuple(let targets, _): for target in targets { target.forEachName(use, visit) }
    }
  }
}
