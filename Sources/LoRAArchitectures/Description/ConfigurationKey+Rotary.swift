import LoRAFiles
import LoRAJSON

// Rotary embeddings, of all layers or by their type.

extension ConfigurationKey {
  /// The rotary embedding: `rope_theta`, `rope_scaling`, `rope_parameters`. An architecture without
  /// this key has none.
  ///
  /// - Parameters:
  ///   - base: the base of the frequencies where files do not say it.
  ///   - baseKey: its key in older files.
  ///   - fraction: the part of each head that is rotated where files do not say it; nil for an
  ///     architecture that always rotates whole heads.
  ///   - fractionKey: its key in older files.
  public static func rotary(
    base: Double = 10_000, or baseKey: String? = nil, fraction: Double? = nil,
    fractionKey: String? = nil
  ) -> ConfigurationKey {
    rotary(
      RotaryConfiguration.Rule(
        base: base, baseKey: baseKey, fraction: fraction, fractionKey: fractionKey))
  }

  /// The same with queries that are scaled by their position.
  ///
  /// - Parameter absent: what a file means that says nothing of it.
  static func rotaryWithQueryScaling(
    absent: RotaryConfiguration
  ) -> ConfigurationKey {
    rotary(RotaryConfiguration.Rule(scalesQueries: true, absent: absent))
  }

  /// The same by a rule of the architecture's own.
  static func rotary(_ rule: RotaryConfiguration.Rule) -> ConfigurationKey {
    let fraction = rule.fraction
    var key = ConfigurationKey(
      name: "rope_parameters",
      read: { (configuration, fields) throws(FormatError) in
        configuration.rotary = try RotaryConfiguration(
          fields, rule, maximumPositions: configuration.maximumPositions)
      }, write: { $0.rotary.json })
    key.field = \ModelConfiguration.rotary
    key.gguf = "rope.freq_base"
    if let fraction {
      key.setDefault = { if $0.rotary.fraction == 1 { $0.rotary.fraction = fraction } }
    }
    if rule.scalesQueries {
      key.otherGGUF = [GGUFModelKeys.queryScaling, GGUFModelKeys.yarnWeight]
    }
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      configuration.rotary = try keys.rotary(
        headSize: configuration.headSize, rule, maximumPositions: configuration.maximumPositions)
    }
    key.writeGGUF = { $1.set(rotary: $0.rotary, headSize: $0.headSize) }
    return key
  }

  /// The rotary embedding of all layers, and another one of those with a window: `rope_parameters` by the
  /// types of layers (transformers 5), or `rope_theta` and a key for the base of the others (4). `absent`
  /// is that of all layers in a file that says nothing of it, if it is not that of the base alone.
  public static func rotary(
    base: Double, or baseKey: String? = nil, windowBase: Double, windowBaseKey: String,
    absent: RotaryConfiguration? = nil
  ) -> ConfigurationKey {
    let rule = RotaryConfiguration.Rule(base: base, baseKey: baseKey, absent: absent)
    var key = ConfigurationKey(
      name: "rope_parameters",
      read: { (configuration, fields) throws(FormatError) in
        let all = try RotaryConfiguration.byLayerType(
          fields, rule, maximumPositions: configuration.maximumPositions)
        configuration.rotary = all.first { $0.key == "full_attention" }?.value ?? all[0].value
        let former = RotaryConfiguration(base: try fields.positive(windowBaseKey) ?? windowBase)
        configuration.windowRotary = all.first { $0.key == "sliding_attention" }?.value ?? former
      },
      write: { configuration in
        [
          "full_attention": configuration.rotary.json,
          "sliding_attention": (configuration.windowRotary ?? configuration.rotary).json,
        ]
      })
    key.field = \ModelConfiguration.rotary
    key.gguf = "rope.freq_base"
    key.setDefault = { $0.windowRotary = RotaryConfiguration(base: windowBase) }
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      configuration.rotary = try keys.rotary(headSize: configuration.headSize)
      configuration.windowRotary = RotaryConfiguration(base: windowBase)
    }
    key.writeGGUF = { $1.set(rotary: $0.rotary, headSize: $0.headSize) }
    return key
  }

  /// The base of the rotary embedding of layers with a window as newer GGUF files have it: follows
  /// ``rotary(base:windowBase:windowBaseKey:)``, which it is part of in `config.json`.
  static var windowRotaryBase: ConfigurationKey {
    let name = "rope.freq_base_swa"
    var key = ConfigurationKey(
      name: "rope_local_base_freq", read: { (_, _) throws(FormatError) in }, write: { _ in nil })
    key.gguf = name
    key.readGGUF = { (configuration, keys) throws(FormatError) in
      guard try keys.number(name) != nil else { return }
      configuration.windowRotary?.base = try keys.positive(name)
    }
    key.writeGGUF = { $1.set(name, ($0.windowRotary ?? $0.rotary).base) }
    return key
  }
}
