import LoRAAutograd
import LoRATensor

// How the effects of one pass's adapters combine on an embedding: as on a linear layer whose weight is
// the transpose of the table, and whose inputs are tokens.

extension Embedding {
  /// The vectors of `ids` under `effects`.
  func adapted(_ ids: Tensor, _ effects: AppliedEffects) -> Variable {
    let table = effects.value(of: weight, named: "weight")
    var vectors = table.gathered(ids)
    for (new, strength) in effects.tokenVectors {
      vectors = vectors.mixingRows(
        new.positions(of: ids), with: Variable(new.vectors), strength: strength)
    }
    var y = vectors
    if let factors = effects.factors(ofInputs: true) {
      // One factor a token.
      y = y * factors.reshaped(to: [1, factors.shape[0]]).gatheredColumns(ids)
    }
    if let factors = effects.factors(ofInputs: false) { y = y.scaledColumns(by: factors) }
    for (change, item) in effects.changes {
      switch change {
      case .lowRank(let effect): y = effect.apply(to: y, ids: ids, strength: item.strength)
      case .normalized(let effect):
        y = effect.apply(
          to: y, vectors: vectors, ids: ids, table: self.table(table.value, effects),
          strength: item.strength)
      case .computed(let effect):
        guard let change = effect.vectorChange else {
          misuse("the effect of \(type(of: item.adapter)) says nothing of an embedding's vectors")
        }
        let sum = y + change(ids, self.table(table.value, effects), item.strength)
        require(
          sum.shape == y.shape,
          "the effect of \(type(of: item.adapter)) makes vectors \(sum.shape) of \(y.shape)")
        y = sum
      }
    }
    return y
  }

  /// The table that changes start from: the embedding's own where nothing replaces it, so that its
  /// norms are known the next time.
  private func table(_ table: Tensor, _ effects: AppliedEffects) -> Parameter {
    if effects.tokenVectors.isEmpty, table.isSame(as: weight.value) { return weight }
    var weights = LinearWeights(weight: table.converted(to: .float32))
    for (new, strength) in effects.tokenVectors {
      weights = new.replacing(weights, strength: strength)
    }
    return Parameter(weights.weight, isTrainable: false)
  }
}
