extension GrammarBuilder {
  /// Goes from `from` to `target` by way of a text of the set, without quotes.
  mutating func text(
    _ from: Int32, _ automaton: TextAutomaton, as spelling: CharacterSpelling, to target: Int32
  ) {
    let ranges = automaton.partition.ranges
    let places = (0..<automaton.stateCount).map { _ in state() }
    skip(from, to: places[0])
    for (number, place) in places.enumerated() {
      if automaton.isAccepting[number] { skip(place, to: target) }
      // Characters that lead to the same state are one call.
      var sets: [Int32: [ClosedRange<UInt32>]] = [:]
      for (kind, ranges) in ranges.enumerated() {
        let next = automaton.next(Int32(number), kind)
        if next != TextAutomaton.dead { sets[next, default: []] += ranges }
      }
      for (next, set) in sets.sorted(by: { $0.key < $1.key }) {
        let start = self.spelling(of: Self.joined(set), as: spelling)
        call(place, start, to: places[Int(next)])
      }
    }
  }

  /// The ranges in order, those that touch made one.
  private static func joined(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
    var result: [ClosedRange<UInt32>] = []
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = result.last, last.upperBound + 1 == range.lowerBound {
        result[result.count - 1] = last.lowerBound...range.upperBound
      } else {
        result.append(range)
      }
    }
    return result
  }
}
