import LoRAAutograd
import LoRATensor

/// A linear layer as the overrides that apply to a pass make it: what other adapters then see as
/// their base.
final class OverriddenLayer: LinearLayer {
  private let layer: any LinearLayer
  /// New weights and how much of each.
  private let weights: [(parameter: Parameter, strength: Float)]
  /// New rows and how much of each.
  private let rows: [(override: RowOverride, strength: Float)]
  let bias: Parameter?
  var slot: AdapterSlot { layer.slot }

  init(_ layer: any LinearLayer, _ active: [ActiveAdapter]) {
    self.layer = layer
    weights = Self.values(named: "weight", active)
    rows = active.compactMap { item in
      (item.adapter as? RowOverride).map { ($0, item.strength) }
    }
    bias = Self.bias(layer, Self.values(named: "bias", active))
  }

  /// Whether `adapter` is one whose part in the layer is done here.
  static func replaces(_ adapter: any LinearAdapter) -> Bool {
    adapter is ParameterOverride || adapter is RowOverride
  }

  private static func values(
    named name: String, _ active: [ActiveAdapter]
  ) -> [(parameter: Parameter, strength: Float)] {
    active.compactMap { item in
      (item.adapter as? ParameterOverride)?.parameters[name].map { ($0, item.strength) }
    }
  }

  /// The bias: the adapter's own if it is the only one and at strength 1, so that it can be trained;
  /// else the mixture, through which no gradient flows.
  private static func bias(
    _ layer: any LinearLayer, _ new: [(parameter: Parameter, strength: Float)]
  ) -> Parameter? {
    guard let first = new.first else { return layer.bias }
    if new.count == 1, first.strength == 1 { return first.parameter }
    let base = layer.bias?.value.converted(to: .float32) ?? .zeros([layer.outputSize])
    var sum = base
    for (parameter, strength) in new { sum.add(parameter.value - base, times: strength) }
    return Parameter(sum, isTrainable: false)
  }

  var inputSize: Int { layer.inputSize }
  var outputSize: Int { layer.outputSize }

  /// A weight that stands for itself; a mixture is computed term by term and never formed.
  var weight: Parameter? {
    guard rows.isEmpty else { return nil }
    if weights.isEmpty { return layer.weight }
    return weights.count == 1 && weights[0].strength == 1 ? weights[0].parameter : nil
  }

  func project(_ x: Variable) -> Variable {
    var y = projectWhole(x)
    for (override, strength) in rows {
      y = y.mixingColumns(
        override.ids, with: x.linear(weight: Variable(override.rows)), strength: strength)
    }
    return y
  }

  private func projectWhole(_ x: Variable) -> Variable {
    guard let first = weights.first else { return layer.project(x) }
    if weights.count == 1, first.strength == 1 {
      return x.linear(weight: Variable(first.parameter))
    }
    let rest = 1 - weights.reduce(0) { $0 + $1.strength }
    return weights.reduce(layer.project(x).scaled(by: rest)) { y, item in
      y + x.linear(weight: Variable(item.parameter)).scaled(by: item.strength)
    }
  }

  func denseWeight() -> Tensor {
    let base = layer.denseWeight()
    var sum = base
    if weights.count == 1, weights[0].strength == 1 {
      sum = weights[0].parameter.value
    } else {
      for (parameter, strength) in weights { sum.add(parameter.value - base, times: strength) }
    }
    var result = LinearWeights(weight: sum)
    for (override, strength) in rows {
      result = override.overriding(result, strength: strength)
    }
    return result.weight
  }
}
