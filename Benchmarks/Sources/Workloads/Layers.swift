import LoRAKit

extension Workload {
  /// The adapted linear layer over ranks, attention, the loss and the optimizer.
  static var layers: [Workload] {
    var all: [Workload] = []
    for rank in [0, 8, 16, 64] {
      let adapter = 2 * 512 * Double(rank) * 4096
      let base = 2 * 512 * 2048.0 * 2048
      all.add("AdaptedLinear-forward-512x2048x2048-rank\(rank)", flops: base + adapter) {
        try AdaptedLinear(rank: rank)
      } _: { state in
        withoutGradients { blackHole(state.layer(Variable(state.input.value))) }
      }
      // Backward: dx of the base; dx, dh, dA and dB of the adapter.
      all.add(
        "AdaptedLinear-forward-backward-512x2048x2048-rank\(rank)", flops: 2 * base + 3 * adapter
      ) {
        try AdaptedLinear(rank: rank)
      } _: { state in
        blackHole(state.layer(Variable(state.input)).sum().gradients())
      }
    }
    for (positions, heads, keyHeads) in [(512, 14, 2), (512, 9, 3), (2048, 14, 2)] {
      // Of the scores that the causal mask leaves.
      let product = Double(heads * 64 * positions * (positions + 1))
      let name = "\(positions)x\(heads)of\(keyHeads)x64"
      all.add("Attention-forward-\(name)", flops: 2 * product) {
        AttentionInputs(positions: positions, heads: heads, keyHeads: keyHeads)
      } _: { inputs in
        withoutGradients { blackHole(inputs.attend()) }
      }
      all.add("Attention-forward-backward-\(name)", flops: 7 * product) {
        AttentionInputs(positions: positions, heads: heads, keyHeads: keyHeads)
      } _: { inputs in
        blackHole(inputs.attend().sum().gradients())
      }
    }
    for vocabulary in [6_144, 49_152, 151_936] {
      // Products with large results are cut to fit the caches.
      all.add(
        "Loss-512x576x\(vocabulary)", flops: 2 * 2 * 512 * 576 * Double(vocabulary),
        isCounted: vocabulary < 8192
      ) {
        var random = SeededRandom(seed: 0, path: "loss")
        return (
          Parameter(random.normal([512, 576])), random.normal([vocabulary, 576]),
          Tensor((0..<512).map { Int64($0) }, shape: [512])
        )
      } _: { state in
        let (x, head, targets) = state
        blackHole(
          Variable(x).linearCrossEntropy(
            weight: Variable(head), targets: targets, scale: 1 / Float(512)
          )
          .gradients())
      }
    }
    all.add("AdamW-4M") {
      let parameter = Parameter(.zeros([1024, 4096]))
      let gradients = (Variable(parameter) * Variable(parameter)).sum().gradients()
      let group = ParameterGroup([("weight", parameter)], learningRate: 1e-3)
      return OptimizerStep(group: group, gradients: gradients)
    } _: { step in
      AdamW().step(step.gradients, groups: [step.group], state: &step.state)
    }
    return all
  }
}

private struct OptimizerStep {
  let group: ParameterGroup
  let gradients: Gradients
  var state = OptimizerState()
}

private struct AdaptedLinear {
  let layer: Linear
  let input: Parameter

  init(rank: Int) throws {
    var random = SeededRandom(seed: 0, path: "linear")
    layer = Linear(inputSize: 2048, outputSize: 2048, bias: false, using: &random)
    layer.setTrainable(false)
    if rank > 0 { try layer.inject(LoRA(rank: rank)) }
    input = Parameter(random.normal([512, 2048]))
  }
}

private struct AttentionInputs {
  let queries: Parameter
  let keys: Parameter
  let values: Parameter

  init(positions: Int, heads: Int, keyHeads: Int) {
    var random = SeededRandom(seed: 0, path: "attention")
    queries = Parameter(random.normal([1, positions, heads, 64]))
    keys = Parameter(random.normal([1, positions, keyHeads, 64]))
    values = Parameter(random.normal([1, positions, keyHeads, 64]))
  }

  func attend() -> Variable {
    Variable(queries).attention(keys: Variable(keys), values: Variable(values))
  }
}
