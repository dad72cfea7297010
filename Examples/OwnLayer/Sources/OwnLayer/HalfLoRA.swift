public import LoRAKit

/// LoRA whose down projection stays as it was drawn: half of the numbers to train.
///
/// A low-rank method says what its factors are; computing, merging and saving for PEFT come with
/// `LowRankAdapter`.
///
/// Source: Zhang et al., *LoRA-FA*, 2023.
public struct HalfLoRA: AdapterMethod, Sendable, Hashable, Codable {
  /// The rank of the change.
  public var rank: Int
  /// The change is scaled by `alpha / rank`.
  public var alpha: Float

  /// Creates a recipe.
  public init(rank: Int = 4, alpha: Float = 8) {
    self.rank = rank
    self.alpha = alpha
  }

  /// A drawn and frozen, B zero, so that a fresh adapter changes nothing.
  public func makeAdapter(
    for layer: any LinearLayer, using random: inout SeededRandom
  ) throws(AdapterError) -> HalfLoRAAdapter {
    guard rank >= 1 else {
      throw .invalidValue(parameter: "rank", value: "\(rank)", expected: "at least 1")
    }
    let spread = 1 / Float(rank).squareRoot()
    return HalfLoRAAdapter(
      a: Parameter(
        random.normal([rank, layer.inputSize], standardDeviation: spread), isTrainable: false),
      b: Parameter(.zeros([layer.outputSize, rank])), scale: alpha / Float(rank))
  }
}

/// What ``HalfLoRA`` holds on one layer.
public final class HalfLoRAAdapter: LowRankAdapter {
  /// `[rank, inputSize]`, frozen.
  public let a: Parameter
  /// `[outputSize, rank]`.
  public let b: Parameter
  /// What the product is multiplied by.
  public let scale: Float

  /// Creates an adapter from its factors.
  public init(a: Parameter, b: Parameter, scale: Float) {
    self.a = a
    self.b = b
    self.scale = scale
  }

  /// Under the names that PEFT's files have.
  public var parameters: Named<Parameter> { ["lora_A.weight": a, "lora_B.weight": b] }
}
