/// Which linear layers an adapter is injected into.
public struct LayerSelector: Sendable, CustomStringConvertible {
  /// Whether the layer at `path` is selected; `isOutputHead` says whether it makes the logits.
  let selects: @Sendable (_ path: String, _ isOutputHead: Bool) -> Bool
  /// Whether embeddings are candidates beside linear layers.
  let includesEmbeddings: Bool
  /// Whether what transformers holds as a parameter of all experts is a candidate, beside the layers
  /// that checkpoints have it as.
  let includesPairs: Bool
  /// Whether all linear layers are meant, as far as PEFT adapts them.
  let isAllLinear: Bool
  /// The choice as errors name it.
  public let description: String

  /// Every linear layer but the output head, as PEFT's `all-linear`.
  public static let allLinear = LayerSelector(description: "all-linear", isAllLinear: true) { !$1 }

  /// The layers whose path is one of `names`, or ends with one after a dot, as PEFT's list of
  /// target modules: `"q_proj"` selects `model.layers.0.self_attn.q_proj`. May name embeddings.
  public static func names(_ names: [String]) -> LayerSelector {
    let description = "[" + names.map { "'\($0)'" }.joined(separator: ", ") + "]"
    return LayerSelector(description: description, includesEmbeddings: true) { path, _ in
      names.contains { path == $0 || path.hasSuffix(".\($0)") }
    }
  }

  /// The linear layers whose path `predicate` accepts; `description` names the choice in errors.
  public static func matching(
    _ description: String, _ predicate: @escaping @Sendable (_ path: String) -> Bool
  ) -> LayerSelector {
    LayerSelector(description: description) { path, _ in predicate(path) }
  }

  /// This choice without the layers that `other` selects.
  public func excluding(_ other: LayerSelector) -> LayerSelector {
    let selects = selects
    return LayerSelector(
      description: "\(self) without \(other)", includesEmbeddings: includesEmbeddings,
      includesPairs: includesPairs, isAllLinear: isAllLinear
    ) {
      selects($0, $1) && !other.selects($0, $1)
    }
  }

  init(
    description: String, includesEmbeddings: Bool = false, includesPairs: Bool = false,
    isAllLinear: Bool = false,
    selects: @escaping @Sendable (_ path: String, _ isOutputHead: Bool) -> Bool
  ) {
    self.description = description
    self.includesEmbeddings = includesEmbeddings
    self.includesPairs = includesPairs
    self.isAllLinear = isAllLinear
    self.selects = selects
  }
}

extension Module {
  /// The linear layers that `selector` selects, and the embeddings if it may name them.
  func modules(
    selectedBy selector: LayerSelector
  ) -> [(path: String, module: any AdaptableModule)] {
    let head = outputHead
    return adaptableModules().filter { path, module in
      if let layer = module as? any LinearLayer {
        if layer is PairedLinear, !selector.includesPairs { return false }
        return selector.selects(path, head.map { $0 === layer } ?? false)
      }
      return module is Embedding && selector.includesEmbeddings && selector.selects(path, false)
    }
  }
}

extension LayerSelector: ExpressibleByArrayLiteral {
  /// The layers of these names; see ``names(_:)``.
  public init(arrayLiteral elements: String...) { self = .names(elements) }
}
