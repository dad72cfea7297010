/// Where the matches end that start at each place of a text: worked out for all places at once, from
/// the end of the text to its beginning, in time linear in the text for every pattern.
///
/// At a place, each state of the pattern has one outcome: where the match ends that goes on from
/// there, or that there is none. It follows from the outcomes at the next place, so that only these
/// two rows are held; choices take the first outcome that is a match, which gives the priorities of
/// backtracking. The start's outcomes are kept for one block of the text at a time: the rows at the
/// blocks' ends are remembered, and a block is worked out again when it is asked for.
struct ThoroughSearch {
  private let graph: StateGraph
  private let sets: [CodePointSet]
  private let text: UnsafeBufferPointer<UInt8>
  private let captures: Bool
  /// Of each lookbehind, a bit for every place where its inside matches.
  private var behinds: [[UInt64]] = []
  /// Of each atomic group, one more than where what follows it ends, for every place.
  private var follows: [[UInt32]]
  /// The row at the end of each block, in the text's order; the last is that of the text's end.
  private var checkpoints: [(position: Int, row: Row)] = []
  /// The start's outcomes at the places from `block.lowerBound` on.
  private var ends: [Int] = []
  private var groups: [Range<Int>?] = []
  private var block = 0..<0

  /// The outcome of every state at one place.
  private struct Row {
    var ends: [Int]
    /// Where the captured group starts and ends in that match, -1 where it does not.
    var groups: [(start: Int, end: Int)]
  }

  /// Prepares the search in `text` from `first` on; `text` must outlive it.
  init(_ expression: RegularExpression, _ text: UnsafeBufferPointer<UInt8>, from first: Int) {
    graph = StateGraph(expression)
    sets = expression.sets
    self.text = text
    captures = expression.captured != nil
    follows = Array(
      repeating: [UInt32](repeating: 0, count: text.count + 1), count: expression.atomicCount)
    behinds = graph.behindStarts.map { _ in [UInt64](repeating: 0, count: text.count / 64 + 1) }
    // An inner lookbehind has the lower index: its table is ready for what holds it. Rows have all
    // states, of which those are wrong meanwhile that depend on later tables.
    for (index, start) in graph.behindStarts.enumerated() {
      var row = emptyRow
      var bits = behinds[index]
      advance(&row, from: nil, to: 0) { position, row in
        if row.ends[start] >= 0 { bits[position / 64] |= 1 << UInt64(position % 64) }
      }
      behinds[index] = bits
    }
    let blockLength = max(1 << 14, graph.steps.count)
    var marks: [(position: Int, row: Row)] = []
    var row = emptyRow
    advance(&row, from: nil, to: first) { position, row in
      if marks.last.map({ $0.position - position >= blockLength }) ?? true {
        marks.append((position, row))
      }
    }
    marks.reverse()
    checkpoints = marks
    if let lowest = marks.first, lowest.position > first {
      checkpoints.insert((first, row), at: 0)
    }
  }

  /// Where the match ends that starts at `position`, -1 if there is none.
  mutating func end(at position: Int) -> Int {
    load(position)
    return ends[position - block.lowerBound]
  }

  /// The captured group of the match that starts at `position`.
  mutating func group(at position: Int) -> Range<Int>? {
    load(position)
    return groups[position - block.lowerBound]
  }

  /// Works out the block that `position` lies in, unless it is there.
  private mutating func load(_ position: Int) {
    guard !block.contains(position) else { return }
    // The first checkpoint behind the position, or that of the text's end.
    var (low, high) = (0, checkpoints.count - 1)
    while low < high {
      let middle = (low + high) / 2
      if checkpoints[middle].position > position { high = middle } else { low = middle + 1 }
    }
    let checkpoint = checkpoints[low]
    let start = low > 0 ? checkpoints[low - 1].position : position
    let isLast = low == checkpoints.count - 1
    block = start..<(isLast ? text.count + 1 : checkpoint.position)
    var ends = [Int](repeating: -1, count: block.count)
    var groups = [Range<Int>?](repeating: nil, count: captures ? block.count : 0)
    let (root, captures) = (graph.start, captures)
    func keep(_ position: Int, _ row: Row) {
      ends[position - start] = row.ends[root]
      guard captures, row.ends[root] >= 0 else { return }
      let group = row.groups[root]
      if group.start >= 0, group.end >= group.start {
        groups[position - start] = group.start..<group.end
      }
    }
    if isLast { keep(text.count, checkpoint.row) }
    var row = checkpoint.row
    advance(&row, from: checkpoint.position, to: start, keep)
    self.ends = ends
    self.groups = groups
  }

  private var emptyRow: Row {
    Row(
      ends: Array(repeating: -1, count: graph.steps.count),
      groups: Array(repeating: (-1, -1), count: captures ? graph.steps.count : 0))
  }

  /// Takes a row from a place, or from behind the text's end, to each place before it down to
  /// `last`, in turn.
  private mutating func advance(
    _ row: inout Row, from start: Int?, to last: Int, _ body: (Int, Row) -> Void
  ) {
    var next = emptyRow
    var position = start ?? text.count + 1
    while position > last {
      position = position > text.count ? text.count : scalarStart(text, before: position)
      swap(&row, &next)
      workOut(&row, at: position, next: next)
      body(position, row)
    }
  }

  private mutating func workOut(_ row: inout Row, at position: Int, next: Row) {
    let (code, _) = position < text.count ? decodeScalar(text, at: position) : (.max, 0)
    /// Whether a code point of the set is there and what follows it matches, or is all that is asked.
    func takes(_ set: Int) -> Bool { code != .max && sets[set].contains(code) }
    for state in graph.order {
      var source: (row: Bool, state: Int)?  // of this row or the next one
      switch graph.steps[state] {
      case .one(let set, let target): if takes(set) { source = (false, target) }
      case .oneOr(let set, let target, let here):
        source = next.ends[target] >= 0 && takes(set) ? (false, target) : (true, here)
      case .oneElse(let set, let target, let here):
        source = takes(set) ? (false, target) : (true, here)
      case .either(let first, let second):
        source = (true, row.ends[first] >= 0 ? first : second)
      case .look(let inside, let isPositive, let then):
        if (row.ends[inside] >= 0) == isPositive { source = (true, then) }
      case .behind(let index, let width, let isPositive, let then):
        var isThere = false
        if let before = scalarStart(text, width: width, before: position) {
          isThere = behinds[index][before / 64] >> UInt64(before % 64) & 1 == 1
        }
        if isThere == isPositive { source = (true, then) }
      case .atomic(let inside, let index, let then):
        let inner = row.ends[inside]
        if inner == position, let then {
          source = (true, then)
        } else {
          // The group that is asked for is refused inside and behind of these.
          row.ends[state] = inner < 0 ? -1 : Int(follows[index][inner]) - 1
          continue
        }
      case .assertion(let assertion, let then):
        if assertion.holds(text, at: position) { source = (true, then) }
      case .mark(let isEnd, let then):
        source = (true, then)
        if captures {
          row.ends[state] = row.ends[then]
          var group = row.groups[then]
          // Of several turns the last one counts, which was met first.
          if isEnd {
            if group.end < 0 { group.end = position }
          } else if group.start < 0 {
            group.start = position
          }
          row.groups[state] = group
          continue
        }
      case .matched:
        row.ends[state] = position
        if captures { row.groups[state] = (-1, -1) }
        continue
      }
      guard let source else {
        row.ends[state] = -1
        continue
      }
      row.ends[state] = source.row ? row.ends[source.state] : next.ends[source.state]
      if captures {
        row.groups[state] = source.row ? row.groups[source.state] : next.groups[source.state]
      }
    }
    for (index, state) in graph.followers.enumerated() {
      follows[index][position] = UInt32(row.ends[state] + 1)
    }
  }
}
