import LoRAAutograd
import LoRATensor

/// A module that adapters attach to: a ``LinearLayer``, an ``Embedding``, a norm.
///
/// A module of your own that is none of these conforms with a slot, and reads its parameters through
/// it: then an adapter may replace them (PEFT's `modules_to_save`, trained biases) while the base
/// stays as it is.
///
/// ```swift
/// final class Scale: AdaptableModule {
///   let weight: Parameter
///   let slot = AdapterSlot()
///   var parameters: Named<Parameter> { ["weight": weight] }
///   func callAsFunction(_ x: Variable) -> Variable {
///     slot.grouped(x) { x in x * slot.value(of: weight, named: "weight") }
///   }
/// }
/// ```
public protocol AdaptableModule: Module {
  /// Where adapters are attached: a stored `let slot = AdapterSlot()`.
  var slot: AdapterSlot { get }
}

extension Module {
  /// The modules that adapters can be attached to, with their paths.
  public func adaptableModules() -> [(path: String, module: any AdaptableModule)] {
    modules().compactMap { path, module in
      (module as? any AdaptableModule).map { (path, $0) }
    }
  }

  /// The paths that a configuration's patterns are compared with.
  var pathsOfLayers: [String] {
    adaptableModules().filter { !($0.module is any AdaptableBlock) }.map(\.path)
  }

  /// Where adapters can be attached, in the model's order.
  func adapterSlots() -> [AdapterSlot] {
    modules().compactMap { ($0.module as? any AdaptableModule)?.slot }
  }
}
