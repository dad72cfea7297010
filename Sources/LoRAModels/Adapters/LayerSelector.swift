/// Which linear layers an adapter is injected into.
public struct LayerSelector: Sendable, CustomStringConvertible {
  /// Whether the layer at `path` is selected; `isOutputHead` says whether it makes the logits.
  let selects: @Sendable (_ path: String, _ isOutputHead: Bool) -> Bool
  /// The choice as errors name it.
  public let description: String

  /// Every linear layer but the output head, as PEFT's `all-linear`.
  public static let allLinear = LayerSelector(description: "all-linear") { !$1 }

  /// The layers whose path is one of `names`, or ends with one after a dot, as PEFT's list of
  /// target modules: `"q_proj"` selects `model.layers.0.self_attn.q_proj`.
  public static func names(_ names: [String]) -> LayerSelector {
    let description = "[" + names.map { "'\($0)'" }.joined(separator: ", ") + "]"
    return LayerSelector(description: description) { path, _ in
      names.contains { path == $0 || path.hasSuffix(".\($0)") }
    }
  }

  /// The layers whose path `predicate` accepts; `description` names the choice in errors.
  public static func matching(
    _ description: String, _ predicate: @escaping @Sendable (_ path: String) -> Bool
  ) -> LayerSelector {
    LayerSelector(description: description) { path, _ in predicate(path) }
  }

  /// This choice without the layers that `other` selects.
  public func excluding(_ other: LayerSelector) -> LayerSelector {
    let selects = selects
    return LayerSelector(description: "\(self) without \(other)") {
      selects($0, $1) && !other.selects($0, $1)
    }
  }

  init(
    description: String, selects: @escaping @Sendable (_ path: String, _ isOutputHead: Bool) -> Bool
  ) {
    self.description = description
    self.selects = selects
  }
}

extension LayerSelector: ExpressibleByArrayLiteral {
  /// The layers of these names; see ``names(_:)``.
  public init(arrayLiteral elements: String...) { self = .names(elements) }
}
