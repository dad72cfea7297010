/// Finding the names of statements. What a tag encloses, other than a condition's, is a part of its own.
extension Symbols {
  mutating func load(_ expression: Expression?) {
    expression?.forEachName { load($0) }
  }

  mutating func collect(_ statements: [Statement]) {
    for statement in statements { collect(statement) }
  }

  mutating func collect(_ statement: Statement) {
    switch statement {
    case .text, .escaping, .block, .break, .continue, .generation: return
    case .print(let values): for value in values { load(value) }
    case .condition(let branches, let otherwise): collect(branches, otherwise)
    case .loop(let loop): load(loop.values)
    case .set(let target, let value, _, _):
      load(value)
      store(target)
    case .setBlock(let target, _, _, _, _, _): store(target)
    case .with(let pairs, _, _, _): for (_, value) in pairs { load(value) }
    case .macro(let name, _, _): store(name)
    case .callBlock(let call, _, _): load(call)
    case .filterBlock(let filter, _, _, _): load(filter)
    case .otherTemplate(_, let names, _): for name in names { store(name) }
    }
  }

  private mutating func collect(
    _ branches: [(if: Expression, body: [Statement])], _ otherwise: [Statement]
  ) {
    guard let first = branches.first else { return }
    load(first.if)
    var body = self
    body.collect(first.body)
    // The further conditions are evaluated one after the other, each with a branch of its own.
    var further = self
    for branch in branches.dropFirst() { further.collect([branch], []) }
    var last = self
    last.collect(otherwise)
    merge([body, further, last])
  }

  mutating func store(_ target: Statement.Target, asParameter: Bool = false) {
    switch target {
    case .name(let name, _): asParameter ? parameter(name) : store(name)
    case .attribute(let object, _, _): load(object)
    case .tuple(let targets, _): for target in targets { store(target, asParameter: asParameter) }
    }
  }
}
