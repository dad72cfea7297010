extension TextAutomaton {
  /// All texts.
  static let all: TextAutomaton = {
    let partition = CodePointPartition(dividing: [])
    return TextAutomaton(
      partition: partition, transitions: [Int32](repeating: 0, count: partition.count),
      isAccepting: [true])
  }()

  /// The texts of `least...most` code points; `most` is nil where there is no limit.
  static func length(
    _ least: Int, _ most: Int?, place: String
  ) throws(ConstraintError) -> TextAutomaton {
    let partition = CodePointPartition(dividing: [])
    return try exploring(0, over: partition, place: place, isAccepting: { $0 >= least }) {
      count, _ in
      if let most { return count < most ? count + 1 : nil }
      return Swift.min(count + 1, least)
    }
  }

  /// Just these texts.
  static func literals(
    _ texts: [String], place: String
  ) throws(ConstraintError) -> TextAutomaton {
    let texts = texts.map { Array($0.unicodeScalars.map(\.value)) }
    let codes = Set(texts.joined()).sorted()
    let partition = CodePointPartition(dividing: codes.map { [$0...$0] })
    var children: [[Int32: Int]] = [[:]]
    var isEnd = [false]
    for text in texts {
      var node = 0
      for code in text {
        let number = partition.number(of: code)
        if let known = children[node][number] {
          node = known
        } else {
          children[node][number] = children.count
          node = children.count
          children.append([:])
          isEnd.append(false)
        }
      }
      isEnd[node] = true
    }
    return try exploring(0, over: partition, place: place, isAccepting: { isEnd[$0] }) {
      children[$0][Int32($1)]
    }
  }

  /// The texts that are not in the set.
  func complement(place: String) throws(ConstraintError) -> TextAutomaton {
    try Self.exploring(
      Int32(0), over: partition, place: place,
      isAccepting: { $0 == Self.dead || !isAccepting[Int($0)] }
    ) { state, number in state == Self.dead ? state : next(state, number) }
  }

  /// The texts of both sets.
  func intersection(
    _ other: TextAutomaton, place: String
  ) throws(ConstraintError) -> TextAutomaton {
    struct Pair: Hashable {
      var left: Int32
      var right: Int32
    }
    let common = CodePointPartition(dividing: partition.ranges + other.partition.ranges)
    // By class of the common division, those of the two.
    let samples = common.ranges.map { $0[0].lowerBound }
    let lefts = samples.map { Int(partition.number(of: $0)) }
    let rights = samples.map { Int(other.partition.number(of: $0)) }
    return try Self.exploring(
      Pair(left: 0, right: 0), over: common, place: place,
      isAccepting: { isAccepting[Int($0.left)] && other.isAccepting[Int($0.right)] }
    ) { pair, number in
      let left = next(pair.left, lefts[number])
      let right = other.next(pair.right, rights[number])
      return left == Self.dead || right == Self.dead ? nil : Pair(left: left, right: right)
    }
  }
}
