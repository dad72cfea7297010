import LoRAAutograd
import LoRATensor

/// A linear layer as the replacements that apply to a pass make it: what other adapters then see as
/// their base.
final class OverriddenLayer: LinearLayer {
  private let layer: any LinearLayer
  /// New weights and how much of each.
  private let weights: [(parameter: Parameter, strength: Float)]
  /// New vectors and how much of each.
  private let tokens: [(new: TokenVectorReplacement, strength: Float)]
  let bias: Parameter?
  var slot: AdapterSlot { layer.slot }

  init(_ layer: any LinearLayer, _ effects: AppliedEffects) {
    self.layer = layer
    func values(named name: String) -> [(parameter: Parameter, strength: Float)] {
      effects.parameters.compactMap { new, strength in
        new.parameters[name].map { ($0, strength) }
      }
    }
    weights = values(named: "weight")
    tokens = effects.tokenVectors
    bias = Self.bias(layer, values(named: "bias"))
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
    guard tokens.isEmpty else { return nil }
    if weights.isEmpty { return layer.weight }
    return weights.count == 1 && weights[0].strength == 1 ? weights[0].parameter : nil
  }

  func project(_ x: Variable) -> Variable {
    var y = projectWhole(x)
    for (new, strength) in tokens {
      y = y.mixingColumns(
        new.ids, with: x.linear(weight: Variable(new.vectors)), strength: strength)
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
    for (new, strength) in tokens { result = new.replacing(result, strength: strength) }
    return result.weight
  }
}
