extension Interpreter {
  /// The items of a value, as a loop visits them.
  func iterate(_ value: Value) throws(Failure) -> [Value] {
    let items: [Value]
    switch value {
    case .undefined: return []
    case .list(let list), .tuple(let list): items = list.items
    case .string(let text), .markup(let text):
      try charge(copies: text.count)
      items = text.scalars.map { .string(Text([$0])) }
    case .dictionary(let dictionary): items = dictionary.pairs.map(\.key)
    case .view(let view): items = try view.values()
    case .range(let range): items = range.values
    case .iterator(let iterator): items = try iterator.remaining()
    default: throw .value("a \(value.typeName) has no items to visit")
    }
    try charge(items.count)
    return items
  }

  /// `len(value)`; nil if it has none.
  func length(of value: Value) throws(Failure) -> Int? {
    switch value {
    case .undefined: 0
    case .string(let text), .markup(let text): text.count
    case .list(let list), .tuple(let list): list.items.count
    case .dictionary(let dictionary): dictionary.count
    case .view(let view): view.dictionary.count
    case .range(let range): range.count
    case .loop(let loop): try loop.length()
    default: nil
    }
  }

  /// `item in container`.
  func contains(_ container: Value, _ item: Value) throws(Failure) -> Bool {
    switch container {
    case .string(let text), .markup(let text):
      guard let part = item.text else {
        throw .value("a text contains texts: a \(item.typeName) cannot be in it")
      }
      try charge(text.count / 64)
      return text.contains(part)
    case .dictionary(let dictionary): return try dictionary.value(item) != nil
    case .view(let view) where view.part == .keys:
      return try view.dictionary.value(item) != nil
    case .iterator(let iterator):
      while let next = try iterator.nextItem() {
        if try areEqual(next, item) { return true }
      }
      return false
    default:
      for candidate in try iterate(container) {
        if try areEqual(candidate, item) { return true }
      }
      return false
    }
  }

  /// `==`, with its work counted.
  func areEqual(_ left: Value, _ right: Value) throws(Failure) -> Bool {
    try charge(min(left.weight, right.weight))
    return left.equals(right)
  }

  func isLess(_ left: Value, _ right: Value, _ sign: String = "<") throws(Failure) -> Bool {
    try charge(min(left.weight, right.weight))
    return try left.isLess(than: right, sign)
  }

  func compare(
    _ left: Value, _ comparison: Expression.Comparison, _ right: Value
  ) throws(Failure) -> Bool {
    switch comparison {
    case .equal: return try areEqual(left, right)
    case .notEqual: return !(try areEqual(left, right))
    case .less: return try isLess(left, right)
    case .greater: return try isLess(right, left, ">")
    case .lessOrEqual, .greaterOrEqual:
      let (a, b) = comparison == .lessOrEqual ? (left, right) : (right, left)
      if let x = a.number, let y = b.number, x.isNaN || y.isNaN { return false }
      return !(try isLess(b, a, comparison == .lessOrEqual ? "<=" : ">="))
    case .in: return try contains(right, left)
    case .notIn: return !(try contains(right, left))
    }
  }

  /// `value[start:stop:step]`.
  func slice(
    _ value: Value, from start: Value, to stop: Value, by step: Value
  ) throws(Failure) -> Value {
    let count: Int
    switch value {
    case .string(let text), .markup(let text): count = text.count
    case .list(let list), .tuple(let list): count = list.items.count
    case .range(let range): count = range.count
    case .undefined(let missing): throw missing.failure
    default: throw .value("a \(value.typeName) cannot be sliced")
    }
    let indices = try sliceIndices(count, start, stop, step)
    try charge(copies: indices.count)
    switch value {
    case .string(let text): return .string(Text(indices.map { text.scalars[$0] }))
    case .markup(let text): return .markup(Text(indices.map { text.scalars[$0] }))
    case .list(let list): return try .list(of: indices.map { list.items[$0] })
    case .tuple(let list): return try .tuple(of: indices.map { list.items[$0] })
    case .range(let range):
      let scale = (try bound(step) ?? 1) * range.step
      let first = indices.first.map(range.item) ?? range.start
      return .range(
        RangeValue(
          start: first, stop: first + indices.count * scale, step: scale, count: indices.count))
    default: return value
    }
  }

  private func bound(_ value: Value) throws(Failure) -> Int? {
    if value.isNone { return nil }
    if case .undefined(let missing) = value { throw missing.failure }
    guard let integer = value.integer else {
      throw .value("the bounds of a slice must be integers, not a \(value.typeName)")
    }
    return integer
  }

  private func sliceIndices(
    _ count: Int, _ start: Value, _ stop: Value, _ step: Value
  ) throws(Failure) -> [Int] {
    let step = try bound(step) ?? 1
    guard step != 0 else { throw .value("the step of a slice must not be 0") }
    func clamped(_ bound: Int?, otherwise: Int) -> Int {
      guard let bound else { return otherwise }
      let index = bound < 0 ? (bound < -count ? -1 : bound + count) : bound
      return step > 0 ? min(max(index, 0), count) : min(max(index, -1), count - 1)
    }
    let first = clamped(try bound(start), otherwise: step > 0 ? 0 : count - 1)
    let last = clamped(try bound(stop), otherwise: step > 0 ? count : -1)
    guard step > 0 ? first < last : first > last else { return [] }
    // A step beyond the text must not overflow.
    let size = step.magnitude > UInt(count) ? count + 1 : abs(step)
    return Array(stride(from: first, to: last, by: step > 0 ? size : -size))
  }
}
