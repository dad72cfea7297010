/// How the next token is chosen, and when generation ends.
public struct GenerationOptions: Sendable, Hashable {
  /// The most tokens that are generated.
  public var maximumTokens: Int
  /// 0 takes the most likely token (greedy); above, logits are divided by it before sampling.
  public var temperature: Float
  /// Sample among this many most likely tokens only; 0 for all.
  public var topK: Int
  /// Sample among the most likely tokens whose probabilities reach this sum only; 1 for all.
  public var topP: Float
  /// What the draws depend on.
  public var seed: UInt64
  /// Tokens that end the generation; they are not part of the output.
  public var stopTokens: Set<Int>

  /// Creates options; greedy unless a temperature is given.
  public init(
    maximumTokens: Int = 128, temperature: Float = 0, topK: Int = 0, topP: Float = 1,
    seed: UInt64 = 0, stopTokens: Set<Int> = []
  ) {
    self.maximumTokens = maximumTokens
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.seed = seed
    self.stopTokens = stopTokens
  }

  func validate() throws(SequenceError) {
    func check(_ name: String, _ value: some Any, _ isValid: Bool, _ expected: String)
      throws(SequenceError)
    {
      if !isValid { throw .invalidOption(name: name, value: "\(value)", expected: expected) }
    }
    try check("maximum tokens", maximumTokens, maximumTokens >= 0, "0 or more")
    try check(
      "temperature", temperature, temperature >= 0 && temperature.isFinite, "0 or a positive number"
    )
    try check("top-k", topK, topK >= 0, "0 or more")
    try check("top-p", topP, topP > 0 && topP <= 1, "above 0, at most 1")
  }
}
