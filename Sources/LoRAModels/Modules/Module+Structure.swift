import LoRAAutograd

extension Module {
  /// What of this module's tree is legal Swift and can hardly be meant, a sentence each: layers and
  /// parameters that are stored and not listed, so that nothing finds them; children, parameters and
  /// slots that are made anew at every access, so that what is done to them is lost; names that occur
  /// twice.
  ///
  /// ```swift
  /// #expect(MyModel().structureProblems().isEmpty)
  /// ```
  ///
  /// Injection warns of these, and says them where it finds no layer at all. Looks at stored
  /// properties: optionals, arrays and dictionaries of modules and parameters are seen, those in
  /// other containers are not. Takes about a microsecond a property.
  public func structureProblems() -> [String] {
    let tree = modules()
    let listed = Set(tree.map { ObjectIdentifier($0.module) })
    let parameters = Set(
      tree.flatMap { $0.module.parameters.map { ObjectIdentifier($0.value) } })
    return tree.flatMap { path, module in
      module.ownStructureProblems(path, listed: listed, parameters: parameters)
    }
  }

  private func ownStructureProblems(
    _ path: String, listed: Set<ObjectIdentifier>, parameters known: Set<ObjectIdentifier>
  ) -> [String] {
    let place = path.isEmpty ? "\(type(of: self))" : "'\(path)' (\(type(of: self)))"
    var problems: [String] = []
    let (names, again) = (children, children)
    let isSame =
      names.count == again.count && zip(names, again).allSatisfy { $0.value === $1.value }
    if !isSame {
      problems.append(
        "\(place) makes its children anew at every access, so that what is attached to them or learned "
          + "is lost; keep them in stored properties and list those in 'children'")
    }
    let (values, valuesAgain) = (parameters, parameters)
    if values.count != valuesAgain.count || !zip(values, valuesAgain).allSatisfy({ $0.1 === $1.1 })
    {
      problems.append(
        "\(place) makes its parameters anew at every access, so that what they learn is lost; keep them "
          + "in stored properties and list those in 'parameters'")
    }
    if let adaptable = self as? any AdaptableModule, adaptable.slot !== adaptable.slot {
      problems.append(
        "\(place) makes its slot anew at every access, so that adapters attached to it are lost; write "
          + "'let slot = AdapterSlot()'")
    }
    var seen: Set<String> = []
    for name in names.map(\.name) + values.map(\.name) where !seen.insert(name).inserted {
      problems.append("\(place) lists two things called '\(name)'; give each a name of its own")
    }
    if isSame { problems += unlisted(place, listed: listed, parameters: known) }
    return problems
  }

  /// What is stored in this module and found nowhere in the tree.
  private func unlisted(
    _ place: String, listed: Set<ObjectIdentifier>, parameters known: Set<ObjectIdentifier>
  ) -> [String] {
    var problems: [String] = []
    var mirror: Mirror? = Mirror(reflecting: self)
    while let current = mirror {
      for (label, value) in current.children {
        let name = label ?? ""
        let (modules, parameters) = storedParts(value)
        if modules.contains(where: { !listed.contains(ObjectIdentifier($0)) }) {
          problems.append(
            "\(place) stores '\(name)' and does not list it in 'children', so that no adapter, no file and "
              + "no training reaches it; add it there under its name in checkpoints")
        }
        if parameters.contains(where: { !known.contains(ObjectIdentifier($0)) }) {
          problems.append(
            "\(place) stores the parameter '\(name)' and does not list it in 'parameters', so that no file "
              + "and no training reaches it; add it there under its name in checkpoints")
        }
      }
      mirror = current.superclassMirror
    }
    return problems
  }
}

/// The modules and parameters that a stored property holds, itself or in an optional, an array or a
/// dictionary.
private func storedParts(_ value: Any) -> (modules: [any Module], parameters: [Parameter]) {
  if let parameter = value as? Parameter { return ([], [parameter]) }
  if let module = value as? any Module { return ([module], []) }
  if value is AdapterSlot { return ([], []) }
  switch Mirror(reflecting: value).displayStyle {
  case .collection, .set, .dictionary, .optional:
    var parts: (modules: [any Module], parameters: [Parameter]) = ([], [])
    for child in Mirror(reflecting: value).children {
      // What a dictionary holds are pairs.
      let pair = Mirror(reflecting: child.value)
      let inner =
        pair.displayStyle == .tuple ? pair.children.map(\.value).last ?? child.value : child.value
      if let parameter = inner as? Parameter {
        parts.parameters.append(parameter)
      } else if let module = inner as? any Module {
        parts.modules.append(module)
      } else {
        // Of numbers there may be millions.
        break
      }
    }
    return parts
  default: return ([], [])
  }
}
