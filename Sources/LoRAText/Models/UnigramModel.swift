import LoRAJSON
import LoRAPatterns

/// SentencePiece's unigram model: of all ways to cut a word into tokens, the one whose scores, the
/// logarithms of their probabilities, have the highest sum (Kudo, arXiv 1804.10959).
///
/// A code point that no token begins with is unknown, at a score below all others; neighbours that
/// are unknown are one unknown token, or the tokens of their bytes where the model has them.
struct UnigramModel: WordModel {
  let vocabulary: Vocabulary
  /// By id.
  let scores: [Double]
  let unknown: Int32
  /// The ids of "<0x00>"..."<0xFF>" where what is unknown is spelled in them.
  let byteIDs: [Int32]?
  fileprivate let trie: ByteTrie
  fileprivate let unknownScore: Double

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - vocabulary: All tokens.
  ///   - pieces: Those that are found in words; nil for all.
  ///   - scores: The score of every id.
  ///   - lowestScore: That of the unknown is 10 below it; nil for the lowest of `scores`.
  ///   - unknown: The unknown token.
  ///   - fallsBackToBytes: Whether what is unknown is spelled in bytes.
  init(
    vocabulary: Vocabulary, pieces: Vocabulary? = nil, scores: [Double],
    lowestScore: Double? = nil, unknown: Int32, fallsBackToBytes: Bool
  ) throws(TokenizerError) {
    self.vocabulary = vocabulary
    self.scores = scores
    self.unknown = unknown
    byteIDs = fallsBackToBytes ? vocabulary.byteIDs : nil
    trie = try ByteTrie(of: pieces ?? vocabulary)
    unknownScore = (lowestScore ?? scores.min() ?? 0) - 10
  }

  init(_ reader: DefinitionReader) throws(TokenizerError) {
    let list = try reader.required("vocab")
    guard case .array(let entries) = list.value, !entries.isEmpty else {
      throw list.error(
        .malformed, expected: "an array of tokens and scores", found: list.value.kind,
        advice: "correct the file")
    }
    var vocabulary = Vocabulary(capacity: entries.count)
    var scores: [Double] = []
    scores.reserveCapacity(entries.count)
    for (id, entry) in entries.enumerated() {
      func fail(
        _ kind: TokenizerError.Kind, _ expected: String, _ found: String
      ) -> TokenizerError {
        DefinitionReader(entry, file: reader.file, place: "\(list.place)[\(id)]").error(
          kind, expected: expected, found: found, advice: "correct the vocabulary")
      }
      guard case .array(let pair) = entry, pair.count == 2, case .string(let token) = pair[0],
        let score = pair[1].doubleValue, score.isFinite
      else { throw fail(.malformed, "a token and its score", entry.encoded()) }
      guard withBytes(of: token, { vocabulary.insert($0, id: id) }) else {
        throw fail(.inconsistent, "a token of its own", "'\(token)', which another id has")
      }
      scores.append(score)
    }
    guard let unknown = try reader.optional("unk_id")?.integer() else {
      throw reader.at("unk_id").error(
        .unsupported, expected: "the id of the unknown token", found: "none",
        advice: "name one: texts with unknown characters could not be encoded")
    }
    guard unknown < entries.count else {
      throw reader.at("unk_id").error(
        .inconsistent, expected: "an id below \(entries.count)", found: "\(unknown)",
        advice: "correct the file")
    }
    try self.init(
      vocabulary: vocabulary, scores: scores, unknown: Int32(unknown),
      fallsBackToBytes: try reader.optional("byte_fallback")?.boolean() ?? false)
  }

  func makeEncoder() -> any WordEncoder { UnigramEncoder(self) }
}

/// Finds the best way to cut a word by Viterbi's algorithm, in time linear in the word.
private final class UnigramEncoder: WordEncoder {
  /// The best way to a place: its score, and the last token on it.
  private struct Place {
    var score = 0.0
    var start: Int32 = -1
    var id: Int32 = -1
  }

  /// Tokens are settled where nothing crosses, once so many bytes are behind it: memory does not grow
  /// with the word, as a rule.
  private static let settledLength = 1 << 14

  private let model: UnigramModel
  /// By distance from the last settled place.
  private var places: [Place] = []
  private var path: [Int] = []

  init(_ model: UnigramModel) { self.model = model }

  func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
    search(word) { appendIDs(of: word, $0, to: &ids) }
  }

  func trace(_ word: UnsafeBufferPointer<UInt8>, into tokens: inout [TracedToken]) {
    search(word) { appendTokens(of: word, $0, to: &tokens) }
  }

  /// What was found in a word: a token, or a run of unknown code points.
  private enum Found {
    case token(Int32, Range<Int>)
    case unknown(Range<Int>)
  }

  private func search(_ word: UnsafeBufferPointer<UInt8>, _ body: (Found) -> Void) {
    // In a variable of its own while it runs: a property is checked at each access.
    var places: [Place] = []
    swap(&places, &self.places)
    defer { swap(&places, &self.places) }
    places.removeAll(keepingCapacity: true)
    places.append(Place())
    /// The first byte that has not been decided to be unknown or not.
    var unknownStart: Int?
    model.trie.withView { trie in
      model.scores.withUnsafeBufferPointer { scores in
        var base = 0
        var position = 0
        while base + position < word.count {
          // The end of the places is as far as anything has reached.
          if position >= Self.settledLength, position == places.count - 1 {
            settle(places, from: base, &unknownStart, body)
            base += position
            let score = places[position].score
            places.removeAll(keepingCapacity: true)
            places.append(Place(score: score))
            position = 0
          }
          position += extend(word, from: base, at: position, trie, scores, &places)
        }
        settle(places, from: base, &unknownStart, body)
      }
    }
    if let start = unknownStart { body(.unknown(start..<word.count)) }
  }

  /// Tries all tokens that begin at a place; returns the length of its code point.
  @inline(__always)
  private func extend(
    _ word: UnsafeBufferPointer<UInt8>, from base: Int, at position: Int, _ trie: ByteTrie.View,
    _ scores: UnsafeBufferPointer<Double>, _ places: inout [Place]
  ) -> Int {
    let length = scalarLength(startingWith: word[base + position])
    let score = places[position].score
    var hasSingle = false
    var node = ByteTrie.root
    var end = position
    while base + end < word.count {
      node = trie.child(of: node, word[base + end])
      guard node >= 0 else { break }
      end += 1
      let id = trie.id(at: node)
      guard id >= 0 else { continue }
      Self.offer(score + scores[Int(id)], id, from: position, to: end, &places)
      if end - position == length { hasSingle = true }
    }
    if !hasSingle {
      Self.offer(
        score + model.unknownScore, model.unknown, from: position, to: position + length, &places)
    }
    return length
  }

  @inline(__always)
  private static func offer(
    _ score: Double, _ id: Int32, from start: Int, to end: Int, _ places: inout [Place]
  ) {
    while places.count <= end { places.append(Place()) }
    guard places[end].start < 0 || score > places[end].score else { return }
    places[end] = Place(score: score, start: Int32(start), id: id)
  }

  /// Tells the tokens of the best way to the last place.
  private func settle(
    _ places: [Place], from base: Int, _ unknownStart: inout Int?, _ body: (Found) -> Void
  ) {
    path.removeAll(keepingCapacity: true)
    var end = places.count - 1
    while end > 0 {
      path.append(end)
      end = Int(places[end].start)
    }
    for end in path.reversed() {
      let place = places[end]
      let start = base + Int(place.start)
      if place.id == model.unknown {
        unknownStart = unknownStart ?? start
        continue
      }
      if let first = unknownStart {
        body(.unknown(first..<start))
        unknownStart = nil
      }
      body(.token(place.id, start..<base + end))
    }
  }

  private func appendIDs(
    of word: UnsafeBufferPointer<UInt8>, _ found: Found, to ids: inout [Int32]
  ) {
    switch found {
    case .token(let id, _): ids.append(id)
    case .unknown(let range):
      let text = UnsafeBufferPointer(rebasing: word[range])
      let id = model.vocabulary.id(of: text)
      if id >= 0 {
        ids.append(id)
      } else if let byteIDs = byteIDs(of: text) {
        ids.append(contentsOf: byteIDs)
      } else {
        ids.append(model.unknown)
      }
    }
  }

  private func appendTokens(
    of word: UnsafeBufferPointer<UInt8>, _ found: Found, to tokens: inout [TracedToken]
  ) {
    switch found {
    case .token(let id, let range): tokens.append(TracedToken(id: id, range: range))
    case .unknown(let range):
      let text = UnsafeBufferPointer(rebasing: word[range])
      let id = model.vocabulary.id(of: text)
      if id >= 0 {
        tokens.append(TracedToken(id: id, range: range))
      } else if let byteIDs = byteIDs(of: text) {
        // Each is told to stand for the whole.
        tokens.append(contentsOf: byteIDs.map { TracedToken(id: $0, range: range) })
      } else {
        tokens.append(TracedToken(id: model.unknown, range: range, isCalledByText: true))
      }
    }
  }

  private func byteIDs(of text: UnsafeBufferPointer<UInt8>) -> [Int32]? {
    guard let byteIDs = model.byteIDs, text.allSatisfy({ byteIDs[Int($0)] >= 0 }) else {
      return nil
    }
    return text.map { byteIDs[Int($0)] }
  }

  func trim() {
    if places.capacity > 1 << 18 { places = [] }
    if path.capacity > 1 << 18 { path = [] }
  }
}
