#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import LoRAFiles
import LoRAJSON

// The kinds of scaled frequencies, as config.json has them.

extension RotaryConfiguration {
  /// What YaRN says of frequencies.
  ///
  /// Source: Peng et al., *YaRN: efficient context window extension of large language models*, 2023.
  public struct Yarn: Sendable, Hashable {
    /// What low frequencies are divided by.
    public var factor: Double
    /// The positions that the model was trained for before.
    public var originalMaximumPositions: Int
    /// What cosines and sines are multiplied by.
    public var amplitude: Double
    /// How often a frequency turns within the original positions that is kept.
    public var fastTurns: Double
    /// How often one turns that is divided.
    public var slowTurns: Double
    /// Whether the ramp between them begins and ends at whole frequencies.
    public var truncates: Bool

    /// Creates a description. Without an amplitude it is the paper's, `0.1 ln(factor) + 1`.
    public init(
      factor: Double, originalMaximumPositions: Int, amplitude: Double? = nil,
      fastTurns: Double = 32, slowTurns: Double = 1, truncates: Bool = true
    ) {
      self.factor = factor
      self.originalMaximumPositions = originalMaximumPositions
      self.amplitude = amplitude ?? Self.amplitude(factor, weight: 1)
      self.fastTurns = fastTurns
      self.slowTurns = slowTurns
      self.truncates = truncates
    }

    static func amplitude(_ factor: Double, weight: Double) -> Double {
      factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
    }

    /// The frequencies that `plain` ones of this base become.
    func frequencies(_ plain: [Double], base: Double) -> [Double] {
      let size = Double(2 * plain.count)
      func place(_ turns: Double) -> Double {
        size * log(Double(originalMaximumPositions) / (turns * 2 * Double.pi)) / (2 * log(base))
      }
      var (low, high) = (place(fastTurns), place(slowTurns))
      if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
      (low, high) = (max(low, 0), min(high, size - 1))
      if low == high { high += 0.001 }
      return plain.enumerated().map { index, frequency in
        let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
        return frequency / factor * ramp + frequency * (1 - ramp)
      }
    }
  }

  /// What LongRoPE says of frequencies. Sequences are limited to the original positions, for which the
  /// short factors are: a longer one would change the angles of the positions before it.
  ///
  /// Source: Ding et al., *LongRoPE: extending LLM context window beyond 2 million tokens*, 2024.
  public struct LongRoPE: Sendable, Hashable {
    /// What each frequency is divided by in sequences up to the original positions.
    public var shortFactors: [Double]
    /// The same in longer ones.
    public var longFactors: [Double]
    /// The positions that the model was trained for before.
    public var originalMaximumPositions: Int
    /// What cosines and sines are multiplied by.
    public var amplitude: Double

    /// Creates a description from its parts.
    public init(
      shortFactors: [Double], longFactors: [Double], originalMaximumPositions: Int,
      amplitude: Double
    ) {
      self.shortFactors = shortFactors
      self.longFactors = longFactors
      self.originalMaximumPositions = originalMaximumPositions
      self.amplitude = amplitude
    }
  }

  /// What cosines and sines are multiplied by.
  package var amplitude: Double {
    switch scaling {
    case .yarn(let yarn): yarn.amplitude
    case .longRoPE(let long): long.amplitude
    case .none, .linear, .llama3, .dynamic, .proportional: 1
    }
  }

  /// The longest sequence that the frequencies are those of; nil for any.
  package var longestSequence: Int? {
    if case .longRoPE(let long) = scaling { long.originalMaximumPositions } else { nil }
  }
}

// MARK: - Reading and writing

extension RotaryConfiguration.Scaling {
  /// The kinds that can be computed, for errors that name another one.
  private static let supported =
    "'default', 'linear', 'dynamic', 'llama3', 'yarn', 'longrope' and 'proportional'"

  /// Reads the scaling of `parameters`, which are part of a file's `top`.
  init(
    _ parameters: JSONFields, _ top: JSONFields, maximumPositions: Int
  ) throws(FormatError) {
    let key = parameters["rope_type"] != nil ? "rope_type" : "type"
    let kind = try parameters.string(key) ?? "default"
    func required(_ key: String) throws(FormatError) -> Double {
      guard let value = try parameters.positive(key) else {
        throw parameters.error(.missingKey, key, "rotary scaling '\(kind)' needs it")
      }
      return value
    }
    func original() throws(FormatError) -> Int {
      let key = "original_max_position_embeddings"
      let (outer, inner) = (try top.size(key), try parameters.size(key))
      return outer ?? inner ?? maximumPositions
    }
    switch kind {
    // Qwen2-VL's "mrope" turns by three positions of an image; those of text are the same.
    case "default", "mrope": self = .none
    case "linear": self = .linear(factor: try required("factor"))
    case "dynamic": self = .dynamic(factor: try required("factor"))
    case "proportional": self = .proportional(factor: try parameters.positive("factor") ?? 1)
    case "llama3":
      let low = try required("low_freq_factor")
      let high = try required("high_freq_factor")
      guard high > low else {
        throw parameters.error(
          .invalidValue, "high_freq_factor", "\(high) must be above 'low_freq_factor', \(low)")
      }
      self = .llama3(
        factor: try required("factor"), lowFrequencyFactor: low, highFrequencyFactor: high,
        originalMaximumPositions: try original())
    case "yarn":
      let positions = try original()
      let given = try parameters.positive("factor")
      let factor = given ?? Double(maximumPositions) / Double(positions)
      var amplitude = try parameters.positive("attention_factor")
      if amplitude == nil, let weight = try parameters.double("mscale"), weight != 0,
        let other = try parameters.double("mscale_all_dim"), other != 0
      {
        amplitude =
          RotaryConfiguration.Yarn.amplitude(factor, weight: weight)
          / RotaryConfiguration.Yarn.amplitude(factor, weight: other)
      }
      self = .yarn(
        RotaryConfiguration.Yarn(
          factor: factor, originalMaximumPositions: positions, amplitude: amplitude,
          fastTurns: try parameters.positive("beta_fast") ?? 32,
          slowTurns: try parameters.positive("beta_slow") ?? 1,
          truncates: try parameters.bool("truncate") ?? true))
    case "longrope", "su":
      let positions = try original()
      let factor =
        try parameters.positive("factor") ?? Double(maximumPositions) / Double(positions)
      let standard =
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(positions))).squareRoot()
      self = .longRoPE(
        RotaryConfiguration.LongRoPE(
          shortFactors: try parameters.factors("short_factor"),
          longFactors: try parameters.factors("long_factor"), originalMaximumPositions: positions,
          amplitude: try parameters.positive("attention_factor") ?? standard))
    default:
      throw parameters.error(
        .unsupported, key, "rotary scaling '\(kind)' is not supported",
        "supported are \(Self.supported)")
    }
  }

  /// Adds what transformers 5 writes of it.
  func write(into object: inout JSONObject) {
    func write(original: Int) {
      object["original_max_position_embeddings"] = .integer(Int64(original))
    }
    switch self {
    case .none: object["rope_type"] = "default"
    case .linear(let factor):
      object["factor"] = .number(factor)
      object["rope_type"] = "linear"
    case .dynamic(let factor):
      object["factor"] = .number(factor)
      object["rope_type"] = "dynamic"
    case .proportional(let factor):
      if factor != 1 { object["factor"] = .number(factor) }
      object["rope_type"] = "proportional"
    case .llama3(let factor, let low, let high, let original):
      object["factor"] = .number(factor)
      object["high_freq_factor"] = .number(high)
      object["low_freq_factor"] = .number(low)
      write(original: original)
      object["rope_type"] = "llama3"
    case .yarn(let yarn):
      object["factor"] = .number(yarn.factor)
      object["attention_factor"] = .number(yarn.amplitude)
      object["beta_fast"] = .number(yarn.fastTurns)
      object["beta_slow"] = .number(yarn.slowTurns)
      object["truncate"] = .bool(yarn.truncates)
      write(original: yarn.originalMaximumPositions)
      object["rope_type"] = "yarn"
    case .longRoPE(let long):
      object["attention_factor"] = .number(long.amplitude)
      object["short_factor"] = .array(long.shortFactors.map { .number($0) })
      object["long_factor"] = .array(long.longFactors.map { .number($0) })
      write(original: long.originalMaximumPositions)
      object["rope_type"] = "longrope"
    }
  }
}

extension JSONFields {
  /// Numbers above 0.
  fileprivate func factors(_ key: String) throws(FormatError) -> [Double] {
    guard let values = self[key]?.arrayValue else {
      throw error(.missingKey, key, "rotary scaling 'longrope' needs it")
    }
    let numbers = values.compactMap(\.doubleValue).filter { $0 > 0 && $0.isFinite }
    guard numbers.count == values.count, !numbers.isEmpty else {
      throw error(.invalidValue, key, "expected numbers above 0")
    }
    return numbers
  }
}
