/// The filter `pprint`: Python's `pprint.pformat`, on as many lines of 80 characters as it takes.
struct PrettyPrinter {
  private let width = 80
  let limit: Int

  func text(of value: Value) throws(Failure) -> Text {
    var output = Text()
    try write(value, indent: 0, allowance: 0, &output)
    return output
  }

  private func write(
    _ value: Value, indent: Int, allowance: Int, _ output: inout Text
  ) throws(Failure) {
    let plain = try ValuePrinter.representation(try sorted(value), limit: limit)
    guard plain.count > width - indent - allowance, output.count <= limit else {
      output += plain
      return
    }
    switch value {
    case .list(let list) where !list.items.isEmpty:
      output.append("[")
      try write(list.items, indent: indent + 1, allowance: allowance + 1, &output)
      output.append("]")
    case .tuple(let list) where !list.items.isEmpty:
      output.append("(")
      let closing = list.items.count == 1 ? ",)" : ")"
      try write(list.items, indent: indent + 1, allowance: allowance + closing.count, &output)
      output.append(closing)
    case .dictionary(let dictionary) where !dictionary.isEmpty:
      output.append("{")
      let pairs = try ordered(dictionary.pairs)
      for (index, pair) in pairs.enumerated() {
        if index > 0 { output.append(",\n" + String(repeating: " ", count: indent + 1)) }
        let key = try ValuePrinter.representation(pair.key, limit: limit)
        output += key
        output.append(": ")
        try write(
          pair.value, indent: indent + 1 + key.count + 2,
          allowance: index + 1 < pairs.count ? 1 : allowance + 1, &output)
      }
      output.append("}")
    default: output += plain
    }
  }

  private func write(
    _ items: [Value], indent: Int, allowance: Int, _ output: inout Text
  ) throws(Failure) {
    for (index, item) in items.enumerated() {
      if index > 0 { output.append(",\n" + String(repeating: " ", count: indent)) }
      try write(
        item, indent: indent, allowance: index + 1 < items.count ? 1 : allowance, &output)
    }
  }

  /// Keys in their order, where they have one.
  private func ordered(
    _ pairs: [(key: Value, value: Value)]
  ) throws(Failure) -> [(key: Value, value: Value)] {
    do throws(Failure) {
      return try pairs.stablySorted { (a, b) throws(Failure) in try a.key.isLess(than: b.key) }
    } catch {
      return pairs
    }
  }

  private func sorted(_ value: Value) throws(Failure) -> Value {
    switch value {
    case .dictionary(let dictionary):
      var pairs: [(key: Value, value: Value)] = []
      for (key, value) in try ordered(dictionary.pairs) {
        pairs.append((key, try sorted(value)))
      }
      return .dictionary(try DictionaryValue(pairs))
    case .list(let list):
      return try .list(of: try list.items.map { (item) throws(Failure) in try sorted(item) })
    default: return value
    }
  }
}
