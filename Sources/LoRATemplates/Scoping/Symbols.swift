/// The names that a part of a template loads and stores, as Jinja's compiler finds them. Which variable
/// a name means is decided before anything runs: `{% set x %}` at the end of a template makes a loop
/// at its start see no variable `x` that the template was given.
struct Symbols {
  private(set) var frame = Frame()
  private var starts: [Name: Int] = [:]
  private(set) var stores: Set<Name> = []
  /// The names that surrounding parts define.
  let surrounding: Set<Name>
  let hasSurrounding: Bool

  init(in outer: Symbols? = nil) {
    surrounding = outer.map { $0.surrounding.union($0.starts.keys) } ?? []
    hasSurrounding = outer != nil
  }

  private func isKnown(_ name: Name) -> Bool {
    starts[name] != nil || surrounding.contains(name)
  }

  private mutating func define(_ name: Name, _ start: Frame.Start) {
    if let index = starts[name] {
      frame.names[index].start = start
    } else {
      starts[name] = frame.names.count
      frame.names.append((name, start))
    }
  }

  mutating func load(_ name: Name) {
    if !isKnown(name) { define(name, .variable) }
  }

  mutating func store(_ name: Name) {
    stores.insert(name)
    if starts[name] == nil { define(name, surrounding.contains(name) ? .surrounding : .undefined) }
  }

  mutating func parameter(_ name: Name) {
    stores.insert(name)
    define(name, .parameter)
  }

  /// Takes over what branches of a condition found, of which one or none will run.
  mutating func merge(_ branches: [Symbols]) {
    let stored = branches.reduce(into: Set<Name>()) { $0.formUnion($1.stores) }.subtracting(stores)
    for branch in branches {
      for (name, start) in branch.frame.names { define(name, start) }
      stores.formUnion(branch.stores)
    }
    for name in stored { define(name, surrounding.contains(name) ? .surrounding : .variable) }
  }
}
