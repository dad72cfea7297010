/// `loop`: where a loop stands. Items pass its condition one by one, as the loop comes to them, since
/// the body may change what the condition sees.
final class LoopValue {
  private let source: [Value]
  private var nextSource = 0
  private let passes: ((Value) throws(Failure) -> Bool)?
  /// Items that were asked for ahead of the loop.
  private var ahead: [Value] = []
  private(set) var index0 = -1
  private(set) var previous: Value?
  private(set) var current: Value?
  private var knownLength: Int?
  /// What `changed` was called with.
  var lastChanged: [Value]?
  let depth: Int
  /// How many recursive calls this one is in.
  let recursionDepth: Int
  /// What `loop(...)` renders; nil if the loop is not recursive.
  let recursion: (loop: Statement.Loop, scope: Scope)?

  init(
    _ source: [Value], recursionDepth: Int = 0,
    recursion: (loop: Statement.Loop, scope: Scope)? = nil,
    passing passes: ((Value) throws(Failure) -> Bool)? = nil
  ) throws(Failure) {
    self.source = source
    self.passes = passes
    self.recursionDepth = recursionDepth
    self.recursion = recursion
    depth = try ListValue.measure(source).depth
    if passes == nil { knownLength = source.count }
  }

  private func pull() throws(Failure) -> Value? {
    while nextSource < source.count {
      let item = source[nextSource]
      nextSource += 1
      if try passes?(item) ?? true { return item }
    }
    return nil
  }

  /// Moves to the next item; false at the end.
  func advance() throws(Failure) -> Value? {
    guard let item = ahead.isEmpty ? try pull() : ahead.removeFirst() else { return nil }
    index0 += 1
    previous = current
    current = item
    return item
  }

  func nextItem() throws(Failure) -> Value? {
    if ahead.isEmpty, let item = try pull() { ahead.append(item) }
    return ahead.first
  }

  func length() throws(Failure) -> Int {
    if let knownLength { return knownLength }
    while let item = try pull() { ahead.append(item) }
    let length = index0 + 1 + ahead.count
    knownLength = length
    return length
  }
}
