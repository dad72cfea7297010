import LoRATensor

/// What changes logits before a token is chosen from them: biases of single tokens, then penalties for
/// tokens that the sequence has already.
///
/// The repetition penalty is for tokens of the prompt and of the output, as transformers has it; the
/// frequency and the presence penalty are for those of the output, as OpenAI has them.
///
/// Source: Keskar et al., *CTRL*, 2019, for the repetition penalty.
struct LogitAdjustment {
  private let options: GenerationOptions
  /// How often the output has each token that it has.
  private var counts: [Int: Int] = [:]
  /// The tokens of the prompt and of the output.
  private var seen: Set<Int>
  private let hasPenalties: Bool

  init(_ options: GenerationOptions, behind prompt: [Int]) {
    self.options = options
    hasPenalties =
      options.repetitionPenalty != 1 || options.frequencyPenalty != 0
      || options.presencePenalty != 0
    seen = options.repetitionPenalty == 1 ? [] : Set(prompt)
  }

  /// Whether logits stay as they are.
  var isNone: Bool { !hasPenalties && options.logitBias.isEmpty }

  /// Counts a token that was chosen.
  mutating func append(_ token: Int) {
    guard hasPenalties else { return }
    seen.insert(token)
    counts[token, default: 0] += 1
  }

  /// The adjusted logits of one position, `[vocabulary]`.
  func adjusted(_ logits: Tensor) -> Tensor {
    var result = logits.scalars()
    for (token, bias) in options.logitBias { result[token] += bias }
    if options.repetitionPenalty != 1 {
      for token in seen {
        let logit = result[token]
        result[token] =
          logit < 0 ? logit * options.repetitionPenalty : logit / options.repetitionPenalty
      }
    }
    if options.frequencyPenalty != 0 || options.presencePenalty != 0 {
      for (token, count) in counts {
        result[token] -= options.frequencyPenalty * Float(count) + options.presencePenalty
      }
    }
    return Tensor(result, shape: logits.shape)
  }
}
