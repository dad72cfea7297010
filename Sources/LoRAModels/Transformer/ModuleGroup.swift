/// Modules under a common name, as `self_attn` is in checkpoints: a level of names without arithmetic.
final class ModuleGroup: Module {
  let children: Named<any Module>

  init(_ children: Named<any Module>) { self.children = children }

  /// The children of a module that has `modules` at these paths below it, in their order: a group for
  /// each level of names in between. `prefix` goes before the last name of a list's elements, as in
  /// `layers.0`.
  static func tree(_ modules: [(path: String, module: any Module)]) -> Named<any Module> {
    var names: [String] = []
    var below: [String: [(path: String, module: any Module)]] = [:]
    for (path, module) in modules {
      let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
      if below[parts[0]] == nil { names.append(parts[0]) }
      below[parts[0], default: []].append((parts.count > 1 ? parts[1] : "", module))
    }
    return Named(
      names.map { name in
        let inner = below[name] ?? []
        if inner.count == 1, inner[0].path.isEmpty { return (name, inner[0].module) }
        return (name, ModuleGroup(tree(inner)))
      })
  }
}
