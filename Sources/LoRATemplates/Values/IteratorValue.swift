/// What filters like `map` and `select` give: items that are computed when the first is asked for, and
/// given out once.
final class IteratorValue {
  private var compute: (() throws(Failure) -> [Value])?
  private var items: [Value] = []
  private var next = 0
  let depth: Int
  /// Python's name of the type, for messages.
  let name: String

  init(
    name: String, over source: Value, _ compute: @escaping () throws(Failure) -> [Value]
  ) throws(Failure) {
    guard source.depth < ListValue.greatestDepth else {
      throw Failure(.limit, "filters are nested deeper than \(ListValue.greatestDepth) levels")
    }
    self.name = name
    self.compute = compute
    depth = source.depth + 1
  }

  private func prepare() throws(Failure) {
    guard let compute else { return }
    self.compute = nil
    items = try compute()
  }

  /// The next item, nil at the end.
  func nextItem() throws(Failure) -> Value? {
    try prepare()
    guard next < items.count else { return nil }
    next += 1
    return items[next - 1]
  }

  /// The items that are left, after which none is.
  func remaining() throws(Failure) -> [Value] {
    try prepare()
    defer { next = items.count }
    return next == 0 ? items : Array(items[next...])
  }
}
