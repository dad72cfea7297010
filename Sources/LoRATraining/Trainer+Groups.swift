import LoRAAutograd
public import LoRAModels

// Learning rates and weight decay of some of the parameters.

extension Trainer {
  /// Divides the groups by what `change` makes of each parameter's learning rate and weight decay.
  private mutating func regroup(
    _ change: (_ item: NamedParameter, _ rate: inout Double, _ decay: inout Double) -> Void
  ) {
    groups = groups.flatMap { group in
      var parts: [ParameterGroup] = []
      for item in group.parameters {
        var (rate, decay) = (group.learningRate, group.weightDecay)
        change(item, &rate, &decay)
        if let index = parts.firstIndex(where: {
          $0.learningRate == rate && $0.weightDecay == decay
        }) {
          parts[index].parameters.append(item)
        } else {
          parts.append(ParameterGroup([item], learningRate: rate, weightDecay: decay))
        }
      }
      return parts
    }
  }

  /// Trains the parameters that `isExempt` is true of without weight decay; how many these are.
  ///
  /// ```swift
  /// trainer.exemptFromWeightDecay { $0.parameter.shape.count < 2 }   // biases, norms, magnitudes
  /// ```
  ///
  /// transformers' `Trainer` exempts biases and norms. Here nothing is exempt unless asked, but that
  /// ``LoRAPlus`` never decays biases, as in PEFT.
  @discardableResult
  public mutating func exemptFromWeightDecay(_ isExempt: (NamedParameter) -> Bool) -> Int {
    var count = 0
    regroup { item, _, decay in
      if isExempt(item) {
        decay = 0
        count += 1
      }
    }
    return count
  }

  /// Lowers learning rates from the last layer to the first: each layer's is `factor` times that of
  /// the layer above it, as in ELECTRA and BEiT. The number of layers, 0 where no path has a layer's
  /// number.
  ///
  /// A layer is the first number in a path, as in `model.layers.3.mlp.up_proj`. Embeddings, by
  /// their names, are below the first layer; everything else keeps its rate.
  @discardableResult
  public mutating func decayLearningRates(byLayer factor: Double) -> Int {
    func layer(_ path: String) -> Int? {
      path.split(separator: ".").lazy.compactMap { Int($0) }.first
    }
    let layers = groups.flatMap { $0.parameters.compactMap { layer($0.path) } }
    guard let last = layers.max() else { return 0 }
    func power(_ exponent: Int) -> Double {
      (0..<exponent).reduce(1) { power, _ in power * factor }
    }
    regroup { item, rate, _ in
      if let layer = layer(item.path) {
        rate *= power(last - layer)
      } else if item.path.contains("embed") || item.path.contains("wte.")
        || item.path.contains("wpe.")
      {
        rate *= power(last + 1)
      }
    }
    return last + 1
  }
}
