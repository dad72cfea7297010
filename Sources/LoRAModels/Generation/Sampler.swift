import CLoRAKernels
import LoRATensor

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

/// Chooses tokens from logits. Temperature, then top-k, then top-p, as transformers orders them.
struct Sampler {
  let options: GenerationOptions
  private var random: SeededRandom

  init(_ options: GenerationOptions) {
    self.options = options
    random = SeededRandom(seed: options.seed, path: "generation")
  }

  /// The next token for one position's logits, `[vocabulary]`.
  mutating func next(_ logits: Tensor) -> Int {
    logits.withUnsafeElements(of: Float.self) { logits in
      guard let base = logits.baseAddress else { return 0 }
      if options.temperature == 0 { return lk_argmax(logits.count, base) }
      return draw(logits)
    }
  }

  private mutating func draw(_ logits: UnsafeBufferPointer<Float>) -> Int {
    // Most likely first; equal logits in the order of their ids, so that the choice is defined.
    var candidates = Array(logits.indices)
    if options.topK > 0, options.topK < candidates.count {
      var sorted = logits.map { $0 }
      sorted.sort(by: >)
      let threshold = sorted[options.topK - 1]
      candidates = candidates.filter { logits[$0] >= threshold }
    }
    candidates.sort { (logits[$0], $1) > (logits[$1], $0) }
    let largest = Double(logits[candidates[0]])
    var weights = candidates.map { candidate in
      exponential((Double(logits[candidate]) - largest) / Double(options.temperature))
    }
    if options.topP < 1 {
      let total = weights.reduce(0, +)
      var sum = 0.0
      let kept = weights.firstIndex { weight in
        sum += weight
        return sum >= Double(options.topP) * total
      }
      weights.removeLast(weights.count - 1 - (kept ?? weights.count - 1))
    }
    var target = random.nextUniform() * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      target -= weight
      if target < 0 { return candidates[index] }
    }
    return candidates[weights.count - 1]
  }
}
