/// The attributes that filters like `map` and `sort` look up, as "address.city" or 0.
struct AttributePath {
  private enum Part {
    case index(Int)
    case name(Text)
    case value(Value)
  }

  private let parts: [Part]

  init(_ attribute: Value?) {
    guard let attribute, !attribute.isNone else {
      parts = []
      return
    }
    guard let text = attribute.text else {
      parts = [.value(attribute)]
      return
    }
    parts = text.split(at: ".").map { part in
      let isNumber = !part.isEmpty && part.scalars.allSatisfy(\.isPythonDigit)
      return isNumber ? Int(part.string).map(Part.index) ?? .name(part) : .name(part)
    }
  }

  func value(
    of item: Value, default fallback: Value? = nil, _ interpreter: Interpreter
  ) throws(Failure) -> Value {
    var result = item
    for part in parts {
      switch part {
      case .index(let index): result = try interpreter.item(.integer(index), of: result)
      case .name(let name): result = try interpreter.item(.string(name), of: result)
      case .value(let key): result = try interpreter.item(key, of: result)
      }
      if result.isUndefined, let fallback { result = fallback }
    }
    return result
  }
}

extension Value {
  /// For comparisons without case.
  func folded(unless isCaseSensitive: Bool) -> Value {
    guard !isCaseSensitive, let text else { return self }
    return .string(text.lowercased())
  }
}
