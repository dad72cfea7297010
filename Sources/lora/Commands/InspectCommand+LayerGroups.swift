import LoRAFormats
import LoRAJSON
import LoRAKit

/// The layers of an adapter that are alike but for the block that they are in, as people name them:
/// `q_proj, v_proj in 24 blocks: LoRA of rank 16, scale 2`.
struct LayerGroup {
  /// What is the same in all layers of a group.
  private struct Recipe: Hashable {
    var method: String
    var rank: Int?
    var scale: Double
    /// How many blocks have such a layer, and the first and last of them.
    var blocks: Int
    var range: ClosedRange<Int>?
  }

  /// The last parts of the layers' paths, in the order of the adapter.
  private(set) var names: [String]
  private let recipe: Recipe

  /// The groups of `layers`, in their order.
  static func groups(of layers: [AdapterDescription.Layer]) -> [LayerGroup] {
    // First the layers of one name, method, rank and scale; then the names that share all of it.
    var order: [String] = []
    var recipes: [String: (name: String, recipe: Recipe)] = [:]
    for layer in layers {
      let parts = layer.path.split(separator: ".")
      let block = parts.lazy.compactMap { Int($0) }.first
      // What stands before a block's number, as `down_blocks`, tells layers of one name apart.
      let place = parts.map { Int($0) == nil ? String($0) : "*" }.joined(separator: ".")
      let (method, rank) = (layer.change.methodName, layer.change.measured.rankAndAlpha?.rank)
      let key = "\(place) \(method) \(rank ?? 0) \(layer.change.measured.scale)"
      if recipes[key] == nil { order.append(key) }
      var found =
        recipes[key]
        ?? (
          // A block's own adapter needs no name beside "in 2 blocks".
          layer.change.measured.site == .block ? "networks" : String(parts.last ?? ""),
          Recipe(method: method, rank: rank, scale: layer.change.measured.scale, blocks: 0)
        )
      found.recipe.blocks += 1
      if let block {
        let old = found.recipe.range ?? block...block
        found.recipe.range = min(old.lowerBound, block)...max(old.upperBound, block)
      }
      recipes[key] = found
    }
    var groups: [LayerGroup] = []
    var positions: [Recipe: Int] = [:]
    for case let (name, recipe)? in order.map({ recipes[$0] }) {
      if let position = positions[recipe] {
        if !groups[position].names.contains(name) { groups[position].names.append(name) }
      } else {
        positions[recipe] = groups.count
        groups.append(LayerGroup(names: [name], recipe: recipe))
      }
    }
    return groups
  }

  /// The group in a line.
  var text: String {
    let shown = names.prefix(12).map { $0.isEmpty ? "the model" : $0 }.joined(separator: ", ")
    let others = names.count > 12 ? " and \(names.count - 12) more" : ""
    let place: String
    switch recipe.range {
    case let range? where recipe.blocks == 1: place = " in block \(range.lowerBound)"
    case let range? where recipe.blocks <= range.count:
      place = " in \(counted(recipe.blocks, "block")) (\(range.lowerBound) to \(range.upperBound))"
    // Blocks within blocks, as an image model has them.
    case _?: place = " in \(counted(recipe.blocks, "layer")) each"
    case nil: place = ""
    }
    let rank = recipe.rank.map { " of rank \($0)" } ?? ""
    return "\(shown)\(others)\(place): \(recipe.method)\(rank), scale \(Self.short(recipe.scale))"
  }

  var json: JSONObject {
    [
      "names": JSONValue(names), "blocks": JSONValue(recipe.blocks),
      "method": .string(recipe.method.lowercased()),
      "rank": recipe.rank.map { JSONValue($0) } ?? .null, "scale": .number(recipe.scale),
    ]
  }

  /// A scale without the zeros that say nothing.
  private static func short(_ scale: Double) -> String {
    let whole = Int(exactly: scale)
    let isInRange = abs(scale) >= Double(Float.leastNormalMagnitude)
    return whole.map { "\($0)" } ?? (isInRange ? "\(Float(scale))" : "\(scale)")
  }
}
