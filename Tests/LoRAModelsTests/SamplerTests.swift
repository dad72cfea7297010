import LoRAFiles
import LoRATensor
import LoRATesting
import Testing

@testable import LoRAModels

/// Sampling by selection against sorting everything.
@Suite struct SamplerTests {
  /// Logits with many equal ones, as quantized models have, or with none.
  static func logits(_ count: Int, steps: Float, seed: UInt64) -> [Float] {
    var random = SeededRandom(seed: seed, path: "logits")
    return random.normal([count], standardDeviation: 3).scalars().map {
      steps > 0 ? ($0 * steps).rounded() / steps : $0
    }
  }

  @Test(arguments: [1, 2, 5, 100, 5000]) func selectionFindsWhatSortingFinds(count: Int) {
    for steps: Float in [0, 2] {
      let values = Self.logits(count, steps: steps, seed: UInt64(count))
      let sorted = values.sorted(by: >)
      for rank in Set([1, 2, 3, count / 2, count - 1, count]) where rank >= 1 && rank <= count {
        #expect(values.withUnsafeBufferPointer { $0.largest(rank) } == sorted[rank - 1])
      }
    }
  }

  @Test func selectionOrdersSignsAndInfinities() {
    let values: [Float] = [
      0.5, -.infinity, -.leastNonzeroMagnitude, .leastNonzeroMagnitude, .infinity, -3, 0, -1e30,
    ]
    let sorted = values.sorted(by: >)
    for rank in 1...values.count {
      #expect(values.withUnsafeBufferPointer { $0.largest(rank) } == sorted[rank - 1])
    }
  }

  /// The kept tokens by sorting the whole vocabulary.
  static func sortedCandidates(_ logits: [Float], _ options: GenerationOptions) -> [Int] {
    var order = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }
    if options.topK > 0, options.topK < order.count {
      let threshold = logits[order[options.topK - 1]]
      order.removeAll { logits[$0] < threshold }
    }
    let largest = Double(logits[order[0]])
    let weights = order.map {
      exponential((Double(logits[$0]) - largest) / Double(options.temperature))
    }
    if options.topP < 1 {
      var sum = 0.0
      let wanted = Double(options.topP) * weights.reduce(0, +)
      let last = weights.firstIndex { weight in
        sum += weight
        return sum >= wanted
      }
      order.removeLast(order.count - 1 - (last ?? order.count - 1))
    }
    return order.sorted()
  }

  @Test(arguments: [1, 7, 300, 5000]) func keepsWhatSortingKeeps(count: Int) {
    for steps: Float in [0, 1] {
      let logits = Self.logits(count, steps: steps, seed: UInt64(count) + 1)
      for temperature: Float in [0.3, 1, 20] {
        for topK in [0, 1, 5, 100, 10_000] {
          for topP: Float in [0.01, 0.5, 0.9, 0.999, 1] {
            let options = GenerationOptions(temperature: temperature, topK: topK, topP: topP)
            let kept = logits.withUnsafeBufferPointer { Candidates($0, options) }
            #expect(
              kept.ids == Self.sortedCandidates(logits, options),
              "\(count) logits, \(options)")
          }
        }
      }
    }
  }

  @Test func drawsEachCandidateAsOftenAsItIsLikely() {
    let logits: [Float] = [0, 1, -.infinity, 2, 1]
    let options = GenerationOptions(temperature: 1)
    let candidates = logits.withUnsafeBufferPointer { Candidates($0, options) }
    let total = logits.reduce(0) { $0 + exponential(Double($1)) }
    let draws = 10_000
    var counts = Array(repeating: 0, count: logits.count)
    for draw in 0..<draws { counts[candidates.token(at: Double(draw) / Double(draws))] += 1 }
    for (id, logit) in logits.enumerated() {
      let expected = exponential(Double(logit)) / total * Double(draws)
      #expect(abs(Double(counts[id]) - expected) <= 2, "token \(id)")
    }
    #expect(candidates.token(at: 1) == 4)
  }

  /// Every option and their order, by transformers (Tests/Reference/sampling.py).
  @Test func agreesWithTransformers() throws {
    let cases = try SafetensorsFile(path: Fixtures.path("generation/sampling.safetensors"))
    func rows(_ name: String) throws -> [[Float]] {
      let x = try cases.tensor(named: name)
      return (0..<x.shape[0]).map { x[row: $0].scalars() }
    }
    let (logits, options) = (try rows("logits"), try rows("options"))
    let expected = try rows("probabilities")
    let prompts = try cases.tensor(named: "prompts")
    #expect(options.count == 324)
    for (index, option) in options.enumerated() {
      var wanted = GenerationOptions(temperature: option[0], topK: Int(option[1]), topP: option[2])
      (wanted.minP, wanted.typicalP, wanted.repetitionPenalty) = (option[3], option[4], option[5])
      let prompt = prompts[row: index].scalars(as: Int64.self).map { Int($0) }
      let adjusted = LogitAdjustment(wanted, behind: prompt)
        .adjusted(Tensor(logits[index], shape: [logits[index].count])).scalars()
      let candidates = adjusted.withUnsafeBufferPointer { Candidates($0, wanted) }
      var found = Array(repeating: Float(0), count: adjusted.count)
      let sum = candidates.weights.reduce(0, +)
      for (id, weight) in zip(candidates.ids, candidates.weights) {
        found[id] = Float(weight / sum)
      }
      let difference = zip(found, expected[index]).map { abs($0 - $1) }.max() ?? 1
      #expect(difference < 2e-6, "\(option)")
    }
  }

  /// OpenAI's penalties: by how often the output has a token, and for having it at all; prompts don't count.
  @Test func penaltiesCountTheOutput() {
    var options = GenerationOptions()
    (options.frequencyPenalty, options.presencePenalty) = (0.5, 0.25)
    options.logitBias = [3: 2, 0: -1]
    var adjustment = LogitAdjustment(options, behind: [2, 2])
    for token in [1, 1, 3] { adjustment.append(token) }
    #expect(
      adjustment.adjusted(Tensor([0, 0, 0, 0], shape: [4])).scalars() == [-1, -1.25, 0, 1.25])
  }

  @Test func probabilitiesAreTheModels() throws {
    let logits: [Float] = [1, 3, 2, 3, -.infinity]
    let choice = TokenChoice(2, Tensor(logits, shape: [5]), best: 3)
    let sum = logits.reduce(0) { $0 + exponential(Double($1)) }
    func expected(_ token: Int) -> Double { Double(logits[token]) - logarithm(sum) }
    let found = try #require(choice.logProbability)
    #expect(abs(Double(found) - expected(2)) < 1e-6)
    // Of equally likely ones the first ids come first.
    #expect(choice.best.map(\.token) == [1, 3, 2])
    for item in choice.best {
      #expect(abs(Double(item.logProbability) - expected(item.token)) < 1e-6)
    }
    #expect(TokenChoice(2, Tensor(logits, shape: [5]), best: nil).logProbability == nil)
    #expect(TokenChoice(2, Tensor(logits, shape: [5]), best: 9).best.count == 5)
  }
}
