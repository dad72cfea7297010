/// The items of a list or a tuple.
final class ListValue {
  /// The most levels of values in values.
  static let greatestDepth = 200

  let items: [Value]
  let depth: Int
  let weight: Int
  /// The names that `groupby` gives to the parts of its pairs.
  let partNames: [Text]

  init(_ items: [Value], partNames: [Text] = []) throws(Failure) {
    self.items = items
    self.partNames = partNames
    (depth, weight) = try ListValue.measure(items)
  }

  static func measure(_ items: some Sequence<Value>) throws(Failure) -> (depth: Int, weight: Int) {
    var depth = 0
    var weight = 1
    for item in items {
      depth = max(depth, item.depth)
      weight = min(weight + item.weight, Int.max / 4)
    }
    guard depth < greatestDepth else {
      throw Failure(.limit, "values are nested deeper than \(greatestDepth) levels")
    }
    return (depth + 1, weight)
  }
}

extension Value {
  static func list(of items: [Value]) throws(Failure) -> Value { .list(try ListValue(items)) }
  static func tuple(of items: [Value]) throws(Failure) -> Value { .tuple(try ListValue(items)) }
}

/// `range(start, stop, step)`.
struct RangeValue {
  let start: Int
  let stop: Int
  let step: Int
  let count: Int

  func item(_ index: Int) -> Int { start + index * step }
  var values: [Value] { (0..<count).map { .integer(item($0)) } }
}
