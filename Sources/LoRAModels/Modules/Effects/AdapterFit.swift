import LoRAAutograd
import LoRATensor

extension LinearAdapter {
  /// Throws unless this adapter can be attached to `module`, which lies at `path`.
  func checkFit(_ module: any AdaptableModule, path: String) throws(AdapterError) {
    let effect = withoutGradients { self.effect }
    if case .parameters(let new) = effect { return try new.check(module, path: path) }
    if case .virtualTokens(let tokens) = effect { return try tokens.check(module) }
    if case .block(let change) = effect { return try change.check(module, path: path) }
    if module is any AdaptableBlock {
      throw .unsupported(
        layer: path, reason: "\(type(of: self)) is for layers, and this is a block of them")
    }
    if module is any VirtualTokenModel {
      throw .unsupported(
        layer: path, reason: "only virtual tokens can be attached to a whole model")
    }
    if let layer = module as? any LinearLayer {
      if case .tokenVectors(let new) = effect {
        try new.check(size: layer.inputSize, count: layer.outputSize, path: path)
      }
      return try checkSizes(inputs: layer.inputSize, outputs: layer.outputSize, path: path)
    }
    guard let embedding = module as? Embedding else {
      throw .unsupported(
        layer: path,
        reason: "only its parameters can be replaced, \(type(of: self)) is for linear layers")
    }
    let shape = embedding.weight.shape
    switch effect {
    case .tokenVectors(let new):
      return try new.check(size: shape[1], count: shape[0], path: path)
    case .lowRank(let effect) where effect.bias != nil:
      throw .unsupported(
        layer: path, reason: "factors with a bias can't be attached to an embedding")
    case .computed(let effect) where effect.vectorChange == nil:
      throw .unsupported(
        layer: path, reason: "\(type(of: self)) can't be attached to an embedding")
    case .lowRank, .normalized, .scaling, .parameters, .computed, .block, .virtualTokens:
      // The table is the transpose of the matrix that adapters are for.
      try checkSizes(inputs: shape[0], outputs: shape[1], path: path)
    }
  }

  private func checkSizes(inputs: Int, outputs: Int, path: String) throws(AdapterError) {
    let expected = "\(inputs) inputs and \(outputs) outputs"
    if let found = extents.inputSize, found != inputs {
      throw .shapeMismatch(layer: path, expected: expected, found: "\(found) inputs")
    }
    if let found = extents.outputSize, found != outputs {
      throw .shapeMismatch(layer: path, expected: expected, found: "\(found) outputs")
    }
  }
}

extension VirtualTokens {
  /// Throws unless `module` is a model whose vectors, or keys and values, have this shape.
  fileprivate func check(_ module: any AdaptableModule) throws(AdapterError) {
    guard let model = module as? any VirtualTokenModel else { throw .noVirtualTokens(module) }
    if let reason = model.refusalOfVirtualTokens {
      throw .unsupported(layer: "the model's input", reason: reason)
    }
    if case .embeddings = self, !model.takesPrompts {
      throw .unsupported(
        layer: "the model's input",
        reason:
          "a prompt needs a language model or a classifier with hidden states as large as its tokens' "
          + "vectors: prefix tuning can be used instead")
    }
    let (found, expected): (Shape, Shape) =
      switch self {
      case .embeddings(let vectors): (vectors.shape, [count, model.hiddenSize])
      case .keysAndValues(let states):
        (states.shape, [count, model.layerCount, 2, model.keyHeadCount, model.headSize])
      }
    guard found == expected else {
      throw .shapeMismatch(
        layer: "the model's input", expected: "virtual tokens \(expected)", found: "\(found)")
    }
  }
}

extension BlockEffect {
  /// Throws unless `module` is a block of hidden states of this size.
  fileprivate func check(_ module: any AdaptableModule, path: String) throws(AdapterError) {
    guard let block = module as? any AdaptableBlock else {
      throw .unsupported(
        layer: path,
        reason: "a change of a block's parts can't be attached to a \(type(of: module))")
    }
    if let hiddenSize, hiddenSize != block.hiddenSize {
      throw .shapeMismatch(
        layer: path, expected: "hidden states of \(block.hiddenSize)",
        found: "networks for \(hiddenSize)")
    }
  }
}

extension TokenVectorReplacement {
  /// Throws unless these are vectors of a table of `count` tokens.
  fileprivate func check(size: Int, count: Int, path: String) throws(AdapterError) {
    guard vectors.shape[1] == size else {
      throw .shapeMismatch(
        layer: path, expected: "vectors of \(size)", found: "vectors of \(vectors.shape[1])")
    }
    for id in ids where id < 0 || id >= count {
      throw .shapeMismatch(
        layer: path, expected: "tokens below \(count)", found: "a vector of token \(id)")
    }
  }
}

extension ParameterReplacement {
  /// Throws unless `module` has the parameters, in these shapes.
  fileprivate func check(_ module: any AdaptableModule, path: String) throws(AdapterError) {
    for (name, new) in parameters {
      guard let old = module.parameters[name] else {
        let names = module.parameters.map { "'\($0.name)'" }.joined(separator: ", ")
        throw .unsupported(
          layer: path, reason: "the adapter replaces its '\(name)', and it has only \(names)")
      }
      var shape = old.shape
      if name == "weight", let layer = module as? any LinearLayer {
        shape = [layer.outputSize, layer.inputSize]
      }
      guard new.shape == shape else {
        throw .shapeMismatch(
          layer: path, expected: "\(shape) for its '\(name)'", found: "\(new.shape)")
      }
    }
  }
}
