import Foundation
import LoRAGrammars
import LoRAJSON
import TestSupport

/// Answers what Tests/Reference/grammars.py asks: random walks under a constraint, and which texts
/// it takes.
struct CaseRunner {
  let vocabulary: TokenVocabulary

  /// The answer to one request, both a line of JSON. A request has one of `schema`, `pattern` and
  /// `choices`; `texts` to judge; and `seeds`, a `mode` and a `limit` of tokens for walks.
  func answer(_ request: JSONValue) -> JSONValue {
    do throws(ConstraintError) {
      let constraint = try constraint(request)
      let matcher = try ConstraintMatcher(constraint, vocabulary: vocabulary)
      var walks: [JSONValue] = []
      for seed in request["seeds"]?.arrayValue ?? [] {
        var copy = matcher
        let walk = try walk(
          &copy, seed: UInt64(seed.intValue ?? 0), mode: request["mode"]?.stringValue ?? "uniform",
          limit: request["limit"]?.intValue ?? 300)
        walks.append(walk)
      }
      var accepted: [JSONValue] = []
      let start = try GrammarMatcher(constraint.grammar)
      for text in request["texts"]?.arrayValue ?? [] {
        var reader = start
        let isBeginning = try reader.advance((text.stringValue ?? "").utf8)
        accepted.append(.bool(isBeginning && reader.mayEnd))
      }
      return ["walks": .array(walks), "accepted": .array(accepted)]
    } catch {
      return ["error": .string(error.description), "kind": .string("\(error.kind)")]
    }
  }

  private func constraint(_ request: JSONValue) throws(ConstraintError) -> OutputConstraint {
    if let pattern = request["pattern"]?.stringValue { return try .pattern(pattern) }
    if let choices = request["choices"]?.arrayValue {
      return try .choices(choices.compactMap(\.stringValue))
    }
    let whitespace: JSONWhitespace =
      switch request["whitespace"]?.stringValue {
      case "compact": .compact
      case "indented": .indented
      default: .spaced
      }
    return try OutputConstraint(
      jsonSchema: request["schema"]?.stringValue ?? "true", whitespace: whitespace)
  }

  /// Tokens drawn until the text has ended or the limit is met.
  private func walk(
    _ matcher: inout ConstraintMatcher, seed: UInt64, mode: String, limit: Int
  ) throws(ConstraintError) -> JSONValue {
    var random = Draws(seed: seed)
    // Preferences of this walk: peaked probabilities, the same at each step.
    let weights =
      mode == "peaked" ? (0..<vocabulary.count).map { _ in exp(4 * random.normal()) } : []
    var bytes: [UInt8] = []
    var count = 0
    while !matcher.isFinished, count < limit {
      let allowed = try matcher.allowedTokens()
      let ids = allowed.ids
      var chosen = ids[random.below(ids.count)]
      if mode == "peaked" {
        var rest = random.unit() * ids.reduce(0) { $0 + weights[$1] }
        for id in ids where rest > 0 {
          rest -= weights[id]
          chosen = id
        }
      } else if mode == "bytes" {
        // The first byte uniformly, so that what ends a string is not rare.
        let firsts = ids.map { vocabulary.bytes(of: $0).first ?? 0 }
        let present = Set(firsts).sorted()
        let byte = present[random.below(present.count)]
        let group = ids.indices.filter { firsts[$0] == byte }
        chosen = ids[group[random.below(group.count)]]
      }
      try matcher.advance(by: chosen)
      bytes += vocabulary.bytes(of: chosen)
      count += 1
    }
    // Bytes that are no text would be lost in a string.
    return [
      "bytes": .array(bytes.map { .integer(Int64($0)) }), "finished": .bool(matcher.isFinished),
      "tokens": .integer(Int64(count)),
    ]
  }
}

/// Random numbers.
struct Draws {
  private var random: SplitMix

  init(seed: UInt64) { random = SplitMix(state: seed &* 0x9E37_79B9_7F4A_7C15 &+ 1) }

  mutating func next() -> UInt64 { random.next() }

  mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }

  /// Above 0 and at most 1.
  mutating func unit() -> Double { (Double(next() >> 11) + 1) / 9_007_199_254_740_992 }

  /// Twelve uniform ones less six: near enough.
  mutating func normal() -> Double { (0..<12).reduce(-6) { sum, _ in sum + unit() } }
}
