import LoRAAutograd
import LoRATensor

// How the adapters of one pass combine on a linear layer: scalings (IA3) multiply and act on the
// base; every other change is taken on the base alone, and all are added.

extension LinearLayer {
  /// The output with what `active` contributes.
  func adapted(_ x: Variable, _ active: [ActiveAdapter]) -> Variable {
    if active.count == 1, active[0].strength == 1, let dora = active[0].adapter as? DoRAAdapter,
      dora.dropoutRate == 0 || Dropout.step == nil
    {
      return decomposed(x, dora)
    }
    let scalings = active.filter { $0.adapter is IA3Adapter }
    let changes = active.filter { !($0.adapter is IA3Adapter) }
    if scalings.isEmpty, let y = fused(x, changes) { return y }
    // The plain product, which every DoRA adapter without dropout starts from.
    let isShared = changes.contains { ($0.adapter as? DoRAAdapter).map(shares) ?? false }
    let product = isShared ? project(x) : nil
    var y = scaledBase(x, scalings, product: product)
    for item in changes {
      if let product, let dora = item.adapter as? DoRAAdapter, shares(dora) {
        y = y + dora.change(of: product, input: x, layer: self, strength: item.strength)
      } else {
        let adapted = item.adapter.apply(to: y, input: x, layer: self, strength: item.strength)
        require(
          adapted.shape == y.shape,
          "\(type(of: item.adapter)).apply(to:input:layer:strength:) makes an output \(adapted.shape) of "
            + "\(y.shape); it returns y with something of the same shape added")
        y = adapted
      }
    }
    return y
  }

  private func shares(_ dora: DoRAAdapter) -> Bool { dora.dropoutRate == 0 || Dropout.step == nil }

  /// Base and low-rank terms in one operation; nil if something else is among `active`, or the weight
  /// is not stored densely.
  private func fused(_ x: Variable, _ active: [ActiveAdapter]) -> Variable? {
    guard let weight else { return nil }
    var terms: [LowRankTerm] = []
    var offset = bias.map { Variable($0) }
    for item in active {
      guard let adapter = item.adapter as? any LowRankAdapter else { return nil }
      terms += adapter.terms(input: x, strength: item.strength)
      if let outputBias = adapter.outputBias {
        let shift = Variable(outputBias).scaled(by: adapter.scale * item.strength)
        offset = offset.map { $0 + shift } ?? shift
      }
    }
    return x.linear(weight: Variable(weight), bias: offset, lowRank: terms)
  }

  /// The output with one DoRA adapter alone: one product and one pass over the output.
  private func decomposed(_ x: Variable, _ dora: DoRAAdapter) -> Variable {
    let sum =
      weight.map { x.linear(weight: Variable($0), lowRank: [dora.term]) }
      ?? project(x)
      + x.linear(weight: Variable(dora.a)).linear(weight: Variable(dora.b)).scaled(by: dora.scale)
    return sum.scaledColumns(by: dora.gain(on: self), bias: bias.map { Variable($0) })
  }

  /// The base's output with the inputs and outputs scaled; `product` is `x Wᵀ` where it is known.
  private func scaledBase(
    _ x: Variable, _ scalings: [ActiveAdapter], product: Variable?
  ) -> Variable {
    let inputs = Self.factors(scalings, ofInputs: true)
    let outputs = Self.factors(scalings, ofInputs: false)
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

  private static func factors(_ scalings: [ActiveAdapter], ofInputs: Bool) -> Variable? {
    var product: Variable?
    for item in scalings {
      guard let scaling = item.adapter as? IA3Adapter, scaling.scalesInput == ofInputs else {
        continue
      }
      let factors = scaling.factors(strength: item.strength)
      product = product.map { $0 * factors } ?? factors
    }
    return product
  }
}
