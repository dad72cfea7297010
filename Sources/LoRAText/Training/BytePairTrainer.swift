import Foundation
import LoRAJSON

/// A trainer of byte-level byte-pair tokenizers.
///
/// Words are split as in GPT-2 (a space belongs to the following word), every digit is a separate
/// word, and all 256 bytes are tokens, so that any text can be encoded. Then the most frequent pair
/// of adjacent tokens within words becomes a token, repeatedly; of equally frequent pairs, the one
/// with the lower ids. Equal documents give equal tokenizers on every machine.
///
/// ```swift
/// let trainer = BytePairTrainer(
///   vocabularySize: 4096, specialTokens: ["<s>", "</s>"], beginningOfSequence: "<s>",
///   endOfSequence: "</s>")
/// let trained = try trainer.train(on: documents)
/// try trained.write(toDirectory: "base")     // tokenizer.json, tokenizer_config.json
/// trained.tokenizer.encode("Hello")          // starts with 0, "<s>"
/// ```
///
/// Cost: proportional to the text for counting its words, then to the number of distinct words; a
/// few seconds for 5 MB and 8,000 tokens.
public struct BytePairTrainer: Sendable {
  /// The size of the vocabulary: special tokens, 256 bytes, and learned tokens.
  public var vocabularySize: Int
  /// The special tokens, with ids from 0, found in text by their spelling. Training ignores text
  /// that spells them.
  public var specialTokens: [String]
  /// The special token that every encoded text starts with, if any.
  public var beginningOfSequence: String?
  /// The special token that ends a text. The files name it; encoding does not add it.
  public var endOfSequence: String?
  /// The minimum frequency of a pair. If no pair reaches it, the vocabulary stays smaller.
  public var minimumFrequency: Int

  /// Creates a trainer for a vocabulary of the given size.
  public init(
    vocabularySize: Int, specialTokens: [String] = [], beginningOfSequence: String? = nil,
    endOfSequence: String? = nil, minimumFrequency: Int = 2
  ) {
    self.vocabularySize = vocabularySize
    self.specialTokens = specialTokens
    self.beginningOfSequence = beginningOfSequence
    self.endOfSequence = endOfSequence
    self.minimumFrequency = minimumFrequency
  }

  /// Trains a tokenizer.
  ///
  /// - Throws: ``TokenizerError`` if the vocabulary is too small for the special tokens and the
  ///   bytes, if special tokens repeat or do not include the two named ones, or if there is no
  ///   text.
  public func train(on documents: some Sequence<String>) throws(TokenizerError) -> TrainedTokenizer
  {
    try check()
    let counts = try countWords(of: documents)
    guard !counts.isEmpty else {
      throw TokenizerError(
        .inconsistent, expected: "text to learn from", found: "no documents, or empty ones",
        advice: "check where the documents come from")
    }
    var state = TrainingState(counts: counts, firstByte: specialTokens.count)
    while state.tokens.count < vocabularySize,
      let pair = state.mostFrequentPair(atLeast: max(minimumFrequency, 1))
    {
      state.merge(pair)
    }
    return try TrainedTokenizer(self, state)
  }

  private func check() throws(TokenizerError) {
    let least = specialTokens.count + 256
    guard (least...1 << 20).contains(vocabularySize) else {
      throw TokenizerError(
        .inconsistent, place: "vocabularySize",
        expected: "\(least) (special tokens and bytes) to \(1 << 20)", found: "\(vocabularySize)",
        advice: "choose another size")
    }
    let spellings = Set(specialTokens.map { Array($0.utf8) })
    guard spellings.count == specialTokens.count, !spellings.contains([]) else {
      throw TokenizerError(
        .inconsistent, place: "specialTokens", expected: "different tokens, none of them empty",
        found: "\(specialTokens)", advice: "remove what is repeated or empty")
    }
    for token in [beginningOfSequence, endOfSequence] {
      guard let token, !spellings.contains(Array(token.utf8)) else { continue }
      throw TokenizerError(
        .inconsistent, place: "specialTokens", expected: "\(token) among the special tokens",
        found: "\(specialTokens)", advice: "add it")
    }
  }

  /// How often each word occurs, its bytes written in GPT-2's alphabet.
  private func countWords(
    of documents: some Sequence<String>
  ) throws(TokenizerError) -> [[UInt8]: Int] {
    var added = AddedTokens()
    let vocabulary = Vocabulary(capacity: 0)
    for token in specialTokens {
      _ = added.add(
        AddedToken(content: Array(token.utf8), isNormalized: false, isSpecial: true),
        vocabulary: vocabulary, normalize: nil)
    }
    added.finish()
    let reader = DefinitionReader(.null, file: "")
    let splitter = PreTokenizer.sequence([
      .digits(areIndividual: true),
      .byteLevel(
        addsPrefixSpace: false,
        splitter: try reader.expression(PreTokenizer.byteLevelPattern)),
    ])
    let cutter = WordCutter(splitter.steps[...])
    let counter = WordCounter()
    for document in documents {
      var document = document
      document.withUTF8 { bytes in
        added.forEachPart(of: bytes, range: 0..<bytes.count, stage: .raw) { range, id in
          guard id == nil else { return }
          cutter?.cut(bytes, range, startsText: range.lowerBound == 0, to: counter)
        }
      }
    }
    return counter.counts
  }

  private final class WordCounter: WordReceiver {
    var counts: [[UInt8]: Int] = [:]

    func receive(_ word: UnsafeBufferPointer<UInt8>, _: UnsafePointer<Origin>?) {
      counts[Array(word), default: 0] += 1
    }
  }

  fileprivate func definition(_ state: TrainingState) -> JSONObject {
    var vocabulary = JSONObject()
    for (id, token) in specialTokens.enumerated() { vocabulary[token] = .integer(Int64(id)) }
    for (index, token) in state.tokens.enumerated().dropFirst(specialTokens.count) {
      vocabulary[String(decoding: token, as: UTF8.self)] = .integer(Int64(index))
    }
    let byteLevel: JSONObject = [
      "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true,
    ]
    return [
      "version": "1.0",
      "truncation": nil,
      "padding": nil,
      "added_tokens": .array(
        specialTokens.enumerated().map { id, token in
          [
            "id": .integer(Int64(id)), "content": .string(token), "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false, "special": true,
          ]
        }),
      "normalizer": nil,
      "pre_tokenizer": [
        "type": "Sequence",
        "pretokenizers": [
          ["type": "Digits", "individual_digits": true], .object(byteLevel),
        ],
      ],
      "post_processor": template() ?? .object(byteLevel),
      "decoder": .object(byteLevel),
      "model": [
        "type": "BPE", "dropout": nil, "unk_token": nil, "continuing_subword_prefix": nil,
        "end_of_word_suffix": nil, "fuse_unk": false, "byte_fallback": false,
        "ignore_merges": false, "vocab": .object(vocabulary),
        "merges": .array(
          state.merges.map { left, right in
            [
              .string(String(decoding: state.tokens[Int(left)], as: UTF8.self)),
              .string(String(decoding: state.tokens[Int(right)], as: UTF8.self)),
            ]
          }),
      ],
    ]
  }

  /// The template that puts the beginning of sequence before a text.
  private func template() -> JSONValue? {
    guard let token = beginningOfSequence, let id = id(of: token) else { return nil }
    let special: JSONValue = ["SpecialToken": ["id": .string(token), "type_id": 0]]
    func sequence(_ name: JSONValue) -> JSONValue {
      ["Sequence": ["id": name, "type_id": 0]]
    }
    return [
      "type": "TemplateProcessing",
      "single": [special, sequence("A")],
      "pair": [special, sequence("A"), special, sequence("B")],
      "special_tokens": .object([
        token: [
          "id": .string(token), "ids": [.integer(Int64(id))], "tokens": [.string(token)],
        ]
      ]),
    ]
  }

  fileprivate func id(of token: String?) -> Int? {
    guard let token else { return nil }
    let bytes = Array(token.utf8)
    return specialTokens.firstIndex { Array($0.utf8) == bytes }
  }

  fileprivate func configuration() -> JSONObject {
    var config: JSONObject = [
      "tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": false,
    ]
    if let beginningOfSequence {
      config["bos_token"] = .string(beginningOfSequence)
      config["add_bos_token"] = true
    }
    if let endOfSequence { config["eos_token"] = .string(endOfSequence) }
    return config
  }
}

/// The result of a ``BytePairTrainer``.
public struct TrainedTokenizer: Sendable {
  /// The tokenizer, as read from the files.
  public let tokenizer: TokenizerPipeline
  /// The text of its `tokenizer.json`, which Hugging Face's `tokenizers` reads.
  public let definition: String
  /// The text of its `tokenizer_config.json`, which `transformers` reads.
  public let configuration: String

  fileprivate init(
    _ trainer: BytePairTrainer, _ state: TrainingState
  ) throws(TokenizerError) {
    definition = trainer.definition(state).encoded(pretty: true) + "\n"
    configuration = trainer.configuration().encoded(pretty: true) + "\n"
    var parts = try TokenizerDefinition(json: definition)
    parts.beginningOfSequence = trainer.id(of: trainer.beginningOfSequence)
    parts.endOfSequence = trainer.id(of: trainer.endOfSequence)
    tokenizer = TokenizerPipeline(parts)
  }

  /// Writes `tokenizer.json` and `tokenizer_config.json`, each completely or not at all.
  public func write(toDirectory path: String) throws(TokenizerError) {
    for (name, text) in [("tokenizer.json", definition), ("tokenizer_config.json", configuration)] {
      let file = path.hasSuffix("/") ? path + name : "\(path)/\(name)"
      do {
        try Data(text.utf8).write(to: URL(fileURLWithPath: file), options: .atomic)
      } catch {
        throw TokenizerError(
          .unreadable, file: file, expected: "a file that can be written",
          found: error.localizedDescription, advice: "check the folder and the free space")
      }
    }
  }
}

/// Words as tokens, and where each pair of tokens occurs.
private struct TrainingState {
  private struct Candidate {
    var count: Int
    var pair: UInt64

    func precedes(_ other: Candidate) -> Bool {
      count != other.count ? count > other.count : pair < other.pair
    }
  }

  /// Spellings by id; those of special tokens are empty.
  private(set) var tokens: [[UInt8]]
  private(set) var merges: [(Int32, Int32)] = []
  private var ids: [[UInt8]: Int32] = [:]
  private var words: [[Int32]] = []
  private var frequencies: [Int] = []
  private var counts: [UInt64: Int] = [:]
  private var places: [UInt64: [Int32]] = [:]
  /// A binary heap; an entry whose count has changed since is put right when it comes up.
  private var queue: [Candidate] = []

  init(counts words: [[UInt8]: Int], firstByte: Int) {
    tokens = [[UInt8]](repeating: [], count: firstByte)
    for byte in UInt8.min ... .max {
      var spelling: [UInt8] = []
      ByteLevelAlphabet.append(byte, to: &spelling)
      ids[spelling] = Int32(tokens.count)
      tokens.append(spelling)
    }
    for (spelling, frequency) in words {
      let bytes = ByteLevelAlphabet.bytes(of: spelling) ?? []
      let word = Int32(self.words.count)
      self.words.append(bytes.map { Int32(firstByte) + Int32($0) })
      frequencies.append(frequency)
      countPairs(of: word, frequency, addsPlaces: true)
    }
    for (pair, count) in counts { insert(Candidate(count: count, pair: pair)) }
  }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  private mutating func countPairs(of word: Int32, _ change: Int, addsPlaces: Bool) {
    let symbols = words[Int(word)]
    for i in 1..<max(symbols.count, 1) {
      let pair = Self.pair(symbols[i - 1], symbols[i])
      counts[pair, default: 0] += change
      if addsPlaces, places[pair]?.last != word { places[pair, default: []].append(word) }
    }
  }

  mutating func mostFrequentPair(atLeast least: Int) -> UInt64? {
    while let top = pop() {
      let count = counts[top.pair] ?? 0
      if count == top.count {
        return count >= least ? top.pair : nil
      }
      // Counts that rose were put in again; this one fell.
      if count > 0, count < top.count { insert(Candidate(count: count, pair: top.pair)) }
    }
    return nil
  }

  mutating func merge(_ pair: UInt64) {
    let left = Int32(truncatingIfNeeded: pair >> 32)
    let right = Int32(truncatingIfNeeded: pair & 0xFFFF_FFFF)
    merges.append((left, right))
    let spelling = tokens[Int(left)] + tokens[Int(right)]
    let merged: Int32
    if let known = ids[spelling] {
      merged = known
    } else {
      merged = Int32(tokens.count)
      tokens.append(spelling)
      ids[spelling] = merged
    }
    var risen: Set<UInt64> = []
    for word in places.removeValue(forKey: pair) ?? [] {
      let old = words[Int(word)]
      var symbols: [Int32] = []
      symbols.reserveCapacity(old.count)
      var i = 0
      while i < old.count {
        if i + 1 < old.count, old[i] == left, old[i + 1] == right {
          symbols.append(merged)
          i += 2
        } else {
          symbols.append(old[i])
          i += 1
        }
      }
      guard symbols.count < old.count else { continue }
      let frequency = frequencies[Int(word)]
      countPairs(of: word, -frequency, addsPlaces: false)
      words[Int(word)] = symbols
      for i in 1..<max(symbols.count, 1) {
        let pair = Self.pair(symbols[i - 1], symbols[i])
        counts[pair, default: 0] += frequency
        if symbols[i - 1] == merged || symbols[i] == merged {
          risen.insert(pair)
          if places[pair]?.last != word { places[pair, default: []].append(word) }
        }
      }
    }
    counts[pair] = nil
    for pair in risen {
      if let count = counts[pair], count > 0 { insert(Candidate(count: count, pair: pair)) }
    }
  }

  private mutating func insert(_ candidate: Candidate) {
    queue.append(candidate)
    var child = queue.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard queue[child].precedes(queue[parent]) else { return }
      queue.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func pop() -> Candidate? {
    guard let top = queue.first else { return nil }
    let last = queue.removeLast()
    guard !queue.isEmpty else { return top }
    queue[0] = last
    var parent = 0
    while true {
      var child = 2 * parent + 1
      guard child < queue.count else { return top }
      if child + 1 < queue.count, queue[child + 1].precedes(queue[child]) { child += 1 }
      guard queue[child].precedes(queue[parent]) else { return top }
      queue.swapAt(child, parent)
      parent = child
    }
  }
}
