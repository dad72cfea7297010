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

  init(
    vocabulary: Vocabulary, scores: [Double], unknown: Int32, fallsBackToBytes: Bool
  ) throws(TokenizerError) {
    self.vocabulary = vocabulary
    self.scores = scores
    self.unknown = unknown
    byteIDs = fallsBackToBytes ? vocabulary.byteIDs : nil
    trie = try ByteTrie(of: vocabulary)
    unknownScore = (scores.min() ?? 0) - 10
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
    var base = 0
    var position = 0
    /// The first byte that has not been decided to be unknown or not.
    var unknownStart: Int?
    places.removeAll(keepingCapacity: true)
    places.append(Place())
    while base + position < word.count {
      // The end of the places is as far as anything has reached.
      if position >= Self.settledLength, position == places.count - 1 {
        settle(word, from: base, &unknownStart, into: &ids)
        base += position
        places.replaceSubrange(0..., with: CollectionOfOne(Place(score: places[position].score)))
        position = 0
      }
      position += extend(word, from: base, at: position)
    }
    settle(word, from: base, &unknownStart, into: &ids)
    if let start = unknownStart {
      appendUnknown(UnsafeBufferPointer(rebasing: word[start...]), to: &ids)
    }
  }

  /// Tries all tokens that begin at a place; returns the length of its code point.
  private func extend(
    _ word: UnsafeBufferPointer<UInt8>, from base: Int, at position: Int
  ) -> Int {
    let length = scalarLength(startingWith: word[base + position])
    let score = places[position].score
    var hasSingle = false
    var node = ByteTrie.root
    var end = position
    while base + end < word.count, let child = model.trie.child(of: node, word[base + end]) {
      node = child
      end += 1
      guard let id = model.trie.id(at: node) else { continue }
      offer(score + model.scores[Int(id)], id, from: position, to: end)
      if end - position == length { hasSingle = true }
    }
    if !hasSingle {
      offer(score + model.unknownScore, model.unknown, from: position, to: position + length)
    }
    return length
  }

  private func offer(_ score: Double, _ id: Int32, from start: Int, to end: Int) {
    while places.count <= end { places.append(Place()) }
    guard places[end].start < 0 || score > places[end].score else { return }
    places[end] = Place(score: score, start: Int32(start), id: id)
  }

  /// Appends the ids of the best way to the last place.
  private func settle(
    _ word: UnsafeBufferPointer<UInt8>, from base: Int, _ unknownStart: inout Int?,
    into ids: inout [Int32]
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
        appendUnknown(UnsafeBufferPointer(rebasing: word[first..<start]), to: &ids)
        unknownStart = nil
      }
      ids.append(place.id)
    }
  }

  private func appendUnknown(_ text: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) {
    let id = model.vocabulary.id(of: text)
    if id >= 0 {
      ids.append(id)
    } else if let byteIDs = model.byteIDs, text.allSatisfy({ byteIDs[Int($0)] >= 0 }) {
      for byte in text { ids.append(byteIDs[Int(byte)]) }
    } else {
      ids.append(model.unknown)
    }
  }

  func trim() {
    if places.capacity > 1 << 18 { places = [] }
    if path.capacity > 1 << 18 { path = [] }
  }
}
