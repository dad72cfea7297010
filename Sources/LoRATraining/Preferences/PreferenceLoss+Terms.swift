#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The log-probabilities of a batch's completions: chosen ones, then rejected ones.
struct CompletionScores {
  /// Their sums over the tokens of each completion.
  var sums: [Double]
  /// The numbers of these tokens.
  var counts: [Int]
  /// The same sums under the reference; nil for none.
  var reference: [Double]?
  /// How many of them, the first ones, were chosen.
  var chosenCount: Int
  /// KTO's z.
  var divergence = 0.0

  /// How much more probable than under the reference completion `index` is.
  fileprivate func ratio(_ index: Int) -> Double { sums[index] - (reference?[index] ?? 0) }
}

/// The losses of a batch and what they change with.
struct PreferenceTerms {
  /// The sum of the losses of pairs, or of single completions. Without the cross-entropy of ORPO.
  var sum = 0.0
  /// The derivative of the sum by the sum of log-probabilities of each completion.
  var gradient: [Double]
  /// How much a completion is preferred, by the loss's own measure.
  var rewards: [Double]
}

extension PreferenceLoss {
  /// The losses of completions, in double precision.
  func terms(_ scores: CompletionScores) -> PreferenceTerms {
    let rows = scores.sums.count
    var terms = PreferenceTerms(
      gradient: Array(repeating: 0, count: rows), rewards: (0..<rows).map { reward($0, scores) })
    if form == .kto {
      for row in 0..<rows {
        let isChosen = row < scores.chosenCount
        let sign = isChosen ? 1.0 : -1
        let weight = isChosen ? desirableWeight : undesirableWeight
        let likelihood = sigmoid(sign * beta * (scores.ratio(row) - scores.divergence))
        terms.sum += weight * (1 - likelihood)
        terms.gradient[row] = -sign * weight * beta * likelihood * (1 - likelihood)
      }
      return terms
    }
    for chosen in 0..<scores.chosenCount {
      let rejected = scores.chosenCount + chosen
      let (counts, sums) = (scores.counts, scores.sums)
      switch form {
      case .dpo, .kto:
        let x = beta * (scores.ratio(chosen) - scores.ratio(rejected))
        terms.sum += (1 - labelSmoothing) * softplus(-x) + labelSmoothing * softplus(x)
        let slope = beta * (labelSmoothing * sigmoid(x) - (1 - labelSmoothing) * sigmoid(-x))
        (terms.gradient[chosen], terms.gradient[rejected]) = (slope, -slope)
      case .ipo:
        let (a, b) = (Double(max(1, counts[chosen])), Double(max(1, counts[rejected])))
        let h = scores.ratio(chosen) / a - scores.ratio(rejected) / b - 1 / (2 * beta)
        terms.sum += h * h
        (terms.gradient[chosen], terms.gradient[rejected]) = (2 * h / a, -2 * h / b)
      case .orpo:
        let (a, b) = (Double(max(1, counts[chosen])), Double(max(1, counts[rejected])))
        // A completion that is certain has infinite odds.
        let (p, q) = (min(sums[chosen] / a, -1e-7), min(sums[rejected] / b, -1e-7))
        let x = p - q - log(-expm1(p)) + log(-expm1(q))
        terms.sum += beta * softplus(-x)
        let slope = -beta * sigmoid(-x)
        terms.gradient[chosen] = slope / -expm1(p) / a
        terms.gradient[rejected] = -slope / -expm1(q) / b
      }
    }
    return terms
  }

  private func reward(_ row: Int, _ scores: CompletionScores) -> Double {
    beta
      * (form == .orpo
        ? scores.sums[row] / Double(max(1, scores.counts[row])) : scores.ratio(row))
  }

  private func sigmoid(_ x: Double) -> Double {
    x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x))
  }

  /// `log(1 + exp(x))`.
  private func softplus(_ x: Double) -> Double { max(x, 0) + log1p(exp(-abs(x))) }
}
