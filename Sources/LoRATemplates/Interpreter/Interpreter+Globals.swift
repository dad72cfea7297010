/// The functions that every template has.
extension Interpreter {
  var globals: [(name: Text, value: Value)] {
    [
      "range", "dict", "lipsum", "cycler", "joiner", "namespace", "raise_exception",
      "strftime_now",
    ].map { ($0, .function(.global($0))) }
  }

  /// The longest range that Jinja's sandbox allows.
  private static let longestRange = 100_000

  func callGlobal(_ name: Text, _ arguments: CallArguments) throws(Failure) -> Value {
    switch name {
    case "range": return try range(arguments)
    case "dict": return .dictionary(try dictionary(arguments))
    case "namespace":
      let object = NamespaceValue(.namespace)
      let value = register(object)
      for (key, value) in try dictionary(arguments).pairs {
        guard let name = key.text else {
          throw .value("the attributes of a namespace have names, not a \(key.typeName)")
        }
        try setAttribute(name, of: object, to: value)
      }
      return value
    case "cycler":
      guard arguments.named.isEmpty, !arguments.positional.isEmpty else {
        throw .value("\"cycler\" needs items")
      }
      let object = NamespaceValue(.cycler)
      object.items = arguments.positional
      _ = try ListValue.measure(object.items)
      return register(object)
    case "joiner":
      let object = NamespaceValue(.joiner)
      let separator = try arguments.bound(to: ["sep"], of: "joiner")[0]
      object.separator =
        try separator.map { (value) throws(Failure) in try text(of: value) } ?? ", "
      return register(object)
    case "raise_exception":
      let message = try arguments.bound(to: ["message"], of: "raise_exception", required: 1)[0]
      throw Failure(
        .raised,
        "the template refuses the conversation: \(try text(of: message ?? .none).string)")
    case "strftime_now":
      let format = try arguments.bound(to: ["format"], of: "strftime_now", required: 1)[0]
      guard let text = format?.text else { throw .value("\"strftime_now\" needs a format") }
      return .string(now.formatted(text))
    default:
      throw Failure(.forbidden, "\"\(name.string)\" gives another text every time")
    }
  }

  private func range(_ arguments: CallArguments) throws(Failure) -> Value {
    guard arguments.named.isEmpty, (1...3).contains(arguments.positional.count) else {
      throw .value("\"range\" takes one to three integers")
    }
    var bounds: [Int] = []
    for value in arguments.positional {
      if case .undefined(let missing) = value { throw missing.failure }
      guard let bound = value.integer else {
        throw .value("\"range\" takes integers, not a \(value.typeName)")
      }
      bounds.append(bound)
    }
    let start = bounds.count > 1 ? bounds[0] : 0
    let stop = bounds.count > 1 ? bounds[1] : bounds[0]
    let step = bounds.count > 2 ? bounds[2] : 1
    guard step != 0 else { throw .value("the step of a range must not be 0") }
    let (span, overflows) =
      step > 0
      ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
    let size = Int(clamping: step.magnitude)
    guard !overflows else { throw Failure(.limit, "a range is too long") }
    let count = span > 0 ? (span - 1) / size + 1 : 0
    guard count <= Interpreter.longestRange else {
      throw Failure(
        .limit, "a range must not have more than \(Interpreter.longestRange) items: \(count)")
    }
    return .range(RangeValue(start: start, stop: stop, step: step, count: count))
  }

  /// `dict(pairs, name=value, ...)`.
  private func dictionary(_ arguments: CallArguments) throws(Failure) -> DictionaryValue {
    guard arguments.positional.count <= 1 else {
      throw .value("\"dict\" takes one value and names")
    }
    var pairs: [(key: Value, value: Value)] = []
    if let source = arguments.positional.first {
      if case .undefined(let missing) = source { throw missing.failure }
      if case .dictionary(let dictionary) = source {
        pairs = dictionary.pairs
      } else {
        for item in try iterate(source) {
          let pair = try iterate(item)
          guard pair.count == 2 else { throw .value("\"dict\" takes pairs of keys and values") }
          pairs.append((pair[0], pair[1]))
        }
      }
    }
    pairs += arguments.named.map { (.string($0.name), $0.value) }
    try charge(copies: pairs.count)
    return try DictionaryValue(pairs)
  }
}
