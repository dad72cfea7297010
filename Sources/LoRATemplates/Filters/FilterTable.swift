/// What a filter does with a value and its arguments.
typealias Filter =
  @Sendable (Interpreter, Value, CallArguments) throws(Failure) -> Value

/// The filters: Jinja's, with transformers' `tojson`.
enum FilterTable {
  static let all: [Text: Filter] = {
    var result = texts
    for table in [sequences, selections, numbers, markup, others] {
      result.merge(table) { first, _ in first }
    }
    return result
  }()

  static let names = Set(all.keys)
}

extension Interpreter {
  func filter(
    _ name: Text, _ value: Value, _ arguments: CallArguments
  ) throws(Failure) -> Value {
    guard let filter = FilterTable.all[name] else {
      throw Failure(.syntax, "there is no filter \"\(name.string)\"")
    }
    try charge()
    return try nested { () throws(Failure) in try filter(self, value, arguments) }
  }

  /// What a filter makes of a text, escaped if that was.
  func changed(_ value: Value, to text: Text) -> Value {
    if case .markup = value { return .markup(text) }
    return .string(text)
  }

  /// `str(value)`, charged as a copy.
  func filterText(_ value: Value) throws(Failure) -> Text {
    let result = try text(of: value)
    try charge(copies: result.count)
    return result
  }
}

extension [Value?] {
  /// Whether the value at `index` is given and true.
  func flag(_ index: Int) -> Bool { self[index]?.isTrue ?? false }

  /// The value at `index` unless it is not given or none.
  func given(_ index: Int) -> Value? {
    guard let value = self[index], !value.isNone else { return nil }
    return value
  }
}
