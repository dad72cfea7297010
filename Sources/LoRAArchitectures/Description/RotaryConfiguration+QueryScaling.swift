#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif
import LoRAFiles
import LoRAJSON

extension RotaryConfiguration {
  /// Queries that grow with the logarithm of their position, since a softmax over more keys is flatter:
  /// that at position p is multiplied by `1 + weight ln(1 + floor(p / period))` (Llama 4, Ministral 3).
  public struct QueryScaling: Sendable, Hashable {
    /// What the logarithm is multiplied by.
    public var weight: Double
    /// How many of the first positions have queries that stay as they are.
    public var period: Int

    /// Creates a description from its parts.
    public init(weight: Double, period: Int) {
      self.weight = weight
      self.period = period
    }

    /// The factor at `position`.
    package func factor(at position: Int) -> Float {
      Float(1 + weight * log(Double(1 + position / period)))
    }
  }
}

extension RotaryConfiguration.QueryScaling {
  private static let weightKey = "llama_4_scaling_beta"
  private static let periodKey = "original_max_position_embeddings"

  /// Reads `parameters`, which are part of a file's `top`. Nil if they do not scale queries.
  init?(
    _ parameters: JSONFields, _ top: JSONFields, _ scaling: RotaryConfiguration.Scaling
  ) throws(FormatError) {
    guard let weight = try parameters.double(Self.weightKey), weight != 0 else { return nil }
    guard weight > 0, weight <= 100 else {
      throw parameters.error(
        .invalidValue, Self.weightKey, "expected a number from 0 to 100, found \(weight)")
    }
    let (outer, inner) = (try top.size(Self.periodKey), try parameters.size(Self.periodKey))
    var period = outer ?? inner
    if case .yarn(let yarn) = scaling { period = yarn.originalMaximumPositions }
    guard let period else {
      throw parameters.error(.missingKey, Self.periodKey, "'\(Self.weightKey)' needs it")
    }
    self.init(weight: weight, period: period)
  }

  /// Adds what transformers 5 writes of it.
  func write(into object: inout JSONObject) {
    object[Self.weightKey] = .number(weight)
    object[Self.periodKey] = .integer(Int64(period))
  }
}
