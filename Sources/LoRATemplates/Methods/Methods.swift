/// Python's methods of strings, lists and dictionaries. Those that change their object are forbidden.
extension Interpreter {
  private static let ofTuples: Set<Text> = ["count", "index"]
  private static let ofLists: Set<Text> = ["count", "index", "copy"]
  private static let ofDictionaries: Set<Text> = [
    "keys", "values", "items", "get", "copy", "fromkeys",
  ]
  private static let changingLists: Set<Text> = [
    "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove",
  ]
  private static let changingDictionaries: Set<Text> = [
    "clear", "pop", "popitem", "setdefault", "update",
  ]

  func hasMethod(_ name: Text, _ value: Value) -> Bool {
    switch value {
    case .string, .markup: return Interpreter.ofStrings.contains(name)
    case .list: return Interpreter.ofLists.contains(name)
    case .tuple, .range: return Interpreter.ofTuples.contains(name)
    case .dictionary: return Interpreter.ofDictionaries.contains(name)
    case .view(let view): return name == "isdisjoint" && view.part != .values
    case .loop: return name == "cycle" || name == "changed"
    case .namespace(let object):
      return object.kind == .cycler && (name == "next" || name == "reset")
    case .integer, .bool:
      return ["bit_length", "bit_count", "conjugate", "as_integer_ratio"].contains(name)
    case .float: return ["is_integer", "conjugate"].contains(name)
    case .function(.global("dict")): return name == "fromkeys"
    default: return false
    }
  }

  /// Whether a method changes its object.
  func changes(_ name: Text, _ value: Value) -> Bool {
    switch value {
    case .list: Interpreter.changingLists.contains(name)
    case .dictionary: Interpreter.changingDictionaries.contains(name)
    default: false
    }
  }

  func callMethod(
    _ name: Text, _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    switch value {
    case .string(let text): return try callMethod(name, text, arguments)
    case .markup(let text): return try escaped(try callMethod(name, text, escaped(arguments)))
    case .list(let list):
      if name == "copy" { return try .list(of: list.items) }
      return try callMethod(name, list.items, arguments)
    case .tuple(let list): return try callMethod(name, list.items, arguments)
    case .range(let range): return try callMethod(name, range.values, arguments)
    case .dictionary(let dictionary): return try callMethod(name, dictionary, arguments)
    case .view(let view):
      let others = try iterate(
        try arguments.bound(to: ["other"], of: "isdisjoint", required: 1)[0] ?? .none)
      for other in others where try contains(.view(view), other) { return .bool(false) }
      return .bool(true)
    case .loop(let loop): return try callMethod(name, loop, arguments)
    case .namespace(let object):
      _ = try arguments.bound(to: [], of: name.string)
      defer { object.index = name == "reset" ? 0 : (object.index + 1) % object.items.count }
      return name == "reset" ? .none : object.items[object.index]
    case .function: return try fromKeys(arguments)
    default: return try callMethod(name, number: value)
    }
  }

  /// What a method makes of escaped text is escaped.
  private func escaped(_ value: Value) throws(Failure) -> Value {
    func marked(_ value: Value) -> Value {
      if case .string(let text) = value { return .markup(text) }
      return value
    }
    switch value {
    case .list(let list): return try .list(of: list.items.map(marked))
    case .tuple(let list): return try .tuple(of: list.items.map(marked))
    default: return marked(value)
    }
  }

  private func escaped(_ arguments: CallArguments) -> CallArguments {
    func escaped(_ value: Value) -> Value {
      if case .string(let text) = value { return .markup(text.escapedForHTML) }
      return value
    }
    return CallArguments(
      positional: arguments.positional.map(escaped),
      named: arguments.named.map { ($0.name, escaped($0.value)) })
  }

  private func callMethod(_ name: Text, number value: Value) throws(Failure) -> Value {
    if case .float(let number) = value {
      return name == "is_integer" ? .bool(number.isFinite && number == number.rounded()) : value
    }
    let integer = value.integer ?? 0
    switch name {
    case "bit_length": return .integer(Int.bitWidth - integer.magnitude.leadingZeroBitCount)
    case "bit_count": return .integer(integer.magnitude.nonzeroBitCount)
    case "as_integer_ratio": return try .tuple(of: [.integer(integer), .integer(1)])
    default: return .integer(integer)
    }
  }

  private func callMethod(
    _ name: Text, _ items: [Value], _ arguments: CallArguments
  ) throws(Failure) -> Value {
    if name == "count" {
      let sought = try arguments.bound(to: ["value"], of: "count", required: 1)[0] ?? .none
      var count = 0
      for item in items where try areEqual(item, sought) { count += 1 }
      return .integer(count)
    }
    let given = try arguments.bound(to: ["value", "start", "stop"], of: "index", required: 1)
    let start = bound(given[1], count: items.count) ?? 0
    let stop = bound(given[2], count: items.count) ?? items.count
    for index in items.indices where index >= start && index < stop {
      if try areEqual(items[index], given[0] ?? .none) { return .integer(index) }
    }
    throw .value("the item is not in the list")
  }

  /// A place that counts from the end where it is negative.
  func bound(_ value: Value?, count: Int) -> Int? {
    guard let index = value?.integer else { return nil }
    return min(max(index < 0 ? index + count : index, 0), count)
  }

  private func callMethod(
    _ name: Text, _ dictionary: DictionaryValue, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    switch name {
    case "get":
      guard arguments.named.isEmpty else { throw .value("\"get\" takes no names of arguments") }
      let given = try arguments.bound(to: ["key", "default"], of: "get", required: 1)
      return try dictionary.value(given[0] ?? .none) ?? given[1] ?? .none
    case "fromkeys": return try fromKeys(arguments)
    default:
      _ = try arguments.bound(to: [], of: name.string)
      switch name {
      case "keys": return .view(DictionaryView(dictionary: dictionary, part: .keys))
      case "values": return .view(DictionaryView(dictionary: dictionary, part: .values))
      case "items": return .view(DictionaryView(dictionary: dictionary, part: .items))
      default: return .dictionary(try DictionaryValue(dictionary.pairs))
      }
    }
  }

  private func fromKeys(_ arguments: CallArguments) throws(Failure) -> Value {
    let given = try arguments.bound(to: ["iterable", "value"], of: "fromkeys", required: 1)
    let keys = try iterate(given[0] ?? .none)
    return .dictionary(try DictionaryValue(keys.map { ($0, given[1] ?? .none) }))
  }

  private func callMethod(
    _ name: Text, _ loop: LoopValue, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    guard arguments.named.isEmpty else {
      throw .value("\"\(name.string)\" takes no names of arguments")
    }
    let values = arguments.positional
    if name == "cycle" {
      guard !values.isEmpty else { throw .value("\"cycle\" needs items") }
      return values[loop.index0 % values.count]
    }
    if let last = loop.lastChanged, last.count == values.count {
      var isSame = true
      for (a, b) in zip(last, values) where isSame { isSame = try areEqual(a, b) }
      if isSame { return .bool(false) }
    }
    _ = try ListValue.measure(values)
    loop.lastChanged = values
    return .bool(true)
  }
}
