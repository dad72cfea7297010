import LoRAModels
import LoRATemplates
import LoRATensor
import LoRAText
import LoRATraining

/// What the examples are for one model: too long for its context, not for its chat template, or of tokens
/// that its vocabulary hardly knows.
///
/// Tokens are unusual where a text of at least 200 bytes has less than half the bytes a token that the
/// file's texts have in the middle, or where most of it is spelled in bytes and the file is not.
struct ModelFit: DataDetector {
  private static let leastBytes = 200
  private static let share = 0.5

  private struct Candidate {
    let number: UInt32
    let line: UInt32
    let bytesPerToken: Float
    let spelled: Float
  }

  private let tokenizer: any Tokenizer
  private let format: ChatFormat?
  private let limit: Int
  /// Ids that stand for a byte, or for what is not known.
  private let spellings: Set<Int>
  /// How many texts have how many bytes a token, in tenths.
  private var ratios = [Int](repeating: 0, count: 128)
  private var (spelledTokens, allTokens) = (0, 0)
  private var candidates: [Candidate] = []
  /// Conversations that no template writes.
  private var unwritten = (count: 0, first: (number: 0, line: 0))
  /// Examples that are looked at together, on all threads.
  private var waiting: [CheckedExample] = []
  private static let batchSize = 512
  /// The lengths of the examples in tokens.
  private(set) var histogram = Histogram()

  /// Creates a detector.
  ///
  /// - Parameters:
  ///   - tokenizer: the model's tokenizer.
  ///   - format: how the model writes conversations; nil if it has no template.
  ///   - limit: the most tokens of an example.
  init(tokenizer: any Tokenizer, format: ChatFormat?, limit: Int) {
    (self.tokenizer, self.format, self.limit) = (tokenizer, format, limit)
    var spellings: Set<Int> = []
    for id in 0..<tokenizer.vocabularySize {
      guard let token = tokenizer.token(of: id) else { continue }
      let isByte = token.utf8.count == 6 && token.hasPrefix("<0x") && token.hasSuffix(">")
      if isByte || ["<unk>", "[UNK]", "<UNK>", "<|unk|>"].contains(token) { spellings.insert(id) }
    }
    self.spellings = spellings
  }

  mutating func examine(_ example: CheckedExample, _ log: inout FindingLog) throws {
    waiting.append(example)
    if waiting.count == Self.batchSize { try examineWaiting(&log) }
  }

  /// Looks at the examples that wait, on all threads, and reports in their order.
  mutating func examineWaiting(_ log: inout FindingLog) throws {
    var measures = [Result<Measure, any Error>?](repeating: nil, count: waiting.count)
    measures.withUnsafeMutableBufferPointer { measures in
      parallelFor(waiting.count) { index in
        measures[index] = Result { try measure(waiting[index]) }
      }
    }
    for (example, measure) in zip(waiting, measures) {
      guard let measure else { continue }
      try take(measure, of: example, &log)
    }
    waiting.removeAll(keepingCapacity: true)
  }

  /// What the tokenizer and the template make of an example.
  private struct Measure {
    /// Of each long text its bytes, its tokens, and those that are spelled.
    var texts: [(bytes: Int, tokens: Int, spelled: Int)] = []
    /// The tokens of the example; nil where it is not even one.
    var count: Int?
    /// Whether it is a conversation that no template writes.
    var lacksTemplate = false
    /// Why the template does not take it.
    var refusal: TemplateError?
  }

  private func measure(_ example: CheckedExample) throws -> Measure {
    var measure = Measure()
    for turn in example.turns where turn.text.utf8.count >= Self.leastBytes {
      let ids = tokenizer.encode(turn.text, addSpecialTokens: false)
      guard !ids.isEmpty else { continue }
      measure.texts.append(
        (
          turn.text.utf8.count, ids.count,
          spellings.isEmpty ? 0 : ids.count { spellings.contains($0) }
        ))
    }
    if format == nil, example.preference?.chat != nil || example.isChat {
      measure.lacksTemplate = true
      return measure
    }
    do {
      measure.count = try tokenCount(of: example)
    } catch let error as TemplateError {
      measure.refusal = error
    }
    return measure
  }

  private mutating func take(
    _ result: Result<Measure, any Error>, of example: CheckedExample, _ log: inout FindingLog
  ) throws {
    let measure = try result.get()
    var longest: Candidate?
    for text in measure.texts {
      let ratio = Float(text.bytes) / Float(text.tokens)
      ratios[min(127, Int(ratio * 10))] += 1
      spelledTokens += text.spelled
      allTokens += text.tokens
      let candidate = Candidate(
        number: UInt32(truncatingIfNeeded: example.number),
        line: UInt32(truncatingIfNeeded: example.line), bytesPerToken: ratio,
        spelled: Float(text.spelled) / Float(text.tokens))
      if longest.map({ candidate.bytesPerToken < $0.bytesPerToken }) ?? true { longest = candidate }
    }
    if let longest, isSuspicious(longest) { candidates.append(longest) }
    if measure.lacksTemplate {
      if unwritten.count == 0 { unwritten.first = (example.number, example.line) }
      unwritten.count += 1
      return
    }
    if let refusal = measure.refusal { return log.add(.template, in: example, "\(refusal)") }
    guard let count = measure.count else { return }
    histogram.add(count)
    // The last token is only predicted.
    if count > limit + 1 {
      log.add(.tooLong, in: example, "\(count) tokens, \(limit + 1) fit into \(limit) positions")
    }
  }

  /// Whether a text may turn out unusual. At the beginning each may.
  private func isSuspicious(_ candidate: Candidate) -> Bool {
    let known = ratios.reduce(0, +)
    if known < 200 { return true }
    return Double(candidate.bytesPerToken) < 0.7 * median || candidate.spelled > 0.3
  }

  private var median: Double {
    var rest = ratios.reduce(0, +) / 2
    for (index, count) in ratios.enumerated() {
      if rest < count { return (Double(index) + 0.5) / 10 }
      rest -= count
    }
    return 0
  }

  private func tokenCount(of example: CheckedExample) throws -> Int? {
    if let preference = example.preference { return try tokenCount(of: preference) }
    switch example.record.content {
    case .tokens(let ids): return ids.count
    case .text(let text):
      var ids: [Int32] = []
      tokenizer.encodeDocument(text, into: &ids)
      return ids.count
    case .pair(let pair):
      return tokenizer.encode(prompt: pair.prompt, completion: pair.completion).ids.count
    case .instruction(let instruction):
      if let format { return try format.exampleLength(instruction.chat.conversation) }
      let pair = instruction.pair
      return tokenizer.encode(prompt: pair.prompt, completion: pair.completion).ids.count
    case .chat(let chat):
      guard let format else { return nil }
      // What is not even a conversation with an answer is found elsewhere.
      guard example.lastAnswer != nil else { return nil }
      return try format.exampleLength(chat.conversation)
    }
  }

  /// The tokens of a preference's prompt with the longer of its answers.
  private func tokenCount(of preference: PreferenceText) throws -> Int? {
    guard let chat = preference.chat else {
      return [preference.chosen, preference.rejected].compactMap(\.self).map {
        tokenizer.encode(prompt: preference.prompt, completion: $0).ids.count
      }.max()
    }
    guard let format else { return nil }
    return try [chat.chosen, chat.rejected].compactMap(\.self).map { messages in
      var conversation = chat.prompt.conversation
      conversation.messages += messages
      return try format.prompt(conversation).count
    }.max()
  }

  mutating func finish(_ log: inout FindingLog) {
    let middle = median
    let spelled = Float(spelledTokens) / Float(max(1, allTokens))
    for candidate in candidates {
      let ratio = Double(candidate.bytesPerToken)
      let detail: String
      if ratio < Self.share * middle {
        detail =
          "\(tenths(ratio)) bytes a token, half of the file's texts have \(tenths(middle)) or more"
      } else if candidate.spelled > 0.5, spelled < 0.25 {
        detail = "\(Int(candidate.spelled * 100)) % of its tokens are single bytes or unknown"
      } else {
        continue
      }
      log.add(
        Finding(
          .tokens, line: Int(candidate.line), example: Int(candidate.number), detail: detail))
    }
    candidates = []
    guard unwritten.count > 0 else { return }
    log.add(
      Finding(
        .noTemplate, line: unwritten.first.line, example: unwritten.first.number,
        detail:
          "\(unwritten.count) conversation\(unwritten.count == 1 ? "" : "s") from here on; give "
          + "a template: --chat-template plain, or a file"))
  }

  private func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
}
