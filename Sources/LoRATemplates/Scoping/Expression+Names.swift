extension Expression {
  /// Visits the names of variables that the expression reads, in their order.
  func forEachName(_ visit: (Name) -> Void) {
    if case .name(let name, _) = self { visit(name) }
    forEachPart { $0.forEachName(visit) }
  }

  /// Visits the expressions that this one is made of.
  func forEachPart(_ visit: (Expression) -> Void) {
    switch self {
    case .literal, .name: return
    case .tuple(let items), .list(let items), .concatenation(let items, _): items.forEach(visit)
    case .dictionary(let items, _):
      for (key, value) in items {
        visit(key)
        visit(value)
      }
    case .conditional(let condition, let then, let otherwise, _):
      visit(condition)
      visit(then)
      otherwise.map(visit)
    case .or(let left, let right), .and(let left, let right), .item(let left, let right, _):
      visit(left)
      visit(right)
    case .not(let value), .sign(_, let value, _), .attribute(let value, _, _): visit(value)
    case .compare(let first, let rest, _):
      visit(first)
      for (_, value) in rest { visit(value) }
    case .arithmetic(let first, let rest):
      visit(first)
      for (_, value, _) in rest { visit(value) }
    case .slice(let value, let start, let stop, let step, _):
      visit(value)
      for bound in [start, stop, step] { bound.map(visit) }
    case .call(let value, let arguments, _):
      visit(value)
      arguments.forEachPart(visit)
    case .filter(let value, _, let arguments, _):
      value.map(visit)
      arguments.forEachPart(visit)
    case .test(let value, _, let arguments, _):
      visit(value)
      arguments.forEachPart(visit)
    }
  }
}

extension Expression.Arguments {
  func forEachPart(_ visit: (Expression) -> Void) {
    positional.forEach(visit)
    for (_, value) in named { visit(value) }
    list.map(visit)
    dictionary.map(visit)
  }
}
