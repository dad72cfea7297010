import LoRAJSON

/// The rotary position embedding that a model was trained with.
public struct RotaryConfiguration: Sendable, Hashable {
  /// How the frequencies differ from base^(-2i/d).
  public enum Scaling: Sendable, Hashable {
    /// They don't.
    case none
    /// All are divided by the factor.
    case linear(factor: Double)
    /// Llama 3.1's: low frequencies are divided by `factor`, high ones kept, those between blended
    /// smoothly; the borders are `originalMaximumPositions` divided by the two frequency factors,
    /// as wavelengths in positions.
    case llama3(
      factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double,
      originalMaximumPositions: Int)
  }

  /// The base of the frequencies, `rope_theta`.
  public var base: Double
  /// How the frequencies are scaled.
  public var scaling: Scaling

  /// Creates a configuration from its parts.
  public init(base: Double = 10_000, scaling: Scaling = .none) {
    self.base = base
    self.scaling = scaling
  }
}

extension RotaryConfiguration {
  /// The kinds that can be computed, for errors that name another one.
  static let supported = "'default', 'linear' and 'llama3'"

  /// Reads `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` (5), which may
  /// hold one object per type of layer.
  init(_ fields: JSONFields, maximumPositions: Int) throws(FormatError) {
    let topBase = try fields.positive("rope_theta") ?? 10_000
    try Self.refusePartial(fields)
    // An empty object counts as absent.
    var parameters = try fields.object("rope_scaling")
    if parameters?.object.isEmpty ?? true { parameters = try fields.object("rope_parameters") }
    guard let parameters, !parameters.object.isEmpty else {
      self.init(base: topBase)
      return
    }
    let perLayerType = parameters.object.keys.filter { key in
      key.hasSuffix("_attention") || parameters.object[key]?.objectValue != nil
    }
    if perLayerType.isEmpty {
      self = try Self.parse(parameters, fields, topBase, maximumPositions)
      return
    }
    var shared: (key: String, value: RotaryConfiguration)?
    for key in perLayerType {
      guard let inner = try parameters.object(key) else { continue }
      let value = try Self.parse(inner, fields, topBase, maximumPositions)
      if let first = shared, first.value != value {
        throw parameters.error(
          .unsupported, key, "it differs from '\(first.key)'",
          "only one rotary embedding for all layers is supported")
      }
      shared = (key, value)
    }
    self = shared?.value ?? RotaryConfiguration(base: topBase)
  }

  private static func refusePartial(_ fields: JSONFields) throws(FormatError) {
    if let partial = try fields.double("partial_rotary_factor"), partial != 1 {
      throw fields.error(
        .unsupported, "partial_rotary_factor", "\(partial): rotating a part of each head",
        "only 1 is supported")
    }
  }

  private static func parse(
    _ parameters: JSONFields, _ top: JSONFields, _ topBase: Double, _ maximumPositions: Int
  ) throws(FormatError) -> RotaryConfiguration {
    try refusePartial(parameters)
    let base = try parameters.positive("rope_theta") ?? topBase
    let key = parameters["rope_type"] != nil ? "rope_type" : "type"
    let kind = try parameters.string(key) ?? "default"
    func required(_ key: String) throws(FormatError) -> Double {
      guard let value = try parameters.positive(key) else {
        throw parameters.error(.missingKey, key, "rotary scaling '\(kind)' needs it")
      }
      return value
    }
    switch kind {
    case "default":
      return RotaryConfiguration(base: base)
    case "linear":
      return RotaryConfiguration(base: base, scaling: .linear(factor: try required("factor")))
    case "llama3":
      let low = try required("low_freq_factor")
      let high = try required("high_freq_factor")
      guard high > low else {
        throw parameters.error(
          .invalidValue, "high_freq_factor", "\(high) must be above 'low_freq_factor', \(low)")
      }
      let key = "original_max_position_embeddings"
      let (outer, inner) = (try top.size(key), try parameters.size(key))
      return RotaryConfiguration(
        base: base,
        scaling: .llama3(
          factor: try required("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
          originalMaximumPositions: outer ?? inner ?? maximumPositions))
    default:
      throw parameters.error(
        .unsupported, key, "rotary scaling '\(kind)' is not supported",
        "supported are \(supported)")
    }
  }

  /// As transformers 5 writes it.
  var json: JSONValue {
    var object: JSONObject = ["rope_theta": .number(base)]
    switch scaling {
    case .none: object["rope_type"] = "default"
    case .linear(let factor):
      object["factor"] = .number(factor)
      object["rope_type"] = "linear"
    case .llama3(let factor, let low, let high, let original):
      object["factor"] = .number(factor)
      object["high_freq_factor"] = .number(high)
      object["low_freq_factor"] = .number(low)
      object["original_max_position_embeddings"] = .integer(Int64(original))
      object["rope_type"] = "llama3"
    }
    return .object(object)
  }
}
