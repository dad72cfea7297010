import LoRAFiles
import LoRAJSON

// What single layers have of their own: the sizes of their heads, the keys of other layers.

extension ConfigurationKey {
  /// A number from 0 on; null is 0.
  static func whole(_ name: String, default fallback: Int) -> ConfigurationKey {
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
    let (name, headKey, keysKey) = ("per_layer_config", "head_dim", "num_key_value_heads")
    return ConfigurationKey(
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
        for layer in layers {
          guard sizes[layer] % 2 == 0, sizes[layer] <= 1 << 20 else {
            throw fields.error(
              .invalidValue, name, "heads of \(sizes[layer]) in layer \(layer), which must be even")
          }
          guard configuration.headCount % keys[layer] == 0 else {
            throw fields.error(
              .invalidValue, name,
              "\(keys[layer]) key heads in layer \(layer) do not divide the "
                + "\(configuration.headCount) query heads")
          }
        }
        let isUniform =
          sizes.allSatisfy { $0 == configuration.headSize }
          && keys.allSatisfy { $0 == configuration.keyValueHeadCount }
        // Nothing, as in a configuration that is made in code.
        if isUniform { return }
        configuration[numbers: headKey] = sizes.map { Double($0) }
        configuration[numbers: keysKey] = keys.map { Double($0) }
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
  }
}

extension ModelConfiguration {
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
