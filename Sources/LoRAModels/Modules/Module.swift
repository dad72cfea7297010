public import LoRAAutograd
import LoRATensor

/// A part of a model: a final class with its parameters and children, listed under the names that
/// they have in checkpoints, and a `callAsFunction` of its own.
///
/// ```swift
/// final class FeedForward: Module {
///   let up: Linear
///   let down: Linear
///   var children: Named<any Module> { ["up": up, "down": down] }
///   func callAsFunction(_ x: Variable) -> Variable { down(up(x)(.gelu)) }
/// }
/// ```
///
/// That is all that injection, saving, loading and training need. Modules hold no mutable state but
/// their parameters, so they are Sendable and one model serves many tasks.
public protocol Module: AnyObject, Sendable {
  /// The modules that this one is made of, under their checkpoint names. Empty by default.
  var children: Named<any Module> { get }
  /// The parameters that this module itself holds, not its children's. Empty by default.
  var parameters: Named<Parameter> { get }
  /// The linear layer that makes logits; ``LayerSelector/allLinear`` leaves it out. Nil by default.
  var outputHead: (any LinearLayer)? { get }
}

extension Module {
  /// No children.
  public var children: Named<any Module> { [:] }
  /// No parameters of its own.
  public var parameters: Named<Parameter> { [:] }
  /// No output head.
  public var outputHead: (any LinearLayer)? { nil }
}

/// A module and its path from the root, as `model.layers.0.mlp`; the root's is empty.
public typealias NamedModule = (path: String, module: any Module)

/// A parameter and its path from the root, as `model.layers.0.mlp.up.weight`.
public typealias NamedParameter = (path: String, parameter: Parameter)

extension Module {
  /// This module and all below it, parents before children, each once under its first path.
  public func modules() -> [NamedModule] {
    var seen: Set<ObjectIdentifier> = []
    var found: [NamedModule] = []
    func visit(_ module: any Module, _ path: String) {
      guard seen.insert(ObjectIdentifier(module)).inserted else { return }
      found.append((path, module))
      for (name, child) in module.children { visit(child, join(path, name)) }
    }
    visit(self, "")
    return found
  }

  /// The parameters of this module and of all below it, each once under its first path: a tied
  /// parameter appears where it is met first. Adapters' parameters are not among them.
  public func namedParameters() -> [NamedParameter] {
    var seen: Set<ObjectIdentifier> = []
    var found: [NamedParameter] = []
    for (path, module) in modules() {
      for (name, parameter) in module.parameters
      where seen.insert(ObjectIdentifier(parameter)).inserted {
        found.append((join(path, name), parameter))
      }
    }
    return found
  }

  /// The linear layers with their paths.
  public func linearLayers() -> [(path: String, layer: any LinearLayer)] {
    modules().compactMap { path, module in
      (module as? any LinearLayer).map { (path, $0) }
    }
  }

  /// The number of parameters, tied ones counted once, adapters not counted.
  public var parameterCount: Int {
    namedParameters().reduce(0) { $0 + $1.parameter.shape.elementCount }
  }

  /// Makes every parameter of the base trainable, or freezes it.
  public func setTrainable(_ isTrainable: Bool) {
    for (_, parameter) in namedParameters() { parameter.isTrainable = isTrainable }
  }
}

private func join(_ path: String, _ name: String) -> String {
  path.isEmpty ? name : "\(path).\(name)"
}
