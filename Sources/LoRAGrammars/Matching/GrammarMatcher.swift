/// Reads a text byte by byte and says whether a grammar allows it so far.
///
/// A value: a copy goes on by itself. Each byte costs one look-up where it was met before at the
/// same place, else a step for each way in which the text so far can be read.
package struct GrammarMatcher: Sendable {
  var table: PlaceTable
  private(set) var place: Int32

  /// Begins before the first byte.
  package init(_ grammar: Grammar) throws(ConstraintError) {
    table = PlaceTable(grammar)
    place = try table.start()
  }

  /// Whether the text may end here.
  package var mayEnd: Bool { table.mayEnd(place) }

  /// Whether anything may follow.
  package var mayContinue: Bool { !table.places[Int(place)].items.isEmpty }

  /// Takes a byte; false, and nothing changed, if it may not follow.
  package mutating func advance(_ byte: UInt8) throws(ConstraintError) -> Bool {
    let next = try table.next(place, byte)
    guard next != PlaceTable.dead else { return false }
    place = next
    return true
  }

  /// Takes all bytes; false, and nothing changed, if they may not follow.
  package mutating func advance(_ bytes: some Sequence<UInt8>) throws(ConstraintError) -> Bool {
    let before = place
    for byte in bytes where try !advance(byte) {
      place = before
      return false
    }
    return true
  }

  /// Whether these bytes may follow. What is learned on the way is kept.
  mutating func allows(_ bytes: some Sequence<UInt8>) throws(ConstraintError) -> Bool {
    let before = place
    defer { place = before }
    return try advance(bytes)
  }

  /// Forgets what it learned if that has become much. Numbers of places are other ones then: true.
  mutating func forgetIfFull() -> Bool {
    guard table.isFull else { return false }
    place = table.forgetAll(but: place)
    return true
  }
}
