import LoRAAutograd
import LoRATensor

// How the effects of one pass's adapters combine on a linear layer; see AdapterEffect.

extension LinearLayer {
  /// The output under `effects`.
  func adapted(_ x: Variable, _ effects: AppliedEffects) -> Variable {
    guard effects.replaces else { return combined(x, effects) }
    let layer = OverriddenLayer(self, effects)
    return effects.changes.isEmpty && effects.scalings.isEmpty
      ? layer.base(x) : layer.combined(x, effects)
  }

  /// The output with what is not replaced of `effects`.
  private func combined(_ x: Variable, _ effects: AppliedEffects) -> Variable {
    if effects.scalings.isEmpty {
      if let alone = effects.aloneAtFullStrength { return alone.output(of: self, input: x) }
      if let y = fused(x, effects) { return y }
    }
    // The plain product, which every normalized change without dropout starts from.
    let product = effects.startFromProduct ? project(x) : nil
    var y = scaledBase(x, effects, product: product)
    for (change, item) in effects.changes {
      switch change {
      case .lowRank(let effect): y = effect.apply(to: y, input: x, strength: item.strength)
      case .normalized(let effect):
        y = effect.apply(
          to: y, input: x, product: product, layer: self, strength: item.strength)
      case .computed(let effect):
        let sum = y + effect.change(x, self, item.strength)
        require(
          sum.shape == y.shape,
          "the effect of \(type(of: item.adapter)) makes an output \(sum.shape) of \(y.shape); its change "
            + "has the shape of the output")
        y = sum
      }
    }
    return y
  }

  /// Base and low-rank terms in one operation; nil if something else is among the changes, or the
  /// weight is not stored densely.
  private func fused(_ x: Variable, _ effects: AppliedEffects) -> Variable? {
    guard let weight else { return nil }
    var terms: [LowRankTerm] = []
    var offset = bias.map { Variable($0) }
    for (change, item) in effects.changes {
      guard case .lowRank(let effect) = change else { return nil }
      terms += effect.terms(strength: item.strength, input: effect.dropped(x))
      if let shift = effect.shift(strength: item.strength) {
        offset = offset.map { $0 + shift } ?? shift
      }
    }
    return x.linear(weight: Variable(weight), bias: offset, lowRank: terms)
  }

  /// The base's output with the inputs and outputs scaled; `product` is `x Wᵀ` where it is known.
  private func scaledBase(
    _ x: Variable, _ effects: AppliedEffects, product: Variable?
  ) -> Variable {
    let (inputs, outputs) = (effects.factors(ofInputs: true), effects.factors(ofInputs: false))
    var y: Variable
    if let inputs {
      y = base(x.scaledColumns(by: inputs))
    } else if let product {
      y = bias.map { product + Variable($0) } ?? product
    } else {
      y = base(x)
    }
    if let outputs { y = y.scaledColumns(by: outputs) }
    return y
  }
}

extension AppliedEffects {
  /// The one change, where it is a normalized one at strength 1 without dropout.
  fileprivate var aloneAtFullStrength: NormalizedEffect? {
    guard changes.count == 1, changes[0].adapter.strength == 1,
      case .normalized(let effect) = changes[0].change, !effect.lowRank.drops
    else { return nil }
    return effect
  }

  /// Whether a change starts from the product of the layer's own input.
  fileprivate var startFromProduct: Bool {
    changes.contains { change, _ in
      if case .normalized(let effect) = change { !effect.lowRank.drops } else { false }
    }
  }
}
