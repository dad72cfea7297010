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
  /// Sample among tokens that are at least this share as likely as the likeliest only; 0 for all.
  public var minP: Float = 0
  /// Sample among the tokens whose information is nearest to the expected one and whose probabilities reach
  /// this sum only; 1 for all.
  public var typicalP: Float = 1
  /// What positive logits of tokens that the prompt or the output has are divided by, and negative ones
  /// multiplied; 1 for no penalty.
  public var repetitionPenalty: Float = 1
  /// What is subtracted from a token's logit for each time that the output has it; 0 for no penalty.
  public var frequencyPenalty: Float = 0
  /// What is subtracted from the logit of every token that the output has; 0 for no penalty.
  public var presencePenalty: Float = 0
  /// What is added to the logits of single tokens, first of all.
  public var logitBias: [Int: Float] = [:]
  /// How many of the likeliest tokens are given with each choice, beside the probability of the chosen one;
  /// nil for neither. See ``GenerationSession/lastChoice``.
  public var logProbabilities: Int?
  /// The most tokens that are guessed from earlier text and checked in one pass (prompt lookup): the tokens
  /// are the same, sooner where a text repeats what it or its prompt has; 0 for none. A
  /// ``GenerationBatch`` does not guess.
  ///
  /// Source: Saxena, *Prompt lookup decoding*, 2023.
  public var guesses: Int = 0
  /// What is forgotten of a text that is longer than the model's positions, or than a limit; nil to end
  /// there.
  public var context: ContextWindow?
  /// What the draws depend on.
  public var seed: UInt64
  /// Tokens that end the generation; they are not part of the output.
  public var stopTokens: Set<Int>

  /// Creates options; greedy unless a temperature is given. The others are properties.
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

  /// Throws for values without a meaning, and for tokens that a vocabulary of `vocabularySize` lacks.
  func validate(vocabularySize: Int) throws(SequenceError) {
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
    try check("min-p", minP, minP >= 0 && minP <= 1, "from 0 to 1")
    try check("typical-p", typicalP, typicalP > 0 && typicalP <= 1, "above 0, at most 1")
    try check(
      "repetition penalty", repetitionPenalty, repetitionPenalty > 0 && repetitionPenalty.isFinite,
      "a positive number")
    try check("frequency penalty", frequencyPenalty, frequencyPenalty.isFinite, "a number")
    try check("presence penalty", presencePenalty, presencePenalty.isFinite, "a number")
    try check("guesses", guesses, guesses >= 0, "0 or more")
    if let logProbabilities {
      try check("log probabilities", logProbabilities, logProbabilities >= 0, "0 or more")
    }
    for (token, bias) in logitBias {
      try check(
        "logit bias", "of token \(token)", (0..<vocabularySize).contains(token),
        "a token of the \(vocabularySize)")
      // Infinite biases forbid and force; where all are forbidden nothing could be chosen.
      try check("logit bias", "\(bias) of token \(token)", bias.isFinite, "a finite number")
    }
  }
}
