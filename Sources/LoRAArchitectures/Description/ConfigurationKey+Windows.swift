import LoRAFiles
import LoRAJSON

// How many positions each layer sees.

extension ConfigurationKey {
  /// One window for all layers; null: none. GGUF files say it (Phi-3).
  static func windowInGGUF(_ name: String, default fallback: Int?) -> ConfigurationKey {
    var key = window(name, default: fallback)
    // llama.cpp reads 0 as none.
    key.writeGGUF = {
      $1.set("attention.sliding_window", whole: $0.slidingWindows.first.flatMap { $0 } ?? 0)
    }
    return key
  }

  /// One window for all layers; null: none.
  public static func window(_ name: String, default fallback: Int?) -> ConfigurationKey {
    var key = ConfigurationKey(
      name: name,
      read: { (configuration, fields) throws(FormatError) in
        let window = fields.object[name] == nil ? fallback : try fields.size(name)
        configuration.slidingWindows = Array(repeating: window, count: configuration.layerCount)
      }, write: { json(tokenIDs: $0.slidingWindows.first.flatMap { $0 }.map { [$0] } ?? []) })
    key.field = \ModelConfiguration.slidingWindows
    key.gguf = "attention.sliding_window"
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      let window = try keys.window("attention.sliding_window")
      configuration.slidingWindows = Array(repeating: window, count: configuration.layerCount)
    }
    return key
  }

  /// Qwen's windows: `use_sliding_window` switches `sliding_window` on for the layers that
  /// `layer_types` says, or else for those from `max_window_layers` on.
  public static var windowsByLayerType: [ConfigurationKey] {
    func written(_ name: String, _ value: @escaping @Sendable (ModelConfiguration) -> JSONValue)
      -> ConfigurationKey
    {
      ConfigurationKey(name: name, read: { (_, _) throws(FormatError) in }, write: value)
    }
    var windows = ConfigurationKey(
      name: "sliding_window",
      read: { (configuration, fields) throws(FormatError) in
        let isUsed = try fields.bool("use_sliding_window") ?? false
        let window =
          !isUsed
          ? nil
          : fields.object["sliding_window"] == nil ? 4096 : try fields.size("sliding_window")
        let first = try fields.int("max_window_layers") ?? 28
        configuration.slidingWindows =
          try configuration.windowsByLayerType(fields, window: window)
          ?? (0..<configuration.layerCount).map { $0 >= first ? window : nil }
      },
      write: { json(tokenIDs: $0.slidingWindows.compactMap { $0 }.first.map { [$0] } ?? []) })
    windows.field = \ModelConfiguration.slidingWindows
    return [
      windows,
      written("use_sliding_window") { .bool($0.slidingWindows.contains { $0 != nil }) },
      written("max_window_layers") {
        .integer(Int64($0.slidingWindows.firstIndex { $0 != nil } ?? $0.layerCount))
      },
      layerTypes,
    ]
  }

  /// A window for single layers: those that `layer_types` says, or else those that `isSliding` does.
  public static func windows(
    default fallback: Int, _ isSliding: @escaping @Sendable (_ layer: Int) -> Bool
  ) -> [ConfigurationKey] {
    windows(default: fallback, writesPattern: false, isSliding)
  }

  /// The same; `writesPattern`: whether GGUF files always say which layers these are.
  static func windows(
    default fallback: Int, writesPattern: Bool,
    _ isSliding: @escaping @Sendable (_ layer: Int) -> Bool
  ) -> [ConfigurationKey] {
    var windows = ConfigurationKey(
      name: "sliding_window",
      read: { (configuration, fields) throws(FormatError) in
        let window =
          fields.object["sliding_window"] == nil ? fallback : try fields.size("sliding_window")
        configuration.slidingWindows =
          try configuration.windowsByLayerType(fields, window: window)
          ?? (0..<configuration.layerCount).map { isSliding($0) ? window : nil }
      },
      write: { json(tokenIDs: $0.slidingWindows.compactMap { $0 }.first.map { [$0] } ?? []) })
    windows.field = \ModelConfiguration.slidingWindows
    windows.gguf = "attention.sliding_window"
    let pattern = "attention.sliding_window_pattern"
    windows.otherGGUF = [pattern]
    windows.readGGUF = { (configuration, keys) throws(FormatError) in
      let window = try keys.optionalSize("attention.sliding_window") ?? fallback
      let layers = 0..<configuration.layerCount
      let sliding = try keys.layerFlags(pattern, count: layers.count) ?? layers.map(isSliding)
      configuration.slidingWindows = sliding.map { $0 ? window : nil }
    }
    windows.writeGGUF = { configuration, values in
      let windows = configuration.slidingWindows
      values.set("attention.sliding_window", windows.compactMap { $0 }.first ?? fallback)
      let sliding = windows.map { $0 != nil }
      // llama.cpp knows the rule of each architecture.
      let isUsual = sliding == sliding.indices.map(isSliding)
      if writesPattern || !isUsual { values.set(pattern, sliding) }
    }
    return [windows, layerTypes]
  }

  /// An encoder's windows (ModernBERT): `local_attention` positions round each, for the layers that
  /// `layer_types` says, or else for those whose number `global_attn_every_n_layers` does not divide.
  static var windowsAround: [ConfigurationKey] {
    let every = "global_attn_every_n_layers"
    var windows = ConfigurationKey(
      name: "local_attention",
      read: { (configuration, fields) throws(FormatError) in
        let window = try fields.size("local_attention", default: 128) / 2 + 1
        let period = try fields.size(every, default: 3)
        configuration.slidingWindows =
          try configuration.windowsByLayerType(fields, window: window)
          ?? (0..<configuration.layerCount).map { $0 % period == 0 ? nil : window }
      },
      write: { .integer(Int64(2 * (($0.slidingWindows.compactMap { $0 }.first ?? 65) - 1))) })
    windows.field = \ModelConfiguration.slidingWindows
    return [windows, layerTypes]
  }

  /// What is written of the windows beside `sliding_window`.
  private static let layerTypes = ConfigurationKey(
    name: "layer_types", read: { (_, _) throws(FormatError) in },
    write: {
      .array($0.slidingWindows.map { $0 == nil ? "full_attention" : "sliding_attention" })
    })
}

extension ModelConfiguration {
  /// The windows that `layer_types` gives the layers; nil if the file does not have it.
  fileprivate func windowsByLayerType(
    _ fields: JSONFields, window: Int?
  ) throws(FormatError) -> [Int?]? {
    guard let types = try fields.strings("layer_types") else { return nil }
    guard types.count == layerCount else {
      throw fields.error(
        .invalidValue, "layer_types", "\(types.count) types for \(layerCount) layers")
    }
    var result = [Int?](repeating: nil, count: layerCount)
    for (layer, type) in types.enumerated() {
      switch type {
      case "full_attention": break
      case "sliding_attention":
        guard let window else {
          throw fields.error(
            .missingKey, "sliding_window",
            "layer \(layer) has the type 'sliding_attention', and no window is in use")
        }
        result[layer] = window
      default:
        throw fields.error(
          .unsupported, "layer_types", "the type '\(type)' of layer \(layer) is not supported",
          "supported are 'full_attention' and 'sliding_attention'")
      }
    }
    return result
  }
}
