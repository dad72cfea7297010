import LoRAArchitectures

extension Module {
  /// What the model's architecture calls its linear layers of these roles, as targets of an adapter: the
  /// shortest ends of their paths that no other layer's has, or all that follows a block's number. Empty
  /// where the architecture has none, or is not known.
  package func layerNames(ofRoles roles: [String]) -> [String] {
    let architecture = (self as? any PretrainedTokenModel)?.configuration.architecture
    var wanted: [TensorName] = []
    var others: [String] = []
    for (path, _) in linearLayers() {
      let module = architecture?.module(atPath: path)?.module
      if let module, roles.contains(where: { module.isOfRole($0) }) {
        if !wanted.contains(where: { $0.path == module.path }) { wanted.append(module) }
      } else {
        others.append(".\(path)")
      }
    }
    var result: [String] = []
    for module in wanted {
      let parts = (module.pathInBlock?.rest ?? module.path).split(separator: ".")
      let ends = parts.indices.reversed().map { parts[$0...].joined(separator: ".") }
      let end = ends.first { end in !others.contains { $0.hasSuffix(".\(end)") } }
      let chosen = end ?? ends.last ?? module.path
      if !result.contains(chosen) { result.append(chosen) }
    }
    return result
  }
}

extension TensorName {
  /// Whether the module has this role, in a stack of its own (T5's encoder) or across two.
  fileprivate func isOfRole(_ name: String) -> Bool {
    role == name || role.hasSuffix(".\(name)") || role.hasSuffix("_\(name)")
  }
}
