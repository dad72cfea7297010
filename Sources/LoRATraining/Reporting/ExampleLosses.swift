import LoRAText

/// The losses of single examples, and the texts of those that are highest.
public struct ExampleLosses: Sendable, Hashable {
  /// An example that was measured.
  public struct Example: Sendable, Hashable {
    /// Where it stands, such as "line 7".
    public var place: String
    /// The mean loss of its targets.
    public var loss: Double
    /// The number of its targets.
    public var targetCount: Int

    /// Creates an example.
    public init(place: String, loss: Double, targetCount: Int) {
      self.place = place
      self.loss = loss
      self.targetCount = targetCount
    }
  }

  /// A part of an example's text: a token, or the end of a character that several tokens make.
  public struct Piece: Sendable, Hashable {
    /// The text, with special tokens.
    public var text: String
    /// The loss; nil where the part is not learned.
    public var loss: Float?

    /// Creates a part.
    public init(text: String, loss: Float? = nil) {
      self.text = text
      self.loss = loss
    }
  }

  /// The text of an example, as the model sees it.
  public struct MarkedText: Sendable, Hashable {
    /// The example.
    public var example: Example
    /// What is said of it beside its loss, such as what the model answers; empty for the number of learned
    /// tokens.
    public var note: String
    /// Its text, or the part of it that is shown.
    public var pieces: [Piece]
    /// The number of tokens before that part.
    public var leftOutBefore: Int
    /// The number of tokens behind it.
    public var leftOutAfter: Int

    /// Creates a text.
    public init(
      example: Example, note: String = "", pieces: [Piece], leftOutBefore: Int = 0,
      leftOutAfter: Int = 0
    ) {
      self.example = example
      self.note = note
      self.pieces = pieces
      self.leftOutBefore = leftOutBefore
      self.leftOutAfter = leftOutAfter
    }
  }

  /// The number of examples of the data.
  public var exampleCount: Int
  /// The examples that were measured, in the data's order.
  public var examples: [Example]
  /// The texts of those with the highest losses, the highest first.
  public var worst: [MarkedText]

  /// Creates what a program has measured itself.
  public init(exampleCount: Int, examples: [Example], worst: [MarkedText] = []) {
    self.exampleCount = exampleCount
    self.examples = examples
    self.worst = worst
  }

  /// The mean loss of the measured targets; 0 without any.
  public var loss: Double {
    let count = examples.reduce(0) { $0 + $1.targetCount }
    let sum = examples.reduce(0) { $0 + $1.loss * Double($1.targetCount) }
    return count == 0 ? 0 : sum / Double(count)
  }
}

extension ExampleLosses {
  /// The indexes of some examples, evenly spread over `data`: one at least, and no more than are allowed.
  static func spread(
    over data: some TrainingData, mostExamples: Int, mostTokens: Int
  ) -> [Int] {
    let all = data.exampleCount
    var count = min(max(1, mostExamples), all)
    func chosen(_ count: Int) -> [Int] { (0..<count).map { $0 * all / count } }
    while count > 1, data.tokenCount(of: chosen(count)) > mostTokens { count = count * 3 / 4 }
    return chosen(count)
  }
}

extension ExampleLosses.MarkedText {
  /// The text of `tokens`; `losses` are those of its targets in order.
  init(
    _ example: ExampleLosses.Example, _ tokens: TrainingExample, losses: [Float],
    tokenizer: (any Tokenizer)?, limit: Int
  ) {
    let sequence = tokens.sequence
    var next = 0
    var tokenLosses: [Float?] = [nil]
    for target in tokens.targets {
      tokenLosses.append(target >= 0 && next < losses.count ? losses[next] : nil)
      if target >= 0 { next += 1 }
    }
    let texts = tokenizer.map { Self.texts(of: sequence, $0) } ?? sequence.map { "\($0) " }
    let all = zip(texts, tokenLosses).map { ExampleLosses.Piece(text: $0, loss: $1) }
    // What is learned, with a bit of what precedes it.
    let first = all.firstIndex { $0.loss != nil } ?? 0
    let start = all.count <= limit ? 0 : min(max(0, first - limit / 4), all.count - limit)
    let end = min(all.count, start + limit)
    self.init(
      example: example, pieces: Array(all[start..<end]), leftOutBefore: start,
      leftOutAfter: all.count - end)
  }

  /// The text that each token adds. Of tokens that spell bytes, as those of SentencePiece do, a decoder says
  /// nothing before the last of them; here each character stands where its last byte does, and bytes that make
  /// none are U+FFFD.
  static func texts(of sequence: [Int], _ tokenizer: any Tokenizer) -> [String] {
    var decoder = tokenizer.streamingDecoder(skipSpecialTokens: false)
    var spelled: [UInt8] = []
    func unfinished() -> String {
      defer { spelled = [] }
      return String(decoding: spelled, as: UTF8.self)
    }
    var texts = sequence.map { id in
      guard let byte = spelledByte(tokenizer.token(of: id)) else {
        return unfinished() + decoder.append(id)
      }
      let begins = byte & 0xC0 != 0x80
      var text = begins ? unfinished() : ""
      spelled.append(byte)
      if let whole = String(validating: spelled, as: UTF8.self) {
        text += whole
        spelled = []
      }
      return text
    }
    if !texts.isEmpty { texts[texts.count - 1] += unfinished() + decoder.finish() }
    return texts
  }

  /// The byte that a token as `<0xE3>` spells.
  private static func spelledByte(_ token: String?) -> UInt8? {
    guard let token, token.utf8.count == 6, token.hasPrefix("<0x"), token.hasSuffix(">") else {
      return nil
    }
    return UInt8(token.dropFirst(3).dropLast(), radix: 16)
  }
}
