extension GrammarBuilder {
  /// Goes from `from` to `target` by way of a number of the range.
  mutating func number(
    _ from: Int32, _ range: NumberRange, to target: Int32, place: String
  ) throws(ConstraintError) {
    guard let fractionDigits = range.fractionDigits else {
      throw ConstraintError(
        .unsupported, place: place, expected: "an exclusive bound of at most 14 digits",
        found: "one with more, which doubles cannot tell from its neighbours",
        advice: "use fewer digits, or minimum and maximum")
    }
    let scanner = NumberScanner(range, fractionDigits: fractionDigits)
    let first = NumberScanner.State()
    var places = [first: from]
    var queue = [first]
    var next = 0
    while next < queue.count {
      let state = queue[next]
      guard let origin = places[state] else { break }
      next += 1
      if scanner.accepts(state) { skip(origin, to: target) }
      for byte in "+-.0123456789Ee".utf8 {
        guard let following = scanner.next(state, byte) else { continue }
        if places[following] == nil {
          guard queue.count < NumberRange.mostStates else {
            throw ConstraintError(
              .tooLarge, place: place,
              expected: "a range and a multipleOf that \(NumberRange.mostStates) states can follow",
              found: "more", advice: "use a smaller multipleOf or closer bounds")
          }
          places[following] = self.state()
          queue.append(following)
        }
        if let known = places[following] { edge(origin, byte, byte, to: known) }
      }
    }
  }
}
