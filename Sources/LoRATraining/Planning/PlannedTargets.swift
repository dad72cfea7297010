import LoRAModels

/// Layers of a model that an adapter may be put on, under the name that they go by.
public struct PlannedTargets: Sendable, Hashable {
  /// What they are: "all-linear", "attention", "feed-forward", "queries and values".
  public let name: String
  /// What `lora train --targets` takes, and PEFT's `target_modules`: "all-linear", or the ends of paths as
  /// "q_proj,v_proj".
  public let option: String
  /// The paths of the layers, with the numbers that enter and leave each.
  let layers: [String: Int]

  /// The choices that a model offers, all linear layers first. Without the head of a language model. Those of
  /// an architecture that does not know the roles of its layers are all linear layers alone.
  static func all(of model: any Module) -> [PlannedTargets] {
    let head = (model as? any LanguageModel)?.outputHead
    var sizes: [String: Int] = [:]
    for (path, layer) in model.linearLayers() where layer !== head && !layer.parameters.isEmpty {
      sizes[path] = layer.inputSize + layer.outputSize
    }
    let stacks = ["", "cross_"]
    func roles(_ names: String...) -> [String] {
      stacks.flatMap { stack in names.map { stack + $0 } }
    }
    let kinds: [(String, [String])] = [
      ("attention", roles("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output")),
      ("feed-forward", ["ffn_up", "ffn_gate", "ffn_down"]),
      ("queries and values", roles("attn_q", "attn_v")),
    ]
    var result = [PlannedTargets(name: "all-linear", option: "all-linear", layers: sizes)]
    for (name, roles) in kinds {
      let ends = model.layerNames(ofRoles: roles)
      let layers = sizes.filter { path, _ in ends.contains { ".\(path)".hasSuffix(".\($0)") } }
      guard !layers.isEmpty, layers.count < sizes.count,
        !result.contains(where: { $0.layers == layers })
      else { continue }
      result.append(
        PlannedTargets(name: name, option: ends.joined(separator: ","), layers: layers))
    }
    return result
  }
}
