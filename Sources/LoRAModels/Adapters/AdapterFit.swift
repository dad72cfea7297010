import LoRAAutograd
import LoRATensor

extension LinearAdapter {
  /// Throws unless this adapter can be attached to `module`, which lies at `path`.
  func checkFit(_ module: any AdaptableModule, path: String) throws(AdapterError) {
    if let override = self as? ParameterOverride {
      return try override.checkParameters(of: module, path: path)
    }
    if let layer = module as? any LinearLayer {
      try checkSizes(inputs: layer.inputSize, outputs: layer.outputSize, path: path)
    } else if let embedding = module as? Embedding {
      if let factors = self as? any LowRankAdapter,
        factors.outputBias != nil || factors.origin != nil
      {
        throw .unsupported(
          layer: path, reason: "only plain factors can be attached to an embedding")
      }
      let isLowRank = self is any LowRankAdapter || self is DoRAAdapter
      guard isLowRank || self is RowOverride else {
        throw .unsupported(
          layer: path, reason: "\(type(of: self)) can't be attached to an embedding")
      }
      let shape = embedding.weight.shape
      if isLowRank {
        try checkSizes(inputs: shape[0], outputs: shape[1], path: path)
      } else {
        try checkSizes(inputs: shape[1], outputs: shape[0], path: path)
      }
    } else {
      throw .unsupported(
        layer: path,
        reason: "only its parameters can be replaced, \(type(of: self)) is for linear layers")
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
    if let override = self as? RowOverride {
      guard override.rows.shape[1] == inputs else {
        throw .shapeMismatch(
          layer: path, expected: "rows of \(inputs)", found: "rows of \(override.rows.shape[1])")
      }
      for id in override.ids where id < 0 || id >= outputs {
        throw .shapeMismatch(
          layer: path, expected: "tokens below \(outputs)", found: "a row of token \(id)")
      }
    }
  }
}

extension ParameterOverride {
  fileprivate func checkParameters(
    of module: any AdaptableModule, path: String
  ) throws(AdapterError) {
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
