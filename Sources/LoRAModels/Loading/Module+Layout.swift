import LoRAArchitectures
package import LoRAFormats

extension Module {
  /// What this model consists of, as an adapter's file is compared with it.
  package var layout: ModelLayout {
    let head = outputHead
    let names = namedModules
    return ModelLayout(
      modules: modules().map { path, module in
        let kind: ModelLayout.Kind =
          if let layer = module as? any LinearLayer {
            layer === head ? .head : names.isOfExperts(path) ? .expert : .linear
          } else if module is Embedding {
            .embedding
          } else {
            .other
          }
        return ModelLayout.Module(
          path: path, kind: kind, parameters: module.parameters.map(\.name))
      },
      modelType: (self as? any PretrainedTokenModel)?.configuration.architecture.modelType)
  }
}
