import LoRAFiles
import LoRATensor

extension PEFTAdapterWriter {
  /// The factors of one parameter, in the order of its experts.
  struct Stack {
    var path: ParameterPath
    var layers: [(expert: Int?, change: LowRankChange)]
    var storedType: DType
  }

  /// The parameters that a description has adapters of. Throws for what PEFT can't keep of them.
  func stacks(_ description: AdapterDescription) throws(FormatError) -> [Stack] {
    var stacks: [Stack] = []
    var positions: [ExactName: Int] = [:]
    for layer in description.layers {
      guard let path = ParameterPath(layer.path) else { continue }
      let writer = PEFTLayerWriter(path: path.key, configuration: configuration, file: file)
      guard configuration.matchesParameter(path.key) else {
        throw writer.mismatch("the configuration's 'target_parameters' do not match it")
      }
      guard let change = layer.change as? LowRankChange, change.magnitude == nil,
        change.middle == nil, change.bias == nil, !change.isEmbedding, change.a.shape.count == 2,
        configuration.lora?.hasFactorBias == false, configuration.lora?.isDoRA == false
      else {
        throw writer.inexpressible(
          "adapter of a parameter but plain LoRA: no DoRA, no bias, no other method")
      }
      guard configuration.dropout == 0 else {
        throw writer.inexpressible("dropout of a parameter's adapter ('lora_dropout')")
      }
      try writer.check(rank: change.rank, scale: change.scale)
      let position = positions[ExactName(path.key)] ?? stacks.count
      if position == stacks.count {
        positions[ExactName(path.key)] = position
        stacks.append(
          Stack(
            path: ParameterPath(module: path.module, parameter: path.parameter), layers: [],
            storedType: layer.storedType))
      }
      if layer.storedType != stacks[position].storedType { stacks[position].storedType = .float32 }
      stacks[position].layers.append((path.expert, change))
    }
    for index in stacks.indices { try check(&stacks[index]) }
    return stacks
  }

  /// Puts the experts in order. Throws unless each is there once and all are of one shape.
  private func check(_ stack: inout Stack) throws(FormatError) {
    let writer = PEFTLayerWriter(path: stack.path.key, configuration: configuration, file: file)
    stack.layers.sort { ($0.expert ?? 0) < ($1.expert ?? 0) }
    for (index, layer) in stack.layers.enumerated() where (layer.expert ?? 0) != index {
      throw writer.inexpressible(
        "adapter of some experts alone: expert \(index) has none, or two")
    }
    guard let first = stack.layers.first?.change,
      stack.layers.allSatisfy({
        $0.change.a.shape == first.a.shape && $0.change.b.shape == first.b.shape
      })
    else { throw writer.inexpressible("experts of different shapes") }
  }

  /// Throws unless every module has an adapter of each parameter that the configuration names: PEFT
  /// tells them apart by their number.
  func checkWhole(_ stacks: [Stack]) throws(FormatError) {
    for stack in stacks {
      for name in configuration.targetParameters(ofModule: stack.path.module)
      where !stacks.contains(where: {
        $0.path.module == stack.path.module && $0.path.parameter == name
      }) {
        throw PEFTLayerWriter(path: stack.path.key, configuration: configuration, file: file)
          .mismatch("'target_parameters' names '\(name)' of the same module, which has no adapter")
      }
    }
  }

  /// The tensors of all parameters, under PEFT's names.
  func tensors(of stacks: [Stack]) -> [(name: String, tensor: Tensor, type: DType)] {
    var result: [(name: String, tensor: Tensor, type: DType)] = []
    for stack in stacks {
      let parameters = configuration.targetParameters(ofModule: stack.path.module)
      let depth =
        parameters.count - 1 - (parameters.firstIndex(of: stack.path.parameter) ?? 0)
      let prefix =
        PEFTTensorName.prefix + stack.path.module
        + String(repeating: ".base_layer", count: depth)
      let changes = stack.layers.map(\.change)
      result.append(
        ("\(prefix).lora_A.weight", .concatenated(changes.map(\.a)), stack.storedType))
      result.append(
        ("\(prefix).lora_B.weight", .interleavingColumns(changes.map(\.b)), stack.storedType))
    }
    return result
  }
}

extension Tensor {
  /// The columns of float32 matrices of one shape, taking turns.
  fileprivate static func interleavingColumns(_ parts: [Tensor]) -> Tensor {
    let (rows, columns, count) = (parts[0].shape[0], parts[0].shape[1], parts.count)
    var result = [Float](repeating: 0, count: rows * columns * count)
    for (index, part) in parts.enumerated() {
      part.withUnsafeElements(of: Float.self) { source in
        for place in 0..<rows * columns { result[place * count + index] = source[place] }
      }
    }
    return Tensor(result, shape: [rows, columns * count])
  }
}
