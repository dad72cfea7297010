extension GrammarBuilder {
  /// By state, how many calls deep at least one has to go to reach an end; ``Grammar/unreachable``
  /// where there is none.
  ///
  /// With it a matcher that has a limit of depth never enters what it could not leave again, and a
  /// schema that nothing fulfils is known as such.
  func heights() -> [Int32] {
    var heights = [Int32](repeating: Grammar.unreachable, count: nodes.count)
    var users = [[Int32]](repeating: [], count: nodes.count)
    for (i, node) in nodes.enumerated() {
      for edge in node.edges { users[Int(edge.target)].append(Int32(i)) }
      for skip in node.skips { users[Int(skip)].append(Int32(i)) }
      for call in node.calls {
        users[Int(call.start)].append(Int32(i))
        if call.back != Grammar.tail { users[Int(call.back)].append(Int32(i)) }
      }
    }
    // Heights only fall, in the order in which they become known: nearly every state once.
    var queue: [Int32] = nodes.indices.filter { nodes[$0].isFinal }.map(Int32.init)
    for state in queue { heights[Int(state)] = 0 }
    var next = 0
    while next < queue.count {
      for user in users[Int(queue[next])] {
        let height = height(of: user, heights)
        if height < heights[Int(user)] {
          heights[Int(user)] = height
          queue.append(user)
        }
      }
      next += 1
    }
    return heights
  }

  private func height(of state: Int32, _ heights: [Int32]) -> Int32 {
    let node = nodes[Int(state)]
    if node.isFinal { return 0 }
    var least = Grammar.unreachable
    for edge in node.edges { least = min(least, heights[Int(edge.target)]) }
    for skip in node.skips { least = min(least, heights[Int(skip)]) }
    for call in node.calls {
      let inside = heights[Int(call.start)]
      let height =
        call.back == Grammar.tail ? inside : max(inside + 1, heights[Int(call.back)])
      least = min(least, height)
    }
    return min(least, Grammar.unreachable)
  }

  /// The grammar whose texts begin at `start`; throws if there are none.
  func grammar(from start: Int32, place: String) throws(ConstraintError) -> Grammar {
    try checkSize(place: place)
    let heights = heights()
    guard heights[Int(start)] < Grammar.unreachable else {
      throw ConstraintError(
        .unsatisfiable, place: place, expected: "something that a text can fulfil",
        found: "requirements that contradict each other, or a value that contains itself",
        advice: "remove one of them")
    }
    return Grammar(start: start, nodes: nodes, heights: heights)
  }
}
