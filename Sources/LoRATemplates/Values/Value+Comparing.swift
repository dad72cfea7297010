/// Python's `==` and `<`.
extension Value {
  func equals(_ other: Value) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined), (.none, .none): true
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      a === b
        || a.items.count == b.items.count
          && zip(a.items, b.items).allSatisfy { $0.equals($1) }
    case (.dictionary(let a), .dictionary(let b)): a === b || Value.areEqual(a, b)
    case (.view(let a), .view(let b)): Value.areEqual(a, b)
    case (.range(let a), .range(let b)):
      a.count == b.count
        && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
    case (.namespace(let a), .namespace(let b)): a === b
    case (.loop(let a), .loop(let b)): a === b
    case (.iterator(let a), .iterator(let b)): a === b
    case (.function(let a), .function(let b)): a.identity == b.identity
    default:
      if let a = text, let b = other.text {
        a == b
      } else if let a = integer, let b = other.integer {
        a == b
      } else if let a = number, let b = other.number {
        Value.areEqual(self, a, other, b)
      } else {
        false
      }
    }
  }

  /// An integer beyond 2^53 equals no neighbouring double.
  private static func areEqual(_ left: Value, _ a: Double, _ right: Value, _ b: Double) -> Bool {
    if let integer = left.integer { return Int(exactly: b) == integer }
    if let integer = right.integer { return Int(exactly: a) == integer }
    return a == b
  }

  private static func areEqual(_ a: DictionaryValue, _ b: DictionaryValue) -> Bool {
    guard a.count == b.count else { return false }
    for (key, value) in a.pairs {
      guard let other = try? b.value(key), value.equals(other) else { return false }
    }
    return true
  }

  private static func areEqual(_ a: DictionaryView, _ b: DictionaryView) -> Bool {
    switch (a.part, b.part) {
    case (.keys, .keys):
      a.dictionary.count == b.dictionary.count
        && a.dictionary.pairs.allSatisfy { ((try? b.dictionary.value($0.key)) ?? nil) != nil }
    case (.items, .items): areEqual(a.dictionary, b.dictionary)
    default: false
    }
  }

  /// Whether this value comes before another; an error if the two have no order.
  func isLess(than other: Value, _ sign: String = "<") throws(Failure) -> Bool {
    if let a = text, let b = other.text { return a < b }
    if let a = integer, let b = other.integer { return a < b }
    if let a = number, let b = other.number { return a < b }
    switch (self, other) {
    case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
      for (left, right) in zip(a.items, b.items) where !left.equals(right) {
        return try left.isLess(than: right, sign)
      }
      return a.items.count < b.items.count
    case (.undefined(let missing), _), (_, .undefined(let missing)): throw missing.failure
    default:
      throw .value(
        "\"\(sign)\" does not compare a \(typeName) with a \(other.typeName)")
    }
  }

  /// Whether two values are one object, as `sameas` asks.
  func isSame(as other: Value) -> Bool {
    switch (self, other) {
    case (.undefined, .undefined): false
    case (.none, .none): true
    case (.bool(let a), .bool(let b)): a == b
    case (.integer(let a), .integer(let b)): a == b
    case (.float(let a), .float(let b)): a == b
    case (.string(let a), .string(let b)), (.markup(let a), .markup(let b)): a == b
    case (.list(let a), .list(let b)): a === b
    case (.tuple(let a), .tuple(let b)): a === b || a.items.isEmpty && b.items.isEmpty
    case (.dictionary(let a), .dictionary(let b)): a === b
    case (.namespace(let a), .namespace(let b)): a === b
    case (.loop(let a), .loop(let b)): a === b
    case (.iterator(let a), .iterator(let b)): a === b
    case (.function(.macro(let a)), .function(.macro(let b))): a === b
    case (.function(.global(let a)), .function(.global(let b))): a == b
    default: false
    }
  }
}
