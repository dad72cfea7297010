import CLoRAKernels
import LoRATensor

/// Chooses the next token of one sequence: from its logits, adjusted by what the sequence has so far.
struct Sampler {
  let options: GenerationOptions
  private var random: SeededRandom
  private var adjustment: LogitAdjustment

  /// Begins behind `prompt`.
  init(_ options: GenerationOptions, behind prompt: [Int]) {
    self.options = options
    random = SeededRandom(seed: options.seed, path: "generation")
    adjustment = LogitAdjustment(options, behind: prompt)
  }

  /// The next token for one position's logits, `[vocabulary]`.
  mutating func next(_ logits: Tensor) -> TokenChoice {
    let token = adjustment.isNone ? token(of: logits) : token(of: adjustment.adjusted(logits))
    adjustment.append(token)
    return TokenChoice(token, logits, best: options.logProbabilities)
  }

  private mutating func token(of logits: Tensor) -> Int {
    logits.withUnsafeElements(of: Float.self) { logits in
      guard let base = logits.baseAddress else { return 0 }
      if options.temperature == 0 { return lk_argmax(logits.count, base) }
      return Candidates(logits, options).token(at: random.nextUniform())
    }
  }
}
