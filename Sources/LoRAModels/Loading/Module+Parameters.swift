import LoRAArchitectures
import LoRAFormats
import LoRATensor

// Experts and routers: layers in checkpoints and here, parameters in transformers 5, where PEFT adapts
// them as such (`target_parameters`), and by plain LoRA alone.

extension Module {
  /// The modules of the model's architecture; empty of a model that has none.
  var namedModules: [TensorName] {
    (self as? any PretrainedTokenModel)?.configuration.architecture.tensors ?? []
  }

  /// `modules` as far as `method` can adapt them in files that PEFT loads. Layers of experts and routers
  /// are left out if `isAll`, with a note for the report; if not, what can't be is an error.
  func adaptable(
    _ modules: [(path: String, module: any AdaptableModule)], by method: any AdapterMethod,
    isAll: Bool
  ) throws(AdapterError) -> (
    modules: [(path: String, module: any AdaptableModule)], note: String?
  ) {
    let names = namedModules
    guard names.contains(where: { $0.kind == .router }) else { return (modules, nil) }
    let obstacle: String?
    if let method = method as? any ParameterAdapterMethod {
      obstacle = method.obstacleForParameters
    } else {
      obstacle = "another method than LoRA"
    }
    var result: [(path: String, module: any AdaptableModule)] = []
    var left = 0
    for item in modules {
      let kind = names.kind(ofModelPath: item.path)
      let isOfExperts = names.isOfExperts(item.path)
      // PEFT takes the names of one network's layers for those of experts.
      if isAll, kind == .projection, names.isOfNetwork(item.path) {
        left += 1
      } else if let obstacle, isOfExperts {
        guard isAll else {
          throw .unsupported(
            layer: item.path,
            reason:
              "PEFT adapts routers and experts by plain LoRA alone, not with \(obstacle); name "
              + "other layers")
        }
        left += 1
      } else {
        result.append(item)
      }
    }
    let reason = obstacle.map { "routers and experts by \($0)" } ?? "the layers of single networks"
    return (
      result,
      left == 0
        ? nil : "\(left) layers of a mixture of experts are left out: PEFT does not adapt \(reason)"
    )
  }

  /// What `configuration` calls the layer at `path`, if it targets it: a parameter's path, or the layer's
  /// own; nil if it does not.
  func configuredPath(
    _ path: String, _ module: any AdaptableModule, _ configuration: PEFTAdapterConfiguration,
    _ names: [TensorName]
  ) -> String? {
    if let parameter = names.adapterPath(ofModelPath: path), configuration.matches(path: parameter)
    {
      return parameter
    }
    if module is PairedLinear { return nil }
    return configuration.matches(path: path) ? path : nil
  }
}

extension [TensorName] {
  /// Whether the layer at `path` belongs to the one network of a block without experts.
  fileprivate func isOfNetwork(_ path: String) -> Bool {
    first { TensorName.numbers(in: path, of: $0.path) != nil }
      .map { ["ffn_gate", "ffn_up", "ffn_down"].contains($0.role) } ?? false
  }
}
