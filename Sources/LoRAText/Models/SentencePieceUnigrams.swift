import LoRAPatterns

/// SentencePiece's unigram model as its own program computes it: in float32 sums over the text, by
/// whose rounding ties fall. A sum begins anew with each settled part, as sums of megabytes of text
/// would have no digits left to tell pieces apart.
///
/// Source: `unigram::Model::EncodeOptimized` of sentencepiece 0.2.
final class SentencePieceUnigrams: PieceFinder {
  /// The parts that do not change.
  struct Table: Sendable {
    let trie: ByteTrie
    /// What each piece adds to a sum.
    let scores: [Float]
    let isUnused: [Bool]
    let hasUnused: Bool
    let unknown: Int32
    let unknownScore: Float

    init(_ pieces: SentencePieces) throws(TokenizerError) {
      trie = try ByteTrie(of: pieces.findable)
      unknown = pieces.unknown
      let normal = pieces.kinds.indices.filter { pieces.kinds[$0] == .normal }
      let lowest = normal.map { pieces.scores[$0] }.min() ?? .greatestFiniteMagnitude
      // The program starts from the least positive number, so this is as good as zero.
      let highest = max(.leastNormalMagnitude, normal.map { pieces.scores[$0] }.max() ?? 0)
      unknownScore = lowest - 10
      isUnused = pieces.kinds.map { $0 == .unused }
      hasUnused = pieces.kinds.contains(.unused)
      var scores = pieces.scores
      for id in pieces.kinds.indices where pieces.kinds[id] == .userDefined {
        pieces.all.withSpelling(of: id) {
          scores[id] = Float($0.count) * highest - 0.1
        }
      }
      self.scores = scores
    }
  }

  /// The best way to a place: its score, and the last piece on it.
  private struct Place {
    var score: Float = 0
    var start: Int32 = -1
    var id: Int32 = -1
  }

  /// Pieces are settled where none crosses, once so many bytes are behind it.
  private static let settledLength = 1 << 14

  private let table: Table
  private var places: [Place] = []
  private var path: [Int] = []

  init(_ table: Table) { self.table = table }

  func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ body: (Int32, Range<Int>) -> Void
  ) {
    // In a variable of its own while it runs: a property is checked at each access.
    var places: [Place] = []
    swap(&places, &self.places)
    defer { swap(&places, &self.places) }
    places.removeAll(keepingCapacity: true)
    places.append(Place())
    table.trie.withView { trie in
      table.scores.withUnsafeBufferPointer { scores in
        var base = 0
        var position = 0
        while base + position < text.count {
          if position >= Self.settledLength, position == places.count - 1 {
            settle(places, from: base, body)
            base += position
            places.removeAll(keepingCapacity: true)
            places.append(Place())
            position = 0
          }
          position += extend(text, from: base, at: position, trie, scores, &places)
        }
        settle(places, from: base, body)
      }
    }
  }

  /// Tries all pieces that begin at a place; returns the length of its code point.
  @inline(__always)
  private func extend(
    _ text: UnsafeBufferPointer<UInt8>, from base: Int, at position: Int, _ trie: ByteTrie.View,
    _ scores: UnsafeBufferPointer<Float>, _ places: inout [Place]
  ) -> Int {
    let length = min(
      scalarLength(startingWith: text[base + position]), text.count - base - position)
    let score = places[position].score
    var hasSingle = false
    var node = ByteTrie.root
    var end = position
    while base + end < text.count {
      node = trie.child(of: node, text[base + end])
      guard node >= 0 else { break }
      end += 1
      let id = trie.id(at: node)
      guard id >= 0, !table.hasUnused || !table.isUnused[Int(id)] else { continue }
      Self.offer(score + scores[Int(id)], id, from: position, to: end, &places)
      if end - position == length { hasSingle = true }
    }
    if !hasSingle {
      Self.offer(
        score + table.unknownScore, table.unknown, from: position, to: position + length, &places)
    }
    return length
  }

  @inline(__always)
  private static func offer(
    _ score: Float, _ id: Int32, from start: Int, to end: Int, _ places: inout [Place]
  ) {
    while places.count <= end { places.append(Place()) }
    guard places[end].start < 0 || score > places[end].score else { return }
    places[end] = Place(score: score, start: Int32(start), id: id)
  }

  private func settle(
    _ places: [Place], from base: Int, _ body: (Int32, Range<Int>) -> Void
  ) {
    path.removeAll(keepingCapacity: true)
    var end = places.count - 1
    while end > 0 {
      path.append(end)
      end = Int(places[end].start)
    }
    for end in path.reversed() {
      body(places[end].id, base + Int(places[end].start)..<base + end)
    }
  }

  func trim() {
    if places.capacity > 1 << 18 { places = [] }
    if path.capacity > 1 << 18 { path = [] }
  }
}
