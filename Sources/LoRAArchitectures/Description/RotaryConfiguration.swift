import LoRAFiles
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
    /// They don't within the model's positions; beyond these, which are refused, the base would grow.
    case dynamic(factor: Double)
    /// Low frequencies are divided by the factor, high ones kept, with a ramp between (YaRN).
    case yarn(Yarn)
    /// Each is divided by a factor of its own (LongRoPE).
    case longRoPE(LongRoPE)
    /// The frequencies are those of whole heads, of which a part turns, the fastest; the others are 0, so
    /// that pairs are half a head apart all the same. All are divided by the factor (Gemma 4).
    case proportional(factor: Double)
  }

  /// The base of the frequencies, `rope_theta`.
  public var base: Double
  /// How the frequencies are scaled.
  public var scaling: Scaling
  /// The part of each head that is rotated, from its first element on.
  public var fraction: Double
  /// What queries are multiplied by beside, by their position; nil: nothing.
  public var queryScaling: QueryScaling?

  /// Creates a configuration from its parts.
  public init(
    base: Double = 10_000, scaling: Scaling = .none, fraction: Double = 1,
    queryScaling: QueryScaling? = nil
  ) {
    self.base = base
    self.scaling = scaling
    self.fraction = fraction
    self.queryScaling = queryScaling
  }

  /// How many elements of a head are rotated.
  package func rotatedSize(ofHead size: Int) -> Int { Int(Double(size) * sizeFraction) / 2 * 2 }

  /// The part of a head that has frequencies, if some are 0.
  var sizeFraction: Double {
    if case .proportional = scaling { 1 } else { fraction }
  }
}

extension RotaryConfiguration {
  /// What an architecture's files leave out or call otherwise.
  struct Rule: Sendable {
    /// The base of a file that does not say it.
    var base = 10_000.0
    /// Its key beside `rope_theta`.
    var baseKey: String?
    /// The part of a head that is rotated in a file that does not say it; nil for an architecture that
    /// always rotates whole heads.
    var fraction: Double?
    /// Its key beside `partial_rotary_factor`.
    var fractionKey: String?
    /// Whether files say how queries are scaled by their position.
    var scalesQueries = false
    /// What a file without any of this means, if that is not a base alone.
    var absent: RotaryConfiguration?
    /// The scaling of a file that says none, or a base alone.
    var absentScaling = Scaling.none

    /// Whether YaRN's ramp begins and ends at whole frequencies in files that can't say it (GGUF).
    var truncatesYarn: Bool {
      if case .yarn(let yarn) = absentScaling { yarn.truncates } else { true }
    }
  }

  /// Reads `rope_theta` and `rope_scaling` (transformers 4), or `rope_parameters` (5), which may
  /// hold one object per type of layer.
  init(
    _ fields: JSONFields, _ rule: Rule = Rule(), maximumPositions: Int
  ) throws(FormatError) {
    let all = try Self.byLayerType(fields, rule, maximumPositions: maximumPositions)
    for (key, value) in all where value != all[0].value {
      throw fields.error(
        .unsupported, "rope_parameters.\(key)", "it differs from '\(all[0].key)'",
        "only one rotary embedding for all layers is supported")
    }
    self = all[0].value
  }

  /// The same of each type of layer, or of all under an empty key; never empty.
  static func byLayerType(
    _ fields: JSONFields, _ rule: Rule, maximumPositions: Int
  ) throws(FormatError) -> [(key: String, value: RotaryConfiguration)] {
    var top = RotaryConfiguration(base: rule.base, fraction: rule.fraction ?? 1)
    if let key = rule.baseKey, let base = try fields.positive(key) { top.base = base }
    if let base = try fields.positive("rope_theta") { top.base = base }
    if let key = rule.fractionKey, let value = try fraction(fields, key, rule) {
      top.fraction = value
    }
    top.fraction = try fraction(fields, "partial_rotary_factor", rule) ?? top.fraction
    // An empty object counts as absent.
    var parameters = try fields.object("rope_scaling")
    if parameters?.object.isEmpty ?? true { parameters = try fields.object("rope_parameters") }
    guard let parameters, !parameters.object.isEmpty else {
      top.scaling = rule.absentScaling
      return [("", rule.absent ?? top)]
    }
    let types = parameters.object.keys.filter { key in
      key.hasSuffix("_attention") || parameters.object[key]?.objectValue != nil
    }
    var result: [(key: String, value: RotaryConfiguration)] = []
    for key in types {
      guard let inner = try parameters.object(key) else { continue }
      result.append((key, try parse(inner, fields, top, rule, maximumPositions)))
    }
    if !types.isEmpty { return result.isEmpty ? [("", top)] : result }
    return [("", try parse(parameters, fields, top, rule, maximumPositions))]
  }

  private static func fraction(
    _ fields: JSONFields, _ key: String, _ rule: Rule
  ) throws(FormatError) -> Double? {
    guard let value = try fields.double(key) else { return nil }
    guard rule.fraction != nil || value == 1 else {
      throw fields.error(
        .unsupported, key, "\(value): rotating a part of each head", "only 1 is supported")
    }
    guard value > 0, value <= 1 else {
      throw fields.error(
        .invalidValue, key, "expected a number above 0 and up to 1, found \(value)")
    }
    return value
  }

  private static func parse(
    _ parameters: JSONFields, _ top: JSONFields, _ outer: RotaryConfiguration, _ rule: Rule,
    _ maximumPositions: Int
  ) throws(FormatError) -> RotaryConfiguration {
    let scaling = try Scaling(parameters, top, maximumPositions: maximumPositions)
    var rule = rule
    if case .proportional = scaling { rule.fraction = rule.fraction ?? 1 }
    var result = RotaryConfiguration(
      base: try parameters.positive("rope_theta") ?? outer.base, scaling: scaling,
      fraction: try fraction(parameters, "partial_rotary_factor", rule) ?? outer.fraction)
    if rule.scalesQueries {
      result.queryScaling = try QueryScaling(parameters, top, result.scaling)
    }
    return result
  }

  /// As transformers 5 writes it.
  var json: JSONValue {
    var object: JSONObject = ["rope_theta": .number(base)]
    if fraction != 1 { object["partial_rotary_factor"] = .number(fraction) }
    scaling.write(into: &object)
    queryScaling?.write(into: &object)
    return .object(object)
  }
}
