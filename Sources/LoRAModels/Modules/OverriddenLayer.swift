import LoRAAutograd
import LoRATensor

/// A linear layer as the overrides that apply to a pass make it: what other adapters then see as
/// their base.
final class OverriddenLayer: LinearLayer {
  private let layer: any LinearLayer
  private let newWeight: Parameter?
  let bias: Parameter?
  var slot: AdapterSlot { layer.slot }

  init(_ layer: any LinearLayer, _ active: [ActiveAdapter]) {
    self.layer = layer
    newWeight = Self.value(named: "weight", active) { layer.denseWeight() }
    bias =
      Self.value(named: "bias", active) {
        layer.bias?.value.converted(to: .float32) ?? .zeros([layer.outputSize])
      } ?? layer.bias
  }

  /// The parameter that the overrides among `active` have under `name`: the adapter's own if it is
  /// the only one and at strength 1, so that it can be trained; nil if there is none.
  private static func value(
    named name: String, _ active: [ActiveAdapter], base: () -> Tensor
  ) -> Parameter? {
    let new = active.compactMap { item in
      (item.adapter as? ParameterOverride)?.parameters[name].map { ($0, item.strength) }
    }
    guard let first = new.first else { return nil }
    if new.count == 1, first.1 == 1 { return first.0 }
    let base = base()
    var sum = base
    for (parameter, strength) in new { sum.add(parameter.value - base, times: strength) }
    return Parameter(sum, isTrainable: false)
  }

  var inputSize: Int { layer.inputSize }
  var outputSize: Int { layer.outputSize }
  var weight: Parameter? { newWeight ?? layer.weight }

  func project(_ x: Variable) -> Variable {
    newWeight.map { x.linear(weight: Variable($0)) } ?? layer.project(x)
  }

  func denseWeight() -> Tensor { newWeight?.value ?? layer.denseWeight() }
}
