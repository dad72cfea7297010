import LoRAFiles
import LoRAJSON
import LoRATensor

// What single layers have of their own: the sizes of their heads, the keys of other layers.

extension ConfigurationKey {
  /// A number from 0 on; null is 0.
  ///
  /// - Parameters:
  ///   - name: its key.
  ///   - gguf: its key in GGUF files, of which an absent one is 0.
  ///   - tensor: in a GGUF file, how many rows this tensor has; 0 where there is none.
  ///   - fallback: what an absent key means.
  static func whole(
    _ name: String, gguf: String? = nil, rowsInGGUF tensor: String? = nil, default fallback: Int
  ) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let absent = fields.object[name] == nil ? fallback : 0
        let value = try fields.int(name) ?? absent
        guard (0...1 << 28).contains(value) else {
          throw fields.error(.invalidValue, name, "expected a number from 0 on, found \(value)")
        }
        configuration[number: name] = Double(value)
      }, write: { .integer(Int64($0[number: name] ?? 0)) })
    key.setDefault = { $0[number: name] = Double(fallback) }
    key.gguf = gguf
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      var value = try gguf.map { (key) throws(FormatError) in try keys.whole(key) } ?? nil
      if let tensor { value = keys.file.entry(named: tensor)?.shape.dimensions.first }
      configuration[number: name] = Double(value ?? 0)
    }
    if let gguf { key.writeGGUF = { $1.set(gguf, Int($0[number: name] ?? 0)) } }
    return key
  }

  /// Whether the layers that read others' keys have networks twice as wide; in GGUF files each layer's
  /// width says it. Follows the number of those layers, `shared`.
  static func doubleWidth(_ name: String, shared: String) -> ConfigurationKey {
    var key = flag(name, default: false)
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let (count, width) = (configuration.layerCount, configuration.intermediateSize)
      let first = count - Int(configuration[number: shared] ?? 0)
      let widths = try keys.layerSizes("feed_forward_length", count: count) ?? []
      let isWide = widths.last == 2 * width
      guard
        widths.enumerated().allSatisfy({ $1 == (isWide && $0 >= first ? 2 * width : width) })
      else {
        throw keys.error(
          .unsupported, "feed_forward_length",
          "networks of \(widths.prefix(8)): other than all of one size, or twice that in the layers "
            + "that read the keys of others")
      }
      configuration[flag: name] = isWide
    }
    key.writeGGUF = { configuration, values in
      guard configuration[flag: name] else { return }
      let first = configuration.layerCount - Int(configuration[number: shared] ?? 0)
      let width = configuration.intermediateSize
      values.set(
        "feed_forward_length",
        (0..<configuration.layerCount).map { $0 >= first ? 2 * width : width })
    }
    return key
  }

  /// Whether values are keys in layers without a window; GGUF files have no layer of values there. Follows
  /// the number of layers that read others' keys, `shared`, whose own do not count.
  static func keysAsValues(_ name: String, shared: String) -> ConfigurationKey {
    var key = flag(name, default: false)
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let first = configuration.layerCount - Int(configuration[number: shared] ?? 0)
      configuration[flag: name] = (0..<max(first, 0)).contains { layer in
        configuration.slidingWindows[layer] == nil
          && keys.file.entry(named: "blk.\(layer).attn_k.weight") != nil
          && keys.file.entry(named: "blk.\(layer).attn_v.weight") == nil
      }
    }
    return key
  }

  /// An option that nothing here computes, which a word switches on.
  static func refusedWord(
    _ name: String, _ word: String, _ problem: String, remedy: String
  ) -> ConfigurationKey {
    ConfigurationKey(
      name: name,
      read: { (_, fields) throws(FormatError) in
        guard try fields.string(name) == word else { return }
        throw fields.error(.unsupported, name, "'\(word)': \(problem)", remedy)
      }, write: { _ in nil })
  }

  /// The last layer has no window, whatever `layer_types` says.
  static let lastLayerWithoutWindow = ConfigurationKey(
    name: "layer_types",
    read: { (configuration, _) throws(FormatError) in
      if !configuration.slidingWindows.isEmpty {
        configuration.slidingWindows[configuration.layerCount - 1] = nil
      }
    }, write: { _ in nil })

  /// The sizes of heads and the numbers of key heads of single layers: `per_layer_config`, or in older
  /// files those of layers without a window, `global_head_dim` and `num_global_key_value_heads`.
  ///
  /// Follows the windows and the heads of the others, and `sharing`, which the latter needs to be on.
  static func headsByLayer(globalHeadSize: Int, sharing: String) -> ConfigurationKey {
    let (name, headKey, keysKey) = (headsByLayer, "head_dim", "num_key_value_heads")
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let layers = 0..<configuration.layerCount
        var sizes = layers.map { _ in configuration.headSize }
        var keys = layers.map { _ in configuration.keyValueHeadCount }
        if let all = try fields.object(name) {
          for text in all.object.keys {
            guard let layer = Int(text), layers.contains(layer), let one = try all.object(text)
            else {
              throw all.error(
                .invalidValue, text, "expected a layer, 0 to \(layers.count - 1), with an object")
            }
            if let other = one.object.keys.first(where: { $0 != headKey && $0 != keysKey }) {
              throw one.error(
                .unsupported, other, "it is another one in layer \(layer)",
                "supported for single layers are '\(headKey)' and '\(keysKey)'")
            }
            sizes[layer] = try one.size(headKey) ?? sizes[layer]
            keys[layer] = try one.size(keysKey) ?? keys[layer]
          }
        } else {
          let size = try fields.size("global_head_dim", default: globalHeadSize)
          let count =
            configuration[flag: sharing] ? try fields.size("num_global_key_value_heads") : nil
          for layer in layers where configuration.slidingWindows[layer] == nil {
            sizes[layer] = size
            keys[layer] = count ?? keys[layer]
          }
        }
        if let problem = configuration.setHeads(sizes: sizes, keys: keys) {
          throw fields.error(.invalidValue, name, problem)
        }
      },
      write: { configuration in
        var result: JSONObject = [:]
        for layer in 0..<configuration.layerCount {
          let heads = configuration.heads(ofLayer: layer)
          var one: JSONObject = [:]
          if heads.size != configuration.headSize { one[headKey] = .integer(Int64(heads.size)) }
          if heads.keys != configuration.keyValueHeadCount {
            one[keysKey] = .integer(Int64(heads.keys))
          }
          if !one.isEmpty { result["\(layer)"] = .object(one) }
        }
        return .object(result)
      })
    let (length, window) = ("attention.key_length", "attention.key_length_swa")
    let others = ["attention.value_length_swa", "rope.dimension_count_swa"]
    key.otherGGUF = [window] + others
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let size = try keys.optionalSize(window) ?? configuration.headSize
      for other in others where try keys.optionalSize(other) ?? size != size {
        throw keys.error(
          .unsupported, other, "it is not '\(window)', \(size), which alone is supported")
      }
      let sizes = configuration.slidingWindows.map { $0 == nil ? configuration.headSize : size }
      let count = "attention.head_count_kv"
      let heads = try keys.layerSizes(count, count: configuration.layerCount)
      // The layers without windows are the exception.
      let common = configuration.slidingWindows.firstIndex { $0 != nil }
      configuration.headSize = common == nil ? configuration.headSize : size
      if let heads { configuration.keyValueHeadCount = heads[common ?? 0] }
      let all = heads ?? sizes.map { _ in configuration.keyValueHeadCount }
      if let problem = configuration.setHeads(sizes: sizes, keys: all) {
        throw keys.error(.invalidValue, heads == nil ? length : count, problem)
      }
    }
    key.writeGGUF = { configuration, values in
      let layers = (0..<configuration.layerCount).map { configuration.heads(ofLayer: $0) }
      let whole = configuration.slidingWindows.firstIndex { $0 == nil }
      let sliding = configuration.slidingWindows.firstIndex { $0 != nil }
      let size = whole.map { layers[$0].size } ?? configuration.headSize
      values.set(length, size)
      values.set("attention.value_length", size)
      values.set("rope.dimension_count", size)
      let slidingSize = sliding.map { layers[$0].size } ?? size
      for key in [window] + others { values.set(key, slidingSize) }
      values.set("attention.head_count_kv", layers.map(\.keys))
    }
    return key
  }

  fileprivate static let headsByLayer = "per_layer_config"
}

extension Architecture {
  /// Whether layers may differ in their heads, and files may say their sizes layer by layer.
  var layersDiffer: Bool { keys.contains { $0.name == ConfigurationKey.headsByLayer } }
}

extension ModelConfiguration {
  /// Sets the sizes of the layers' heads and the numbers of their key heads; returns what is wrong with
  /// them, if something is.
  fileprivate mutating func setHeads(sizes: [Int], keys: [Int]) -> String? {
    for (layer, (size, count)) in zip(sizes, keys).enumerated() {
      guard size % 2 == 0, size <= 1 << 20 else {
        return "heads of \(size) in layer \(layer), which must be even"
      }
      guard headCount % count == 0 else {
        return "\(count) key heads in layer \(layer) do not divide the \(headCount) query heads"
      }
    }
    // Nothing where all are alike, as in a configuration that is made in code.
    let isUniform =
      sizes.allSatisfy { $0 == headSize } && keys.allSatisfy { $0 == keyValueHeadCount }
    if isUniform { return nil }
    self[numbers: "head_dim"] = sizes.map { Double($0) }
    self[numbers: "num_key_value_heads"] = keys.map { Double($0) }
    return nil
  }

  /// The size of a layer's heads and the number of its key heads.
  func heads(ofLayer layer: Int) -> (size: Int, keys: Int) {
    let (sizes, keys) = (self[numbers: "head_dim"], self[numbers: "num_key_value_heads"])
    guard sizes.indices.contains(layer), keys.indices.contains(layer) else {
      return (headSize, keyValueHeadCount)
    }
    return (Int(sizes[layer]), Int(keys[layer]))
  }

  /// For each layer, the one whose keys and values it reads; nil: its own. The last `count` layers read
  /// those of the last one before them with the same window or none.
  func sharedKeys(_ count: Int, key: String) throws(FormatError) -> [Int?] {
    let first = layerCount - count
    return try (0..<layerCount).map { (layer) throws(FormatError) -> Int? in
      if layer < first { return nil }
      let hasWindow = slidingWindows[layer] != nil
      guard
        let source = (0..<max(first, 0)).last(where: { (slidingWindows[$0] != nil) == hasWindow })
      else {
        throw FormatError(
          .invalidValue, file: "config.json", key: key,
          "\(count) layers read keys of earlier ones, and for layer \(layer), which has "
            + (hasWindow ? "a window" : "no window") + ", no earlier one is of its type")
      }
      return source
    }
  }
}
