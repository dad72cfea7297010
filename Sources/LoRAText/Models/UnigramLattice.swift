import LoRAPatterns

/// The ways to cut a text into pieces, and the best of them: the one whose scores have the highest sum. By
/// Viterbi's algorithm, in time linear in the text.
///
/// Pieces are settled where none crosses, once enough bytes are behind it: memory does not grow with the text, as
/// a rule.
struct UnigramLattice<Score: BinaryFloatingPoint & Sendable> {
  /// The best way to a place: its score, and the last piece on it.
  private struct Place {
    var score: Score = 0
    var start: Int32 = -1
    var id: Int32 = -1
  }

  /// What pieces are found by, and what they are worth.
  struct Pieces: Sendable {
    let trie: ByteTrie
    /// By id.
    let scores: [Score]
    /// The ids that are found and not used; empty if there are none.
    var isUnused: [Bool] = []
    /// What a code point that no piece is becomes.
    let unknown: Int32
    let unknownScore: Score
    /// Whether sums go on behind a settled part, or begin anew.
    let keepsSums: Bool
  }

  /// The fewest bytes that are settled before the end.
  private static var settledLength: Int { 1 << 14 }

  /// By distance from the last settled place.
  private var places: [Place] = []
  private var path: [Int] = []

  /// Calls `body` with the pieces of the best way through `text` and where they are.
  mutating func forEachPiece(
    of text: UnsafeBufferPointer<UInt8>, _ pieces: Pieces,
    _ body: (_ id: Int32, _ place: Range<Int>) -> Void
  ) {
    // In a variable of its own while it runs: through a property the search takes a tenth longer.
    var places: [Place] = []
    swap(&places, &self.places)
    defer { swap(&places, &self.places) }
    places.removeAll(keepingCapacity: true)
    places.append(Place())
    let hasUnused = !pieces.isUnused.isEmpty
    pieces.trie.withView { trie in
      pieces.scores.withUnsafeBufferPointer { scores in
        var base = 0
        var position = 0
        while base + position < text.count {
          // The end of the places is as far as anything has reached.
          if position >= Self.settledLength, position == places.count - 1 {
            settle(places, from: base, body)
            base += position
            let score = pieces.keepsSums ? places[position].score : 0
            places.removeAll(keepingCapacity: true)
            places.append(Place(score: score))
            position = 0
          }
          position += Self.extend(
            text, from: base, at: position, pieces, trie, scores, hasUnused, &places)
        }
        settle(places, from: base, body)
      }
    }
  }

  /// Tries all pieces that begin at a place; returns the length of its code point.
  @inline(__always)
  private static func extend(
    _ text: UnsafeBufferPointer<UInt8>, from base: Int, at position: Int, _ pieces: Pieces,
    _ trie: ByteTrie.View, _ scores: UnsafeBufferPointer<Score>, _ hasUnused: Bool,
    _ places: inout [Place]
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
      guard id >= 0, !hasUnused || !pieces.isUnused[Int(id)] else { continue }
      offer(score + scores[Int(id)], id, from: position, to: end, &places)
      if end - position == length { hasSingle = true }
    }
    if !hasSingle {
      offer(
        score + pieces.unknownScore, pieces.unknown, from: position, to: position + length, &places)
    }
    return length
  }

  @inline(__always)
  private static func offer(
    _ score: Score, _ id: Int32, from start: Int, to end: Int, _ places: inout [Place]
  ) {
    while places.count <= end { places.append(Place()) }
    guard places[end].start < 0 || score > places[end].score else { return }
    places[end] = Place(score: score, start: Int32(start), id: id)
  }

  /// Tells the pieces of the best way to the last place.
  private mutating func settle(
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

  /// Gives back memory that a long text has taken.
  mutating func trim() {
    if places.capacity > 1 << 18 { places = [] }
    if path.capacity > 1 << 18 { path = [] }
  }
}
