import CLoRAKernels
import LoRAGrammars
import LoRATensor

/// Chooses the next token of one sequence: from its logits, adjusted by what the sequence has so far, among
/// those that a constraint allows.
struct Sampler {
  let options: GenerationOptions
  private var random: SeededRandom
  private var adjustment: LogitAdjustment
  private var matcher: ConstraintMatcher?

  /// Begins behind `prompt`, which is no part of what `matcher` reads.
  init(_ options: GenerationOptions, behind prompt: [Int], matcher: ConstraintMatcher? = nil) {
    self.options = options
    self.matcher = matcher
    random = SeededRandom(seed: options.seed, path: "generation")
    adjustment = LogitAdjustment(options, behind: prompt)
  }

  /// Whether the constraint lets nothing follow.
  var isFinished: Bool { matcher?.isFinished ?? false }

  /// The next token for one position's logits, `[vocabulary]`; nil if no token of the vocabulary goes on
  /// with what the constraint allows.
  mutating func next(_ logits: Tensor) -> TokenChoice? {
    var adjusted = adjustment.isNone ? logits : adjustment.adjusted(logits)
    if matcher != nil {
      guard let allowed = try? matcher?.allowedTokens(), !allowed.isEmpty else { return nil }
      adjusted = allowed.leaving(adjusted)
    }
    let token = token(of: adjusted)
    guard (try? matcher?.advance(by: token)) != nil || matcher == nil else { return nil }
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

extension TokenMask {
  /// `logits`, `[vocabulary]`, and minus infinity for tokens that are none of the set.
  fileprivate func leaving(_ logits: Tensor) -> Tensor {
    var result = Array(repeating: -Float.infinity, count: logits.shape.elementCount)
    logits.withUnsafeElements(of: Float.self) { logits in
      for (index, word) in words.enumerated() {
        var rest = word
        while rest != 0 {
          let id = index << 6 + rest.trailingZeroBitCount
          if id < result.count { result[id] = logits[id] }
          rest &= rest - 1
        }
      }
    }
    return Tensor(result, shape: logits.shape)
  }
}
