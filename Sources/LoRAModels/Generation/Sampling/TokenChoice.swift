import LoRATensor

/// A token that was chosen, and how likely the model found it.
public struct TokenChoice: Sendable, Hashable {
  /// The token.
  public let token: Int
  /// The natural logarithm of the probability that the model gave the token, before temperature, biases,
  /// penalties and constraints; nil if it was not asked for.
  public let logProbability: Float?
  /// The likeliest tokens, the likeliest first; as many as were asked for.
  public let best: [Alternative]

  /// A token that could have been chosen.
  public struct Alternative: Sendable, Hashable {
    /// The token.
    public let token: Int
    /// The natural logarithm of its probability.
    public let logProbability: Float
  }

  /// `token`, chosen at a position with these logits, `[vocabulary]`, and the `best` likeliest; nil for no
  /// probabilities at all.
  init(_ token: Int, _ logits: Tensor, best count: Int?) {
    self.token = token
    guard let count else {
      logProbability = nil
      best = []
      return
    }
    let (most, chosen): ([Alternative], Float) = logits.withUnsafeElements(of: Float.self) { x in
      let largest = Double(x.max() ?? 0)
      let logarithmOfSum =
        largest + logarithm(x.reduce(0) { $0 + exponential(Double($1) - largest) })
      func logProbability(_ token: Int) -> Float { Float(Double(x[token]) - logarithmOfSum) }
      var best: [Int] = []
      if count > 0 {
        let threshold = x.largest(min(count, x.count))
        best = x.indices.filter { x[$0] >= threshold }.sorted { (x[$0], $1) > (x[$1], $0) }
      }
      return (
        best.prefix(count).map { Alternative(token: $0, logProbability: logProbability($0)) },
        logProbability(token)
      )
    }
    best = most
    logProbability = chosen
  }
}
