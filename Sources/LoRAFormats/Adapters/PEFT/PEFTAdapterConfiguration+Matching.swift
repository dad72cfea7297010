extension PEFTAdapterConfiguration {
  /// Whether the module at `path` gets an adapter. Under `allLinear` every path that is not excluded
  /// does: the caller passes linear layers that are not the output head. Nothing matches
  /// `unspecified`, nor what lies in a module that is saved whole.
  ///
  /// A parameter, as an expert's, is matched by `target_parameters` alone.
  package func matches(path: String) -> Bool {
    if let parameter = ParameterPath(path) { return matchesParameter(parameter.key) }
    return matchesModule(path)
  }

  /// The same of a module.
  func matchesModule(_ path: String) -> Bool {
    switch excluded {
    case .names(let names): if names.contains(where: { isPath(path, namedBy: $0) }) { return false }
    case .pattern(let text): if PathPattern.matchesWhole(text, path) { return false }
    case .allLinear, .unspecified, nil: break
    }
    if allSavedModules.contains(where: { Self.lies(path, withinModule: $0) }) { return false }
    switch targets {
    case .unspecified: return false
    case .allLinear: return true
    case .pattern(let text): return PathPattern.matchesWhole(text, path)
    case .names(let names):
      // As in PEFT, a path given in full is not subject to the restriction to layers.
      if names.contains(where: { $0.utf8.elementsEqual(path.utf8) }) { return true }
      guard names.contains(where: { isPath(path, namedBy: $0) }) else { return false }
      guard let layersToTransform, !layersToTransform.isEmpty else { return true }
      guard let layer = layerIndex(of: path) else { return false }
      return layersToTransform.contains(layer)
    }
  }

  /// Whether `path` is a module that `name` names the end of, or lies in one.
  private static func lies(_ path: String, withinModule name: String) -> Bool {
    var end = path.endIndex
    while true {
      if isPath(String(path[..<end]), namedBy: name) { return true }
      guard let dot = path[..<end].lastIndex(of: ".") else { return false }
      end = dot
    }
  }

  /// Whether `modules_to_save`, or the task, says that the parameters of the module at `path` are
  /// saved. As in PEFT a name is any end of the path of the module or of one that holds it.
  package func saves(modulePath path: String) -> Bool {
    Self.names(allSavedModules, holdPath: path)
  }

  /// Whether `modules_to_save` itself says so.
  package func savesExplicitly(modulePath path: String) -> Bool {
    Self.names(savedModules, holdPath: path)
  }

  private static func names(_ names: [String], holdPath path: String) -> Bool {
    var end = path.endIndex
    while true {
      let part = path[..<end]
      if names.contains(where: { part.utf8.reversed().starts(with: $0.utf8.reversed()) }) {
        return true
      }
      guard let dot = part.lastIndex(of: ".") else { return false }
      end = dot
    }
  }

  /// The index of the layer that `path` lies in.
  func layerIndex(of path: String) -> Int? {
    if !layersPattern.isEmpty {
      for pattern in layersPattern {
        let full = Self.layersFrame.expression(of: pattern)
        if let index = PathPattern.group("idx", of: full, atStartOf: path) { return Int(index) }
      }
      return nil
    }
    // The first number that has two names before it and one after it.
    let parts = path.split(separator: ".", omittingEmptySubsequences: false)
    for part in parts.dropFirst(2).dropLast() {
      if !part.isEmpty, part.utf8.allSatisfy({ (0x30...0x39).contains($0) }) { return Int(part) }
    }
    return nil
  }

  private static func value<Value>(_ overrides: [Override<Value>], for path: String) -> Value? {
    overrides.first { matches(path, endWithKey: $0.key) }?.value
  }

  /// How PEFT asks whether a key of a pattern is meant, and where a layer's index stands in a path.
  static let keyFrame = PathPattern.Frame(before: #"(.*\.)?("#, after: ")$")
  static let layersFrame = PathPattern.Frame(
    before: #"(?:^|.*?\.)"#, after: #"\.(?P<idx>\d+)\."#)

  /// Whether a path is one that `key` means.
  static func matches(_ path: String, endWithKey key: String) -> Bool {
    // Most keys are paths, whose dots match any one character: no expression need be compiled.
    let isPlain = key.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"): true
      default: byte < 0x80 && Character(Unicode.Scalar(byte)).isLetterOrDigit
      }
    }
    guard isPlain, path.utf8.allSatisfy({ 0x20..<0x80 ~= $0 }) else {
      return PathPattern.matchesStart(keyFrame.expression(of: key), path)
    }
    let (key, path) = (Array(key.utf8), Array(path.utf8))
    guard path.count >= key.count else { return false }
    let start = path.count - key.count
    guard start == 0 || path[start - 1] == UInt8(ascii: ".") else { return false }
    return zip(key, path[start...]).allSatisfy { $0 == $1 || $0 == UInt8(ascii: ".") }
  }

  /// The rank of the adapter on the module at `path`.
  package func rank(forPath path: String) -> Int {
    Self.value(rankPattern, for: ParameterPath.patternKey(of: path)) ?? rank
  }

  /// The alpha of the adapter on the module at `path`.
  package func alpha(forPath path: String) -> Double {
    Self.value(alphaPattern, for: ParameterPath.patternKey(of: path)) ?? alpha
  }

  /// What the factors on the module at `path` are multiplied by.
  package func scale(forPath path: String) -> Double {
    scale(alpha: alpha(forPath: path), rank: rank(forPath: path))
  }

  /// What factors of rank `rank` are multiplied by.
  package func scale(alpha: Double, rank: Int) -> Double {
    method.options.scale(alpha: alpha, rank: rank)
  }
}

extension Character {
  fileprivate var isLetterOrDigit: Bool { isLetter || isNumber }
}
